"""Jobs without series of their own, summed up: ``sum by (project_id)`` stays true for all of them.

The jobs that share every identity label but ``job_id`` (those of a project, that is) become one
object, with ``job_id="other"`` and the additive families of a job.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from math import fsum

from msgspec import Struct

from trainwave_exporter.exposition import text
from trainwave_exporter.exposition.families import job as job_families
from trainwave_exporter.exposition.family import Family, Sample
from trainwave_exporter.exposition.renderer import Table
from trainwave_exporter.exposition.text import LabelValues
from trainwave_exporter.model import Job

OTHER = "other"


class Fold(Struct, frozen=True):
    """Several jobs of a project, as one."""

    identity: LabelValues
    jobs: tuple[Job, ...]


class Folds:
    """The folded jobs of every project; a project is summed again only when one of them changed."""

    def __init__(self, families: Iterable[Family[Job]]) -> None:
        self._of_job: dict[str, LabelValues] = {}
        self._jobs: defaultdict[LabelValues, dict[str, Job]] = defaultdict(dict)
        self._dirty: set[LabelValues] = set()
        self._table = Table(
            [folded(family) for family in families if family.additive],
            job_families.labels,
            lambda fold: fold.identity,
        )

    def __len__(self) -> int:
        """How many jobs are folded."""
        return len(self._of_job)

    def put(self, job: Job) -> None:
        """Fold a job, or take over what it has become."""
        identity = _shared_identity(job)
        if self._of_job.get(job.id, identity) != identity:
            self.remove(job.id)
        self._of_job[job.id] = identity
        self._jobs[identity][job.id] = job
        self._dirty.add(identity)

    def remove(self, job_id: str) -> None:
        """Forget a job, folded or not."""
        identity = self._of_job.pop(job_id, None)
        if identity is not None:
            del self._jobs[identity][job_id]
            self._dirty.add(identity)

    @property
    def table(self) -> Table[Fold]:
        """The sums as they are now."""
        for identity in self._dirty:
            key = text.labels(job_families.labels, identity)
            if jobs := self._jobs[identity]:
                self._table.put(key, Fold(identity, tuple(jobs.values())))
            else:
                del self._jobs[identity]
                self._table.remove(key)
        self._dirty.clear()
        return self._table


def folded(family: Family[Job]) -> Family[Fold]:
    """Return the family of exact sums over jobs, of all GPUs together."""
    kept = [place for place, label in enumerate(family.labels) if label != "gpu"]

    def samples(fold: Fold) -> Iterable[Sample]:
        addends: defaultdict[tuple[str, LabelValues], list[float]] = defaultdict(list)
        for job in fold.jobs:
            for suffix, values, value in family.samples(job):
                further = tuple([values[place] for place in kept])
                addends[suffix, further].append(value)
        return [(*series, _sum(values)) for series, values in addends.items()]

    further = tuple([family.labels[place] for place in kept])
    return Family(family.description, further, family.additive, samples)


def _shared_identity(job: Job) -> LabelValues:
    named = zip(job_families.labels, job_families.identity(job), strict=True)
    return tuple([OTHER if label == "job_id" else value for label, value in named])


def _sum(values: list[float]) -> float:
    """Return the exact sum; what IEEE 754 says where there is none (infinities, overflow)."""
    try:
        return fsum(values)
    except (OverflowError, ValueError):
        return sum(values)
