"""A polling loop: repeats one piece of work, logs failures, and knows whether it hangs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from trainwave_exporter.api import TrainwaveError
from trainwave_exporter.model import FactListener, LoopBegan, LoopRun
from trainwave_exporter.runtime.clock import Clock
from trainwave_exporter.runtime.failure_log import FailureLog

Work: TypeAlias = Callable[[Callable[[], None]], Awaitable[None]]
"""What a loop does; its argument is to be called after every step forward."""

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
        self._failures = FailureLog("loop", clock.monotonic, account=account, loop=name)
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
            self._failures.failed(error, cause=failure.outcome)
        except Exception as failure:  # noqa: BLE001 - a bug must not stop the loop; it is logged
            error = f"{type(failure).__name__}: {failure}"
            self._failures.failed(error, cause=type(failure).__name__, bug=failure)
        finally:
            self._under_way = None
        if error is None:
            self._failures.recovered()
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
