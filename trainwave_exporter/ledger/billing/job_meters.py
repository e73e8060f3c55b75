"""The values of a job's meters at any time, over all its runs. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from trainwave_exporter.ledger.billing.job_entry import JobEntry, Life, Meter, MeterSample
from trainwave_exporter.ledger.billing.meter_value import value_at
from trainwave_exporter.ledger.billing.stored_records import JobHistory


def cost_before(history: JobHistory, at: int) -> int:
    """Return what a job cost before ``at`` (milliseconds), in micro-dollars."""
    entry = history.entry
    earlier = sum(_of_run(run.cost, run.run.life, at) for run in history.earlier)
    return earlier + _present(history.cost, entry.cost, known_life(entry), at)


def gpu_before(history: JobHistory, at: int) -> int:
    """Return the GPU milliseconds that a job used before ``at`` (milliseconds)."""
    entry = history.entry
    earlier = sum(_of_run(run.gpu, run.run.life, at) for run in history.earlier)
    return earlier + _present(history.gpu, entry.gpu, known_life(entry), at)


def known_life(entry: JobEntry) -> Life:
    """Return the times of a job's present run; one that was seen to wait has a start, too."""
    life, since = entry.life, entry.running_since
    waited = since is not None and since > (entry.run_seen or entry.first_seen)
    return replace(life, started=since) if life.started is None and waited else life


def cost_so_far(entry: JobEntry) -> int:
    """Return what a job is reported to have cost, in micro-dollars."""
    return entry.cost_base + (0 if entry.cost is None else entry.cost.last.value)


def _of_run(kept: Sequence[MeterSample], life: Life, at: int) -> int:
    return value_at(kept, kept[-1], life, at) if kept else 0


def _present(kept: Sequence[MeterSample], meter: Meter | None, life: Life, at: int) -> int:
    return 0 if meter is None else value_at(kept, meter.last, life, at)
