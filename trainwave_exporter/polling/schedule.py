"""Runs the loops at their intervals. The only file that imports APScheduler."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger

from trainwave_exporter.polling.loop import Loop
from trainwave_exporter.runtime.clock import ClockWatch

log = structlog.get_logger()

_WATCH_SECONDS = 1.0
_SOON = timedelta(milliseconds=1)


def _is_error(record: logging.LogRecord) -> bool:
    """Whether a line of APScheduler's is an error; a loop that was cancelled by a stop is none."""
    return record.exc_info is None or not isinstance(record.exc_info[1], asyncio.CancelledError)


logging.getLogger("apscheduler.executors.default").addFilter(_is_error)


class _Every(BaseTrigger):  # type: ignore[misc] # APScheduler carries no types
    """At an interval; what was missed is made up for once, however much it was.

    APScheduler's own interval trigger lists every single missed time first: thousands of millions,
    where the clock of a machine begins in 1970 and is then set.
    """

    def __init__(self, seconds: float) -> None:
        self._interval = timedelta(seconds=seconds)

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime:
        """Return the time after ``previous``, but none that is past."""
        return now if previous is None else max(previous + self._interval, now + _SOON)


class Schedule:
    """Runs every loop at its interval, the first time at once, never twice at the same time.

    APScheduler computes its next wake-up from the wall clock. When that is set back by an hour, it
    would sleep for an hour: a silent stop. So the clock is looked at every second, and if it was
    set, every loop starts anew.
    """

    def __init__(self, loops: Iterable[Loop], *, clock_watch: ClockWatch) -> None:
        self._scheduler = AsyncIOScheduler(
            timezone=UTC,
            job_defaults={"misfire_grace_time": None},  # however late, it runs
        )
        self._loops = tuple(loops)
        self._clock_watch = clock_watch
        clock_watch.listen(self._start_anew)
        self._watch: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Start every loop now. To be called within the event loop."""
        for loop in self._loops:
            self._add(loop)
        self._scheduler.start()
        self._watch_clock()

    def add(self, loops: Iterable[Loop]) -> None:
        """Start these loops, too, now. To be called while it is started."""
        for loop in loops:
            self._add(loop)

    async def remove(self, loops: Iterable[Loop]) -> None:
        """Stop these loops, and cancel their present runs."""
        loops = tuple(loops)
        for loop in loops:
            self._scheduler.remove_job(_id(loop))
        await asyncio.gather(*(loop.cancel() for loop in loops))

    def hurry(self, loop: Loop) -> None:
        """Run a loop now, unless it is running, and then at its interval again."""
        if self._watch is not None:
            self._scheduler.modify_job(_id(loop), next_run_time=datetime.now(UTC))

    def _add(self, loop: Loop) -> None:
        self._scheduler.add_job(
            loop.run,
            _Every(loop.interval),
            id=_id(loop),
            next_run_time=datetime.now(UTC),
        )

    def stop(self) -> None:
        """Start no more runs, and cancel the present ones."""
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
            self._scheduler.shutdown(wait=False)

    def _watch_clock(self) -> None:
        self._watch = asyncio.get_running_loop().call_later(_WATCH_SECONDS, self._watch_clock)
        self._clock_watch.look()

    def _start_anew(self, seconds: float) -> None:
        log.warning("clock_jumped", seconds=round(seconds, 1))
        if self._watch is not None:
            for job in self._scheduler.get_jobs():
                job.modify(next_run_time=datetime.now(UTC))


def _id(loop: Loop) -> str:
    return f"{loop.account}/{loop.name}"
