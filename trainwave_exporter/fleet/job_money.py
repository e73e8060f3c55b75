"""Cost and GPU hours of a job: what is reported, for how long it holds, and what follows from it.

Each function returns the job with these; the entry keeps when they were reported.
"""

from __future__ import annotations

from msgspec.structs import replace

from trainwave_exporter.fleet import lifecycle
from trainwave_exporter.fleet.entry import Entry, Policy
from trainwave_exporter.fleet.noted_jobs import outdated
from trainwave_exporter.model import Job


def with_reported(entry: Entry, job: Job, reported: Job, policy: Policy, now: float) -> Job:
    """Keep a cost, or GPU hours, that the answers stopped reporting for a bounded time only."""
    if reported.cost_dollars is not None:
        entry.cost_reported_at = reported.confirmed_at
        job = replace(job, cost_reported_at=None)
    elif not outdated(
        entry.cost_reported_at,
        now,
        policy.listed_at_least_every if job.finished else policy.staleness,
    ):
        job = replace(job, cost_reported_at=entry.cost_reported_at)
    else:
        job = replace(job, cost_dollars=None, cost_reported_at=None)
    if reported.gpu_hours is not None:
        entry.gpu_hours_reported_at = reported.confirmed_at
        return replace(job, gpu_hours_reported_at=None)
    if not outdated(entry.gpu_hours_reported_at, now, policy.listed_at_least_every):
        return replace(job, gpu_hours_reported_at=entry.gpu_hours_reported_at)
    return replace(job, gpu_hours=None, gpu_hours_reported_at=None)


def with_gpu_hours(entry: Entry, job: Job, now: float) -> Job:
    """Work out the GPU hours of a job whose answers do not report them."""
    if entry.gpu_hours_reported_at is not None:
        return job
    started, finished = _start(entry, job, now), job.finished_at or entry.finished_seen
    return replace(job, gpu_hours=lifecycle.gpu_hours(job, now, started, finished))


def with_own_gpu_hours(job: Job, now: float) -> Job:
    """Work out the GPU hours of a job that is not kept, from its own answer alone."""
    if job.gpu_hours is not None:
        return job
    hours = lifecycle.gpu_hours(job, now, job.started_at, job.finished_at)
    return replace(job, gpu_hours=hours)


def _start(entry: Entry, job: Job, now: float) -> float | None:
    """Return since when a job runs; None: its bill at its price says how long it has run.

    Once the price changes, cost over price does not say that any more; so what it said is kept.
    """
    started = job.started_at or entry.started_seen
    if started is not None:
        return started
    price, hours = job.hourly_cost_dollars, lifecycle.billed_hours(job)
    if entry.price is None:
        entry.price = price
    if price != entry.price:
        return entry.billed_since
    if hours is not None and job.running:
        since = max(now - 3600 * hours, job.created_at or 0.0)
        entry.billed_since = min(since, entry.billed_since or since)
    return None
