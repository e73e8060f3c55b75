"""What may become of a job: its states, the ways between them, and how long each takes.

The states are those that the vendor's clients parse. Durations are whole simulated seconds.
"""

from __future__ import annotations

from enum import Enum, StrEnum
from math import log
from random import Random
from typing import TypeAlias

from trainwave_exporter.simulator.weighted_choice import WeightedChoice


class SimulatedState(StrEnum):
    """The states of a job, as the deployed dialect spells them."""

    SUBMIT_CODE = "SUBMIT_CODE"
    LAUNCHING = "LAUNCHING"
    RUNNING = "RUNNING"
    UPLOADING = "UPLOADING"
    SUCCESS = "SUCCESS"
    ERROR = "ERROR"
    USER_PROCESS_FAILED = "USER_PROCESS_FAILED"
    SYSTEM_TERMINATED = "SYSTEM_TERMINATED"
    USER_CANCELLED = "USER_CANCELLED"


_CUT_SHORT = frozenset(
    {SimulatedState.ERROR, SimulatedState.SYSTEM_TERMINATED, SimulatedState.USER_CANCELLED}
)

LEGAL: dict[SimulatedState, frozenset[SimulatedState]] = {
    SimulatedState.SUBMIT_CODE: _CUT_SHORT | {SimulatedState.LAUNCHING},
    SimulatedState.LAUNCHING: _CUT_SHORT | {SimulatedState.RUNNING},
    SimulatedState.RUNNING: _CUT_SHORT
    | {SimulatedState.UPLOADING, SimulatedState.USER_PROCESS_FAILED},
    SimulatedState.UPLOADING: _CUT_SHORT | {SimulatedState.SUCCESS},
}
"""Where a state may lead; a state without an entry is terminal."""


class Status(StrEnum):
    """What the list's ``status`` filter takes."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"


def status_of(state: SimulatedState) -> Status | None:
    """Return which value of the filter selects a job in ``state``.

    The filter names three states of which the reference shows one, so ``running`` selects RUNNING
    and nothing else; a job on its way to or from there is found in the unfiltered list only.
    """
    if state is SimulatedState.RUNNING:
        return Status.RUNNING
    if state is SimulatedState.SUCCESS:
        return Status.COMPLETED
    return None if state in LEGAL else Status.FAILED


class Behavior(Enum):
    """How a job behaves, beyond its course."""

    STEADY = "works from start to end"
    IDLES = "stops using its GPUs some time after its start, and keeps them"
    LAME = "one of its several GPUs is never used"
    HANGS = "never leaves LAUNCHING, and is billed for it"


Course: TypeAlias = tuple[tuple[int, SimulatedState], ...]
"""Each state after SUBMIT_CODE, with the seconds from submission to its beginning."""

_THROUGH = (
    SimulatedState.LAUNCHING,
    SimulatedState.RUNNING,
    SimulatedState.UPLOADING,
    SimulatedState.SUCCESS,
)

_WAYS = WeightedChoice(
    (
        (_THROUGH, 72),
        (
            (SimulatedState.LAUNCHING, SimulatedState.RUNNING, SimulatedState.USER_PROCESS_FAILED),
            10,
        ),
        ((SimulatedState.LAUNCHING, SimulatedState.RUNNING, SimulatedState.USER_CANCELLED), 6),
        ((SimulatedState.LAUNCHING, SimulatedState.RUNNING, SimulatedState.SYSTEM_TERMINATED), 4),
        (
            (
                SimulatedState.LAUNCHING,
                SimulatedState.RUNNING,
                SimulatedState.UPLOADING,
                SimulatedState.ERROR,
            ),
            2,
        ),
        ((SimulatedState.LAUNCHING, SimulatedState.ERROR), 3),
        ((SimulatedState.LAUNCHING, SimulatedState.USER_CANCELLED), 2),
        ((SimulatedState.ERROR,), 1),
    )
)

_MEDIAN_RUN = 2 * 3600
_LONGEST_RUN = 24 * 3600
_SHORTEST_RUN = 5 * 60
TYPICAL_LIFE = 9_000
"""About the mean seconds from submission to end."""

_SECONDS_IN = {
    SimulatedState.SUBMIT_CODE: (5, 40),
    SimulatedState.LAUNCHING: (45, 240),
    SimulatedState.UPLOADING: (10, 120),
}


def draw_course(random: Random, behavior: Behavior) -> Course:
    """Draw the course of a new job: legal, and never without an end but for `Behavior.HANGS`."""
    if behavior is Behavior.HANGS:
        return ((random.randint(5, 40), SimulatedState.LAUNCHING),)
    if behavior is Behavior.STEADY:
        way = _WAYS.draw(random)
        run = int(random.lognormvariate(log(_MEDIAN_RUN), 0.8))
        run = min(max(run, _SHORTEST_RUN), _LONGEST_RUN)
    else:  # long enough for the behavior to show
        way = _THROUGH
        run = random.randint(_MEDIAN_RUN, 3 * _MEDIAN_RUN)
    at = 0
    before = SimulatedState.SUBMIT_CODE
    course: list[tuple[int, SimulatedState]] = []
    for state in way:
        if before is SimulatedState.RUNNING:
            whole = state is SimulatedState.UPLOADING
            at += run if whole else max(1, int(run * random.uniform(0.02, 0.9)))
        else:
            at += random.randint(*_SECONDS_IN[before])
        course.append((at, state))
        before = state
    return tuple(course)


def expire(course: Course, after: int) -> Course:
    """Return ``course`` as it goes for a job that is terminated ``after`` so many seconds."""
    kept = tuple(step for step in course if step[0] < after)
    if kept and kept[-1][1] not in LEGAL:
        return kept
    return (*kept, (after, SimulatedState.SYSTEM_TERMINATED))
