"""A polling loop: repeats one piece of work, logs failures, and knows whether it hangs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import structlog

from trainwave_exporter.api import TrainwaveError
from trainwave_exporter.model import FactListener, LoopBegan, LoopRun
from trainwave_exporter.runtime.clock import Clock

log = structlog.get_logger()

Work: TypeAlias = Callable[[Callable[[], None]], Awaitable[None]]
"""What a loop does; its argument is to be called after every step forward."""

SUMMARY_SECONDS = 300.0
"""Seconds between two log lines of a loop that goes on failing."""
_GRACE_SECONDS = 330.0
"""Seconds that a loop may take beyond its intervals: a little more than the longest wait for the
rate limit. Blocks do not count."""


class Loop:
    """One loop, and how its last run went."""

    def __init__(
        self,
        *,
        account: str,
        name: str,
        interval: float,
        work: Work,
        observe: FactListener,
        clock: Clock,
        excused: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """``excused`` returns the seconds so far in which it could not go on: blocks."""
        self.account = account
        self.name = name
        self.interval = interval
        self._work = work
        self._observe = observe
        self._clock = clock
        self._excused = excused
        self._stir()
        self._failing_since: float | None = None
        self._failures = 0
        self._summarized_at = 0.0
        self._under_way: asyncio.Task[None] | None = None
        self.last_run: LoopRun | None = None
        self.last_error: str | None = None

    @property
    def stopped(self) -> bool:
        """Whether it made no step forward for much longer than it should take."""
        silent = self._clock.monotonic() - self._excused() - self._stirred_at
        return silent > 3 * self.interval + _GRACE_SECONDS

    async def run(self) -> None:
        """Do the work once, unless it is being done. Failures are logged, not raised."""
        if self._under_way is not None:
            return
        self._under_way = asyncio.current_task()
        began = self._clock.monotonic()
        self._stir()
        self._observe(LoopBegan(self.account, self.name, self._clock.time()))
        error: str | None = None
        try:
            await self._work(self._stir)
        except TrainwaveError as failure:
            error = str(failure)
            self._log_failure(error)
        except Exception as failure:  # noqa: BLE001 - a bug must not stop the loop; it is logged
            error = f"{type(failure).__name__}: {failure}"
            self._log_failure(error, bug=failure)
        finally:
            self._under_way = None
        if error is None:
            self._log_recovery()
        self._stir()
        self.last_error = error
        self.last_run = LoopRun(
            account=self.account,
            loop=self.name,
            succeeded=error is None,
            seconds=self._clock.monotonic() - began,
            finished_at=self._clock.time(),
        )
        self._observe(self.last_run)

    async def cancel(self) -> None:
        """Cancel the present run, and wait for its end."""
        if self._under_way is not None:
            self._under_way.cancel()
            await asyncio.wait([self._under_way])

    def _stir(self) -> None:
        self._stirred_at = self._clock.monotonic() - self._excused()

    def _log_failure(self, error: str, bug: Exception | None = None) -> None:
        """Log the first failure, and then only from time to time."""
        now = self._clock.monotonic()
        self._failures += 1
        facts = {"account": self.account, "loop": self.name, "error": error}
        if self._failing_since is None:
            self._failing_since = self._summarized_at = now
            log.warning("loop_failing", **facts, exc_info=bug)
        elif now - self._summarized_at >= SUMMARY_SECONDS:
            self._summarized_at = now
            seconds = round(now - self._failing_since)
            log.warning("loop_still_failing", failures=self._failures, seconds=seconds, **facts)

    def _log_recovery(self) -> None:
        if self._failing_since is not None:
            seconds = round(self._clock.monotonic() - self._failing_since)
            facts = {"failures": self._failures, "seconds": seconds}
            log.info("loop_recovered", account=self.account, loop=self.name, **facts)
        self._failing_since = None
        self._failures = 0
