"""Notices that the wall clock was set."""

from __future__ import annotations

from collections.abc import Callable

_NOISE_SECONDS = 5.0
"""A wall clock that departs from the monotonic one by no more than this was not set."""
_LONGEST_READING = 0.5
"""Seconds between which both clocks must have been read; else they are read at the next look."""


class ClockWatch:
    """Compares the wall clock with the monotonic one, which nobody sets."""

    def __init__(self, clock: Callable[[], float], monotonic: Callable[[], float]) -> None:
        self._clock = clock
        self._monotonic = monotonic
        self._offset = clock() - monotonic()
        self._listeners: list[Callable[[float], None]] = []

    def listen(self, listener: Callable[[float], None]) -> None:
        """Have a listener called with the seconds by which the clock was set; negative: back.

        A machine that was suspended looks as if its clock had been set ahead.
        """
        self._listeners.append(listener)

    def look(self) -> None:
        """Notify the listeners if the clock was set since the last look."""
        before = self._monotonic()
        offset = self._clock() - before
        if self._monotonic() - before > _LONGEST_READING:
            return  # the process was held up in between
        jump, self._offset = offset - self._offset, offset
        if abs(jump) > _NOISE_SECONDS:
            for listener in self._listeners:
                listener(jump)
