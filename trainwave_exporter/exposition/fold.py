"""Jobs without series of their own, summed up: ``sum by (project_id)`` stays true for all of them.

The jobs that share every identity label but ``job_id`` (those of a project, that is) become one
object, with ``job_id="other"`` and the additive families of a job.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from math import fsum
from typing import Generic, TypeVar

from msgspec import Struct

from trainwave_exporter.exposition import text
from trainwave_exporter.exposition.family import Family, Sample
from trainwave_exporter.exposition.lines import Tails, of_samples
from trainwave_exporter.exposition.table import Table
from trainwave_exporter.exposition.text import LabelValues

R = TypeVar("R")

OTHER = "other"


class Fold(Struct, Generic[R], frozen=True):
    """What is told of several jobs of a project, as one."""

    identity: LabelValues
    records: tuple[R, ...]


class Folds(Generic[R]):
    """The folded jobs of every project; a project is summed again only when one of them changed.

    Takes records of one kind, by the id of the job that they tell of.
    """

    def __init__(
        self,
        families: Iterable[Family[R]],
        labels: tuple[str, ...],
        identity: Callable[[R], LabelValues],
    ) -> None:
        self._labels = labels
        self._identity = identity
        self._of_job: dict[str, LabelValues] = {}
        self._records: defaultdict[LabelValues, dict[str, R]] = defaultdict(dict)
        self._dirty: set[LabelValues] = set()
        self._table = Table[Fold[R]](
            [folded(family) for family in families if family.additive],
            labels,
            lambda fold: fold.identity,
        )

    def __len__(self) -> int:
        """How many jobs are folded."""
        return len(self._of_job)

    def put(self, job_id: str, record: R) -> None:
        """Fold a job, or take over what it has become."""
        identity = self._shared_identity(record)
        if self._of_job.get(job_id, identity) != identity:
            self.remove(job_id)
        self._of_job[job_id] = identity
        self._records[identity][job_id] = record
        self._dirty.add(identity)

    def remove(self, job_id: str) -> None:
        """Forget a job, folded or not."""
        identity = self._of_job.pop(job_id, None)
        if identity is not None:
            del self._records[identity][job_id]
            self._dirty.add(identity)

    @property
    def table(self) -> Table[Fold[R]]:
        """The sums as they are now."""
        for identity in self._dirty:
            key = text.labels(self._labels, identity)
            if records := self._records[identity]:
                self._table.put(key, Fold(identity, tuple(records.values())))
            else:
                del self._records[identity]
                self._table.remove(key)
        self._dirty.clear()
        return self._table

    def _shared_identity(self, record: R) -> LabelValues:
        named = zip(self._labels, self._identity(record), strict=True)
        return tuple([OTHER if label == "job_id" else value for label, value in named])


def folded(family: Family[R]) -> Family[Fold[R]]:
    """Return the family of exact sums over jobs, of all GPUs together."""
    kept = [place for place, label in enumerate(family.labels) if label != "gpu"]

    def samples(fold: Fold[R]) -> Iterable[Sample]:
        addends: defaultdict[tuple[str, LabelValues], list[float]] = defaultdict(list)
        for record in fold.records:
            for suffix, values, value in family.samples(record):
                further = tuple([values[place] for place in kept])
                addends[suffix, further].append(value)
        return [(*series, _sum(values)) for series, values in addends.items()]

    further = tuple([family.labels[place] for place in kept])
    writer = of_samples(family.name, samples, Tails(further, after=True))
    return Family(family.description, further, family.additive, samples, writer)


def _sum(values: list[float]) -> float:
    """Return the exact sum; what IEEE 754 says where there is none (infinities, overflow)."""
    try:
        return fsum(values)
    except (OverflowError, ValueError):
        return sum(values)
