"""When cycles of objects are collected: by appointment, not whenever a quarter of them is new.

CPython's full collection looks at every object there is, and nothing else happens meanwhile: with
10,000 running jobs for a third of a second, and with every reading replaced each minute that often.
What dies young it finds by cheap looks at the young ones alone, which stay as they are. For the
little that is left one full collection an hour is enough.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

INTERVAL: Final = 3600.0
_NEVER: Final = 2**30


class GcSchedule:
    """Makes a full collection when one is due."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._collected_at = monotonic()

    @contextmanager
    def in_charge(self) -> Iterator[None]:
        """Keep CPython from full collections of its own until the context ends."""
        young, middle, old = gc.get_threshold()
        gc.set_threshold(young, middle, _NEVER)
        try:
            yield
        finally:
            gc.set_threshold(young, middle, old)

    def look(self) -> None:
        """Collect if the last time is an hour ago."""
        now = self._monotonic()
        if now - self._collected_at >= INTERVAL:
            gc.collect()
            self._collected_at = now
