"""How often something may be done: token buckets, one or one for each client."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial

from trainwave_exporter.web.clients import client_of


class Bucket:
    """Holds up to ``burst`` tokens; a new one comes every ``interval`` seconds."""

    def __init__(self, interval: float, burst: int, clock: Callable[[], float]) -> None:
        self._interval = interval
        self._burst = burst
        self._clock = clock
        self._tokens = float(burst)
        self._filled_at = clock()

    def take(self) -> float:
        """Take a token and return 0, or take none and return the seconds until there is one."""
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._filled_at) / self._interval)
        self._filled_at = now
        if self._tokens < 1:
            return (1 - self._tokens) * self._interval
        self._tokens -= 1
        return 0.0

    @property
    def untouched(self) -> bool:
        """Whether no token is missing."""
        since = self._clock() - self._filled_at
        return self._tokens + since / self._interval >= self._burst

    def give_back(self) -> None:
        """Return a token that turned out not to be due."""
        self._tokens = min(self._burst, self._tokens + 1)


class BucketPerClient:
    """A bucket for each client, of those that came last; more than ``most`` are not kept."""

    def __init__(
        self, interval: float, burst: int, clock: Callable[[], float], *, most: int = 4096
    ) -> None:
        self._new = partial(Bucket, interval, burst, clock)
        self._most = most
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def of(self, address: str | None) -> Bucket:
        """Return the bucket of an address. Those behind one socket file share one."""
        client = client_of(address or "")
        bucket = self._buckets.setdefault(client, self._new())
        self._buckets.move_to_end(client)
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        return bucket
