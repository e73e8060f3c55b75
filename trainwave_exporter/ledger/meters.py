"""What the meters of a job showed at any time, all its runs together. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from trainwave_exporter.ledger.curve_value import value_at
from trainwave_exporter.ledger.entry import Curve, JobEntry, Life, Sighting
from trainwave_exporter.ledger.stored import Story


def cost_before(story: Story, at: int) -> int:
    """Return what a job cost before ``at`` (milliseconds), in micro-dollars."""
    entry = story.entry
    earlier = sum(_of_run(run.cost, run.run.life, at) for run in story.earlier)
    return earlier + _present(story.cost, entry.cost, known_life(entry), at)


def gpu_before(story: Story, at: int) -> int:
    """Return the GPU milliseconds that a job used before ``at`` (milliseconds)."""
    entry = story.entry
    earlier = sum(_of_run(run.gpu, run.run.life, at) for run in story.earlier)
    return earlier + _present(story.gpu, entry.gpu, known_life(entry), at)


def known_life(entry: JobEntry) -> Life:
    """Return the times of a job's present run; one that was seen to wait has a start, too."""
    life, since = entry.life, entry.running_since
    waited = since is not None and since > (entry.run_seen or entry.first_seen)
    return replace(life, started=since) if life.started is None and waited else life


def cost_so_far(entry: JobEntry) -> int:
    """Return what a job is reported to have cost, in micro-dollars."""
    return entry.cost_base + (0 if entry.cost is None else entry.cost.last.told)


def _of_run(kept: Sequence[Sighting], life: Life, at: int) -> int:
    return value_at(kept, kept[-1], life, at) if kept else 0


def _present(kept: Sequence[Sighting], curve: Curve | None, life: Life, at: int) -> int:
    return 0 if curve is None else value_at(kept, curve.last, life, at)
