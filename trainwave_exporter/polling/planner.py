"""Which requests are worth most now. Pure: fleet, agenda and time in, questions out, best first.

The lists of jobs bring state and cost by themselves; what is planned here is the rest:

1. the details of a job that ran when last heard of and is missing from the running list: it has
   probably ended, and its last state and cost are wanted at once;
2. the details of a live job that the list does not bring (name, hardware, price, start), once per
   state; and, as often as a share of the budget allows, those of jobs that the running list never
   names because they wait to run or are being wound up: nothing else confirms their state;
3. everything else that ages: the readings of running jobs, and the missing details of finished
   ones, without which nobody knows what their money was spent on. Oldest and dearest first: what
   counts is the age in units of the ideal interval, weighted with the square root of the job's
   price, and doubled for GPU utilization, which tells idle GPUs. An age grows without bound, so
   nothing starves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import nlargest
from math import sqrt

from msgspec import Struct
from msgspec.structs import replace

from trainwave_exporter.model import Job, Metric
from trainwave_exporter.polling.agenda import LONGEST_PAUSE_SECONDS, Agenda, Asked, Question
from trainwave_exporter.polling.pace import brought_by_list, readings_in_a_round

_NEVER_READ = 1e6
"""What has never been read counts as this many ideal intervals old: it comes before the rest."""
_METRIC_WEIGHT = {Metric.GPU_UTILIZATION: 2.0}
_UNLISTED_SHARE = 0.25
"""The part of the budget that confirming the state of unlisted jobs may take."""
_CHEAPEST = 0.1
"""Price in dollars per hour below which, or without which, jobs weigh the same."""


class Situation(Struct, frozen=True, kw_only=True):
    """What the planner needs to know besides the jobs and the agenda."""

    now: float
    """Unix seconds."""
    listed_since: float
    """When the newest successful walk of the running list began: it confirmed whom it named."""
    state_interval: float
    """How often, in seconds, the state of a live job is to be confirmed."""
    readings_interval: float
    """The ideal age in seconds at which a reading is asked for again."""
    requests_per_minute: float
    """What the budget has for all that is planned here."""


class Choice(Struct, frozen=True):
    """What came of planning."""

    questions: tuple[Question, ...]
    """What to ask now, best first."""
    due: int
    """How many were due, these included."""
    readings: int
    """How many readings one round over all running jobs takes."""


class _Need(Struct, frozen=True):
    rank: int
    score: float
    question: Question


def plan(jobs: Iterable[Job], agenda: Agenda, situation: Situation, slots: int) -> Choice:
    """Return at most ``slots`` questions for ``jobs`` (all that are shown of one account)."""
    jobs = list(jobs)
    unlisted = sum(_unlisted(job, situation) and not job.running for job in jobs)
    patience = 60.0 * unlisted / (_UNLISTED_SHARE * max(1.0, situation.requests_per_minute))
    situation = replace(situation, state_interval=max(situation.state_interval, patience))
    due = [need for job in jobs for need in _needs(job, agenda, situation)]
    best = nlargest(slots, due, key=lambda need: (need.rank, need.score))
    return Choice(tuple(need.question for need in best), len(due), readings_in_a_round(jobs))


def _needs(job: Job, agenda: Agenda, situation: Situation) -> Iterator[_Need]:
    now = situation.now
    details = Question(job.id)
    asked = agenda.asked(details)
    if _may_be_asked(asked, now):
        rank = _details_rank(job, asked.answered_in_state, situation)
        if rank is not None:
            asked_before = asked.answered_at is not None or not job.finished
            age = _age(now, job.confirmed_at) / situation.state_interval
            yield _Need(rank, (age if asked_before else _NEVER_READ) * _weight(job), details)
    if job.running:
        for metric in Metric:
            yield from _reading_needs(job, metric, agenda, situation)


def _details_rank(job: Job, answered_in_state: str | None, situation: Situation) -> int | None:
    unlisted = _unlisted(job, situation)
    if unlisted and job.running:
        return 3
    if answered_in_state != job.state and _lacks_details(job, asked=answered_in_state is not None):
        return 1 if job.finished else 2
    if unlisted and _age(situation.now, job.confirmed_at) >= situation.state_interval:
        return 2
    return None


def _unlisted(job: Job, situation: Situation) -> bool:
    """Whether a live job is missing from the newest walk of the running list."""
    listed = situation.listed_since <= job.confirmed_at <= situation.now
    return not listed and not job.finished


def _lacks_details(job: Job, *, asked: bool) -> bool:
    """Whether something is missing that a job's details would tell.

    Where the list tells name, hardware and price, it tells all that the details do; missing times
    are worth a request only where the details had to be asked for the rest.
    """
    if job.name is None or job.gpus is None or job.hourly_cost_dollars is None:
        return True
    times_missing = (job.running and job.started_at is None) or (
        job.finished and job.finished_at is None
    )
    return asked and times_missing


def _reading_needs(
    job: Job, metric: Metric, agenda: Agenda, situation: Situation
) -> Iterator[_Need]:
    question = Question(job.id, metric)
    asked = agenda.asked(question)
    if not _may_be_asked(asked, situation.now) or brought_by_list(job, metric):
        return
    if asked.answered_at is None:
        age = _NEVER_READ
    else:
        age = _age(situation.now, asked.answered_at) / situation.readings_interval
    if age >= 1:
        yield _Need(1, age * _weight(job) * _METRIC_WEIGHT.get(metric, 1.0), question)


def _may_be_asked(asked: Asked, now: float) -> bool:
    """Whether it is not under way, nor in its pause after a failure."""
    return not asked.under_way and not now < asked.not_before <= now + LONGEST_PAUSE_SECONDS


def _age(now: float, then: float) -> float:
    """Return seconds since ``then``; what lies ahead (the clock was set back) is beyond any age."""
    return now - then if then <= now else _NEVER_READ


def _weight(job: Job) -> float:
    return sqrt(max(job.hourly_cost_dollars or 0.0, _CHEAPEST))
