"""The clock that everything goes by, and what notices that it was set."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from time import monotonic as _monotonic
from time import time as _time

_NOISE_SECONDS = 5.0
"""A wall clock that departs from the monotonic one by no more than this was not set."""
_LONGEST_READING = 0.5
"""Seconds between which both clocks must have been read; else they are read at the next look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """Time, waiting and chance: what differs from one run of the same code to the next."""

    time: Callable[[], float] = _time
    """Unix seconds by the wall clock, which may be set."""
    monotonic: Callable[[], float] = _monotonic
    """Seconds since some moment, which nobody sets."""
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    """Waits for so many monotonic seconds."""
    random: Random = field(default_factory=Random)
    """Spreads retries; guards nothing."""


class ClockWatch:
    """Compares the wall clock with the monotonic one, which nobody sets."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset = clock.time() - clock.monotonic()
        self._listeners: list[Callable[[float], None]] = []

    def listen(self, listener: Callable[[float], None]) -> None:
        """Have a listener called with the seconds by which the clock was set; negative: back.

        A machine that was suspended looks as if its clock had been set ahead.
        """
        self._listeners.append(listener)

    def look(self) -> None:
        """Notify the listeners if the clock was set since the last look."""
        before = self._clock.monotonic()
        offset = self._clock.time() - before
        if self._clock.monotonic() - before > _LONGEST_READING:
            return  # the process was held up in between
        jump, self._offset = offset - self._offset, offset
        if abs(jump) > _NOISE_SECONDS:
            for listener in self._listeners:
                listener(jump)
