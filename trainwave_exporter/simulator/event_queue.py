"""What is going to happen, in order."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count


class EventQueue:
    """Actions due at instants (whole seconds); what is due at the same one keeps its order."""

    def __init__(self) -> None:
        self._due: list[tuple[int, int, Callable[[int], object]]] = []
        self._serial = count()

    def add(self, at: int, action: Callable[[int], object]) -> None:
        """Have ``action`` called with ``at``, when time gets there."""
        heappush(self._due, (at, next(self._serial), action))

    def run_until(self, now: int) -> None:
        """Do all that is due at ``now`` or before, and what becomes due by that."""
        while self._due and self._due[0][0] <= now:
            at, _, action = heappop(self._due)
            action(at)
