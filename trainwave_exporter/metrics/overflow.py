"""Objects without series of their own, summed up: sums over all of them stay true.

The jobs that share every identity label but ``job_id`` (those of a project, that is) become one
object, with ``job_id="other"`` and the additive families of a job. Where there are more projects
than wanted, the jobs of all others become one, likewise.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from typing import Generic, TypeAlias, TypeVar

from msgspec import Struct

from trainwave_exporter.exposition import text
from trainwave_exporter.exposition.family import Family, Sample
from trainwave_exporter.exposition.lines import Tails, of_samples
from trainwave_exporter.exposition.table import Table
from trainwave_exporter.exposition.text import LabelValues
from trainwave_exporter.metrics.exact_sum import ExactSum
from trainwave_exporter.model import OTHER

R = TypeVar("R")

Series: TypeAlias = tuple[str, LabelValues]
"""What is added to a family's name, and the values of its own labels, ``gpu`` left out."""


class Overflow(Struct, frozen=True):
    """What several jobs of a project come to, as one."""

    identity: LabelValues
    totals: tuple[Mapping[Series, float], ...]
    """Of each family, in order."""


class AdditiveFamilies(Generic[R]):
    """An additive family, and the samples of its records as they are added up."""

    def __init__(self, family: Family[R]) -> None:
        self._family = family
        self._kept = [place for place, label in enumerate(family.labels) if label != "gpu"]

    def of(self, record: R | None) -> list[tuple[Series, float]]:
        """Return what a record adds to which series; of none: nothing."""
        if record is None:
            return []
        return [
            ((suffix, tuple([values[place] for place in self._kept])), value)
            for suffix, values, value in self._family.samples(record)
        ]

    def of_overflow(self, number: int) -> Family[Overflow]:
        """Return the family of the sums, which have that place among the totals."""

        def samples(overflow: Overflow) -> Iterable[Sample]:
            return [(*series, value) for series, value in overflow.totals[number].items()]

        family = self._family
        labels = tuple([family.labels[place] for place in self._kept])
        writer = of_samples(family.name, samples, Tails(labels, after=True))
        return Family(family.description, labels, family.additive, samples, writer)


class OverflowProject(Generic[R]):
    """The records of a project in the overflow, and their sums: exact, however they came about."""

    def __init__(self, families: tuple[AdditiveFamilies[R], ...]) -> None:
        self.records: dict[str, R] = {}
        self._sums: list[tuple[AdditiveFamilies[R], dict[Series, ExactSum]]] = [
            (family, {}) for family in families
        ]

    def replace(self, job_id: str, record: R | None) -> None:
        """Take in what a job has become, in the place of what it was; None: it is gone."""
        before = self.records.pop(job_id, None)
        if record is not None:
            self.records[job_id] = record
        for family, sums in self._sums:
            gone, come = family.of(before), family.of(record)
            if gone != come:
                for series, value in come:
                    sums.setdefault(series, ExactSum()).add(value)
                for series, value in gone:
                    sums[series].remove(value)
                    if not sums[series]:
                        del sums[series]

    def totals(self) -> tuple[Mapping[Series, float], ...]:
        """Return the sums of each family, in an order of their own."""
        return tuple(
            [
                {series: sums[series].value for series in sorted(sums, key=repr)}
                for _, sums in self._sums
            ]
        )


class Overflows(Generic[R]):
    """The overflow of every project. A job that changes costs no more for the others in it.

    Takes records of one kind, by the id of the job that they are about, or another key.
    """

    def __init__(
        self,
        families: Iterable[Family[R]],
        labels: tuple[str, ...],
        identity: Callable[[R], LabelValues],
        *,
        summed: Container[str],
        limit: int = 0,
    ) -> None:
        """Sum up objects that differ in the labels ``summed`` alone.

        By all others, at most ``limit`` are distinguished (0: any number).
        """
        self._labels = labels
        self._identity = identity
        self._summed = summed
        self._limit = limit
        self._rest: LabelValues = (OTHER,) * len(labels)
        self._of_job: dict[str, LabelValues] = {}
        additive = tuple([AdditiveFamilies(family) for family in families if family.additive])
        self._projects: defaultdict[LabelValues, OverflowProject[R]] = defaultdict(
            lambda: OverflowProject(additive)
        )
        self._changed: set[LabelValues] = set()
        self.table = Table[Overflow](
            [family.of_overflow(number) for number, family in enumerate(additive)],
            labels,
            lambda overflow: overflow.identity,
        )
        """The sums as they were settled last."""

    def __len__(self) -> int:
        """How many objects are in it."""
        return len(self._of_job)

    def __contains__(self, job_id: str) -> bool:
        """Whether that one is."""
        return job_id in self._of_job

    def records(self) -> Iterator[R]:
        """Yield all that are in it."""
        for project in self._projects.values():
            yield from project.records.values()

    def put(self, job_id: str, record: R) -> None:
        """Sum up a job, or take over what it has become."""
        identity = self._place(self._shared_identity(record))
        if self._of_job.get(job_id, identity) != identity:
            self.remove(job_id)
        self._of_job[job_id] = identity
        self._projects[identity].replace(job_id, record)
        self._changed.add(identity)

    def remove(self, job_id: str) -> None:
        """Forget a job, known or not."""
        identity = self._of_job.pop(job_id, None)
        if identity is not None:
            self._projects[identity].replace(job_id, None)
            self._changed.add(identity)

    def settle(self) -> Iterator[None]:
        """Bring the table up to date, a project at every step."""
        for identity in self._changed:
            key = text.labels(self._labels, identity)
            project = self._projects[identity]
            if project.records:
                self.table.put(key, Overflow(identity, project.totals()))
            else:
                del self._projects[identity]
                self.table.remove(key)
            yield
        self._changed.clear()

    def _place(self, identity: LabelValues) -> LabelValues:
        """Return under which identity the objects that share one are summed up."""
        known = self._projects.keys()
        room = not self._limit or len(known) - (self._rest in known) < self._limit
        return identity if room or identity in known else self._rest

    def _shared_identity(self, record: R) -> LabelValues:
        named = zip(self._labels, self._identity(record), strict=True)
        return tuple([OTHER if label in self._summed else value for label, value in named])
