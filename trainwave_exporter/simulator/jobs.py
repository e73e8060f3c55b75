"""A job: what was ordered, what has become of it, and what it has cost."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from trainwave_exporter.simulator.lifecycle import LEGAL, Course, State, Temper
from trainwave_exporter.simulator.orders import Order

_NOT_OF_A_SLUG = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """All that is decided about a job when it is submitted, the future included."""

    order: Order
    course: Course
    seed: int
    """Of its readings."""
    temper: Temper = Temper.STEADY
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
class Job:
    """A submitted job. Instants are whole Unix seconds of simulated time.

    It is billed from LAUNCHING (the machine is held while it is made ready) to its end, by the
    second. GPU hours count from RUNNING to its end, as the GPUs are of use to nobody before.
    """

    ordinal: int
    """Its place in the order of creation, from 0."""
    code: int
    draft: Draft
    created_at: int
    state: State = State.SUBMIT_CODE
    timeline: list[tuple[int, State]] = field(default_factory=list)
    """Every state it was in and since when, oldest first."""
    corrections: list[tuple[int, int]] = field(default_factory=list)
    """Instants and micro-dollars."""
    corrected: int = 0
    billed_from: int | None = None
    started_at: int | None = None
    finished_at: int | None = None

    def __post_init__(self) -> None:
        self.timeline.append((self.created_at, self.state))

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

    def enter(self, state: State, at: int) -> None:
        """Take the step to ``state``."""
        self.state = state
        self.timeline.append((at, state))
        if state is State.LAUNCHING:
            self.billed_from = at
        elif state is State.RUNNING:
            self.started_at = at
        elif state not in LEGAL:
            self.finished_at = at

    def correct(self, amount: int, at: int) -> None:
        """Add ``amount`` micro-dollars, or take them off."""
        self.corrections.append((at, amount))
        self.corrected += amount

    def cost(self, now: int) -> int:
        """Return what it has cost until ``now``, in micro-dollars."""
        return self.order.offer.price * self._seconds_since(self.billed_from, now) + self.corrected

    def gpu_seconds(self, now: int) -> int:
        """Return for how many GPU seconds it has run until ``now``."""
        return self.order.offer.gpus * self._seconds_since(self.started_at, now)

    def _seconds_since(self, since: int | None, now: int) -> int:
        if since is None:
            return 0
        return (now if self.finished_at is None else self.finished_at) - since
