"""A job: what was ordered, what has become of it, and what it has cost."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from trainwave_exporter.simulator.billing import Billing
from trainwave_exporter.simulator.lifecycle import LEGAL, Behavior, Course, SimulatedState
from trainwave_exporter.simulator.orders import Order

_HOUR = 3600
_NOT_OF_A_SLUG = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """All that is decided about a job when it is submitted, the future included."""

    order: Order
    course: Course
    seed: int
    """Of its readings."""
    behavior: Behavior = Behavior.STEADY
    correction: tuple[int, float] | None = None
    """Seconds from submission, and by which part of the cost so far it is then corrected."""
    recurs: bool = False
    """Whether another job follows when it ends."""

    @property
    def life(self) -> int | None:
        """Seconds from submission to end; None when it never ends by itself."""
        at, state = self.course[-1]
        return None if state in LEGAL else at


@dataclass(slots=True, eq=False)
class SimulatedJob:
    """A submitted job. Instants are whole Unix seconds of simulated time.

    It costs money from LAUNCHING (the machine is held while it is made ready) to its end, by the
    second. GPU hours count from RUNNING to its end, as the GPUs are of use to nobody before.
    When it runs again, ``billed_from``, ``started_at`` and ``finished_at`` are those of that run.
    """

    ordinal: int
    """Its place in the order of creation, from 0."""
    code: int
    draft: Draft
    created_at: int
    state: SimulatedState = SimulatedState.SUBMIT_CODE
    timeline: list[tuple[int, SimulatedState]] = field(default_factory=list)
    """Every state it was in and since when, oldest first."""
    corrections: list[tuple[int, int]] = field(default_factory=list)
    """Instants and micro-dollars."""
    corrected: int = 0
    billed_from: int | None = None
    started_at: int | None = None
    finished_at: int | None = None
    billing: Billing = Billing.BY_SECOND
    prices: list[tuple[int, int]] = field(default_factory=list)
    """Since when it has which price, in micro-dollars a second; oldest first."""
    earlier_runs: int = 0
    meters_since: int | None = None
    """Since when the API reports cost and GPU hours, where they began anew."""
    _earlier_cost: int = 0
    _earlier_gpu_seconds: int = 0
    _left_out: tuple[int, int] = (0, 0)
    """Micro-dollars and GPU seconds that are not reported, as the meters began anew."""

    def __post_init__(self) -> None:
        self.timeline.append((self.created_at, self.state))
        self.prices.append((self.created_at, self.order.offer.price))

    @property
    def order(self) -> Order:
        """What was asked for."""
        return self.draft.order

    @property
    def rid(self) -> str:
        """Its readable id."""
        slug = _NOT_OF_A_SLUG.sub("-", self.order.name.lower()).strip("-")
        return f"{slug or 'job'}-{self.ordinal + 1}"

    @property
    def expires_at(self) -> int | None:
        """When it will be terminated, if it then still exists."""
        after = self.order.expires_after
        return None if after is None else self.created_at + after

    def enter(self, state: SimulatedState, at: int) -> None:
        """Take the step to ``state``."""
        self.state = state
        self.timeline.append((at, state))
        if state is SimulatedState.LAUNCHING:
            self.billed_from = at
        elif state is SimulatedState.RUNNING:
            self.started_at = at
        elif state not in LEGAL:
            self.finished_at = at

    def correct(self, amount: int, at: int) -> None:
        """Add ``amount`` micro-dollars, or take them off."""
        self.corrections.append((at, amount))
        self.corrected += amount

    @property
    def price(self) -> int:
        """What it costs in a second now, in micro-dollars."""
        return self.prices[-1][1]

    @property
    def hourly_dollars(self) -> float:
        """The same in the unit of the API."""
        return self.price * 3600 / 1_000_000

    def run_again(self, at: int, *, restarted: bool) -> None:
        """Get ready for another run; ``restarted``: the API reports its cost from zero again."""
        cost, gpu_seconds = self.cost(at), self.gpu_seconds(at)
        self._earlier_cost = cost - self.corrected
        self._earlier_gpu_seconds = gpu_seconds
        if restarted:
            self._left_out = (cost, gpu_seconds)
            self.meters_since = at
        self.earlier_runs += 1
        self.billed_from = self.started_at = self.finished_at = None

    def cost(self, now: int) -> int:
        """Return what it has truly cost until ``now``, in micro-dollars."""
        return self._earlier_cost + self._run_cost(now) + self.corrected

    def gpu_seconds(self, now: int) -> int:
        """Return for how many GPU seconds it has run until ``now``."""
        run = self.order.offer.gpus * self._seconds_since(self.started_at, now)
        return self._earlier_gpu_seconds + run

    def billed_until(self, now: int) -> int:
        """Return until when the API reports its cost at ``now``."""
        if self.billed_from is None:
            return now
        if self.finished_at is not None:
            return self.finished_at
        match self.billing:
            case Billing.BY_SECOND:
                return now
            case Billing.HOURLY:
                return now - (now - self.billed_from) % _HOUR
            case Billing.AT_END:
                return self.billed_from

    def reported_cost(self, now: int) -> int:
        """Return which cost the API reports at ``now``, in micro-dollars."""
        return self.cost(self.billed_until(now)) - self._left_out[0]

    def reported_gpu_seconds(self, now: int) -> int:
        """Return for how many GPU seconds the API reports that it ran."""
        return self.gpu_seconds(now) - self._left_out[1]

    def _run_cost(self, now: int) -> int:
        """Return what the present run has cost."""
        if self.billed_from is None:
            return 0
        end = now if self.finished_at is None else min(now, self.finished_at)
        if len(self.prices) == 1:
            return self.price * (end - self.billed_from)
        changes = [max(at, self.billed_from) for at, _ in self.prices]
        ends = [*changes[1:], end]
        return sum(
            price * max(0, min(until, end) - since)
            for (_, price), since, until in zip(self.prices, changes, ends, strict=True)
        )

    def _seconds_since(self, since: int | None, now: int) -> int:
        if since is None:
            return 0
        return (now if self.finished_at is None else self.finished_at) - since
