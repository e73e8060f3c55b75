"""What the simulator was asked, for tests to ask about."""

from __future__ import annotations

from collections import Counter, deque

from trainwave_exporter.simulator.faults import Fault

_MINUTE = 60
_KEPT = 1_000_000


class Stats:
    """Counts of requests since the start. Times are real and monotonic, in seconds."""

    def __init__(self) -> None:
        self.requests = 0
        self.by_endpoint: Counter[str] = Counter()
        """By ``jobs``, ``job``, ``create``, ``stop``, ``metrics/cpu`` …, or ``other``."""
        self.by_status: Counter[int] = Counter()
        """By the status sent; 0 where nothing, or not all, was sent."""
        self.by_key: Counter[str] = Counter()
        """By the key's label; ``""`` for requests without a valid key."""
        self.by_fault: Counter[Fault] = Counter()
        self.times: deque[float] = deque(maxlen=_KEPT)
        """When requests came, the last million of them."""
        self.refused_times: deque[float] = deque(maxlen=_KEPT)
        """When requests were answered with 429."""
        self.busiest_minute = 0
        """The highest number of requests in any 60 seconds."""
        self._last_minute: deque[float] = deque()

    @property
    def refusals(self) -> int:
        """The number of 429s, the undeserved ones included."""
        return self.by_status[429]

    def arrive(self, endpoint: str, label: str, now: float) -> None:
        """Count a request that has come."""
        self.requests += 1
        self.by_endpoint[endpoint] += 1
        self.by_key[label] += 1
        self.times.append(now)
        minute = self._last_minute
        minute.append(now)
        while minute[0] <= now - _MINUTE:
            minute.popleft()
        self.busiest_minute = max(self.busiest_minute, len(minute))

    def leave(self, status: int, now: float) -> None:
        """Count an answer."""
        self.by_status[status] += 1
        if status == 429:
            self.refused_times.append(now)
