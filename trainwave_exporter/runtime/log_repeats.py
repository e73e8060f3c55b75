"""Summing up lines that repeat themselves: the first, and then one with a count."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from threading import Lock
from typing import Any, Final

import structlog
from msgspec import Struct

REPEAT_SECONDS: Final = 10.0
"""Time within which a line that is logged again is counted instead."""

MOST_KEPT: Final = 256
"""Different lines that are looked at for repetitions at a time, the latest."""

_WHO = "client"
"""The field that does not make another line: a crowd of clients is one episode."""


class _Episode(Struct):
    """A line that was logged, and what came after it."""

    level: str
    event: dict[str, Any]
    began_at: float
    repeated: int = 0


class Repeats:
    """A structlog processor that drops and counts lines which say what one before said.

    Lines are equal if all their fields are, but for ``client``. `due` returns the sums.
    """

    def __init__(self, clock: Callable[[], float], seconds: float = REPEAT_SECONDS) -> None:
        self._clock = clock
        self._seconds = seconds
        self._episodes: dict[tuple[tuple[str, str], ...], _Episode] = {}
        self._lock = Lock()

    def __call__(
        self, _logger: object, method: str, event: MutableMapping[str, Any]
    ) -> Mapping[str, Any]:
        """Pass a line on; raise `structlog.DropEvent` where it repeats another."""
        if "repeated" in event:  # a sum itself
            return event
        key = tuple(sorted((name, str(event[name])) for name in event if name != _WHO))
        with self._lock:
            episode = self._episodes.get(key)
            if episode is not None:
                episode.repeated += 1
                raise structlog.DropEvent
            if len(self._episodes) >= MOST_KEPT:
                self._forget_one()
            if len(self._episodes) < MOST_KEPT:
                fields = {name: event[name] for name in event if name != "exc_info"}
                self._episodes[key] = _Episode(method, fields, self._clock())
        return event

    def _forget_one(self) -> None:
        """Make room: forget the oldest line that was not repeated, if there is one."""
        for key, episode in self._episodes.items():
            if not episode.repeated:
                del self._episodes[key]
                return

    def due(self, *, everything: bool = False) -> list[tuple[str, dict[str, Any]]]:
        """Return level and fields of each sum whose time has come; ``everything``: of each.

        While a line goes on to be repeated, there is one sum for each span of time.
        """
        now = self._clock()
        sums: list[tuple[str, dict[str, Any]]] = []
        with self._lock:
            for key, episode in list(self._episodes.items()):
                if not everything and now - episode.began_at < self._seconds:
                    continue
                if episode.repeated:
                    sums.append((episode.level, {**episode.event, "repeated": episode.repeated}))
                    episode.began_at, episode.repeated = now, 0
                else:
                    del self._episodes[key]
        return sums
