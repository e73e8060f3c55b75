"""Watches one account: the loops that turn the API's answers into observations."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial

from trainwave_exporter.api import Client, RateBudget
from trainwave_exporter.fleet import Fleet, Observation
from trainwave_exporter.model import Change, FactListener, Plan
from trainwave_exporter.polling.directory_reader import DirectoryReader
from trainwave_exporter.polling.history_details import HistoryDetails, WantedDetails
from trainwave_exporter.polling.job_lists import JobLists
from trainwave_exporter.polling.loop import Loop
from trainwave_exporter.polling.planner import Planner
from trainwave_exporter.polling.request_sender import RequestSender
from trainwave_exporter.polling.scope import Intervals, WatchScope
from trainwave_exporter.runtime.clock import Clock

SPEND_INTERVAL = 1.0
"""Seconds between two looks at what the rate limit allows."""


class AccountPoller:
    """The loops of one account."""

    def __init__(
        self,
        *,
        account: str,
        client: Client,
        budget: RateBudget,
        fleet: Fleet,
        report: Callable[[Observation], None],
        observe: FactListener,
        scope: WatchScope,
        intervals: Intervals,
        undescribed: Callable[[], WantedDetails],
        clock: Clock,
    ) -> None:
        """``report`` hands an observation to the fleet and its listeners.

        ``undescribed`` names finished jobs whose details are wanted.
        """
        self.account = account
        self._client = client
        self._fleet = fleet
        self._clock = clock
        self._planner = Planner(
            account=account,
            intervals=intervals,
            history=HistoryDetails(undescribed, pause=intervals.readings),
        )
        self._lists = JobLists(
            account=account,
            client=client,
            budget=budget,
            fleet=fleet,
            planner=self._planner,
            report=report,
            scope=scope,
            intervals=intervals,
            clock=clock,
        )
        directory = DirectoryReader(
            account=account,
            client=client,
            budget=budget,
            report=report,
            scope=scope,
            interval=intervals.directory,
        )
        self._sender = RequestSender(
            account=account,
            client=client,
            budget=budget,
            fleet=fleet,
            planner=self._planner,
            lists=self._lists,
            report=report,
            observe=observe,
            interval=SPEND_INTERVAL,
            clock=clock,
        )
        self._first_sweep: asyncio.Task[None] | None = None
        loop = partial(
            Loop,
            account=account,
            observe=observe,
            clock=clock,
            excused=lambda: budget.blocked_seconds,
        )
        self._sweep_loop = loop(name="sweep", interval=intervals.sweep, work=self._lists.walk_all)
        self.loops = (
            loop(name="running", interval=intervals.running, work=self._walk_running),
            self._sweep_loop,
            loop(name="directory", interval=intervals.directory, work=directory.read),
            loop(name="readings", interval=SPEND_INTERVAL, work=self._sender.send),
        )

    @property
    def swept(self) -> bool:
        """Whether a full sweep ever succeeded."""
        return self._lists.full is not None

    @property
    def outlook(self) -> Plan:
        """How often readings are requested now, and how old they get."""
        return self._planner.outlook(self._clock.time(), self._sender.requests_per_minute)

    @property
    def readings_max_age(self) -> float:
        """Seconds after which a reading is too old to be shown."""
        return self.outlook.longest_age_seconds

    def apply(self, changes: Iterable[Change]) -> None:
        """Take in what happened to jobs. A `ChangeListener`."""
        self._planner.apply(changes, self._clock.time())

    async def settle(self) -> None:
        """Wait until nothing is under way."""
        if self._first_sweep is not None:
            await self._first_sweep
        await self._sender.settle()

    async def stop(self) -> None:
        """Give up what is under way and close the connections."""
        if self._first_sweep is not None:
            self._first_sweep.cancel()
            await asyncio.wait([self._first_sweep])
        await self._sender.stop()
        await self._client.aclose()

    async def _walk_running(self, step: Callable[[], None]) -> None:
        """Walk the running list; after the first one a sweep follows at once."""
        await self._lists.walk_running(step)
        if not self._fleet.counted(self.account) and (
            self._first_sweep is None or self._first_sweep.done()
        ):
            self._first_sweep = asyncio.create_task(self._sweep_loop.run())
