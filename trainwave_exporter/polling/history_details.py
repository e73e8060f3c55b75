"""Finished jobs of which lists do not report enough.

Most of them ended long ago and are not shown; owner, hardware and times, by which their cost is
attributed, are in their details alone. One answer is enough.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from trainwave_exporter.polling.job_request import pause_seconds

AGAIN_SECONDS: Final = 86_400.0
"""Details that are still wanted are requested again after this long."""


class WantedDetails(Protocol):
    """Jobs whose details are wanted, the most wanted first."""

    @property
    def urgent(self) -> Sequence[str]:
        """Those without which no budget is known."""

    @property
    def others(self) -> Sequence[str]:
        """All others."""


@dataclass(slots=True)
class _HistoryRequest:
    at: float
    again: float
    """Seconds after which it may be requested again."""
    failures: int = 0


class HistoryDetails:
    """The finished jobs of one account whose details are wanted."""

    def __init__(self, wanted: Callable[[], WantedDetails], *, pause: float) -> None:
        """``wanted`` names some of them; ``pause``: seconds of rest after a first failure."""
        self._wanted = wanted
        self._pause = pause
        self._requests: dict[str, _HistoryRequest] = {}
        self._tidied_at = 0.0
        self._urgent = _DetailsQueue()
        self._others = _DetailsQueue()

    def urgent(self, now: float) -> str | None:
        """Return the next job without whose details no budget is known (Unix seconds)."""
        return self._take(self._urgent, self._wanted().urgent, now)

    def other(self, now: float) -> str | None:
        """Return the next of the others, if any is known at this moment."""
        return self._take(self._others, self._wanted().others, now)

    def _take(self, queue: _DetailsQueue, wanted: Sequence[str], now: float) -> str | None:
        for job_id in queue.rest(wanted, now):
            sent = self._requests.get(job_id)
            if sent is None or not 0 <= now - sent.at < sent.again:
                self.requested(job_id, now)
                return job_id
        return None

    def requested(self, job_id: str, now: float) -> None:
        """Note that the details of a job are requested."""
        if not 0 <= now - self._tidied_at < AGAIN_SECONDS:
            self._tidied_at = now
            self._requests = {
                known: sent
                for known, sent in self._requests.items()
                if 0 <= now - sent.at < AGAIN_SECONDS
            }
        known = self._requests.get(job_id)
        failures = 0 if known is None else known.failures
        self._requests[job_id] = _HistoryRequest(now, AGAIN_SECONDS, failures)

    def failed(self, job_id: str) -> None:
        """Note that the request failed; it is sent again after a pause."""
        sent = self._requests.get(job_id)
        if sent is not None:
            sent.failures += 1
            sent.again = pause_seconds(self._pause, sent.failures)

    def put_off(self, job_id: str) -> None:
        """Note that it was not requested because of a block; it may be at once."""
        self._requests.pop(job_id, None)


class _DetailsQueue:
    """Goes through a list once, and again when there is another or time has gone by."""

    def __init__(self) -> None:
        self._wanted: Sequence[str] = ()
        self._began_at: float | None = None
        self._rest: Iterator[str] = iter(())

    def rest(self, wanted: Sequence[str], now: float) -> Iterator[str]:
        """Return what is left of the list."""
        if wanted is not self._wanted or self._began_at != now:
            self._wanted, self._began_at = wanted, now
            self._rest = iter(wanted)
        return self._rest
