"""What a metric is: a description, and a pure function from a record to its samples.

A kind of record has one `Families`, which its metrics are declared on::

    job = Families(Job, labels=("job_id",), identity=lambda j: (j.id,))

    @job.gauge("trainwave_job_cost_dollars", "Cost so far, as the API reports it.", additive=True)
    def cost(j: Job) -> float | None:      # None: no sample
        return j.cost_dollars

A family with labels of its own returns a mapping from their values to the sample's::

    @job.gauge("trainwave_job_gpu_utilization_ratio", "How busy.", labels=("gpu",))
    def utilization(j: Job) -> Mapping[LabelValues, float]:
        return {("0",): 0.5, ("1",): 0.75}

A family that only describes, and is always 1, returns the values of its labels::

    @job.info("trainwave_job_info", "What describes a job.", labels=("job_name",))
    def info(j: Job) -> LabelValues:
        return (j.name,)

A family of states, one of which is 1 and all others 0, returns that state::

    @job.state("trainwave_job_state", "1 for the present one.", label="state", known=("RUNNING",))
    def state(j: Job) -> str:
        return j.state
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Generic, TypeAlias, TypeVar, overload

from trainwave_exporter.exposition import lines
from trainwave_exporter.exposition.lines import Tails, Writer
from trainwave_exporter.exposition.text import Description, Kind, LabelValues
from trainwave_exporter.model import Distribution

R = TypeVar("R")
V = TypeVar("V")

Sample: TypeAlias = tuple[str, LabelValues, float]
"""What is added to the family's name, the values of its own labels, and the number."""

Single: TypeAlias = Callable[[R], V | None]
Several: TypeAlias = Callable[[R], Mapping[LabelValues, V]]


@dataclass(frozen=True, slots=True)
class Family(Generic[R]):
    """One metric of one kind of record. No two samples of a record have the same labels."""

    description: Description
    labels: tuple[str, ...]
    """Names of the labels beyond the record's identity, ``le`` of a histogram included."""
    additive: bool
    """Whether the sum over several records means something."""
    samples: Callable[[R], Iterable[Sample]]
    """The samples of one record."""
    writer: Writer[R]
    """Writes the same of many records at once."""

    @property
    def name(self) -> str:
        """The name in the metric table."""
        return self.description.name


class Declare(Generic[R, V]):
    """A decorator that declares families of one type; the function stays what it was."""

    def __init__(self, kind: Kind, identity: tuple[str, ...], declared: list[Family[R]]) -> None:
        self._kind = kind
        self._identity = identity
        self._declared = declared

    @overload
    def __call__(
        self, name: str, about: str, *, additive: bool = False
    ) -> Callable[[Single[R, V]], Single[R, V]]: ...

    @overload
    def __call__(
        self, name: str, about: str, *, labels: tuple[str, ...], additive: bool = False
    ) -> Callable[[Several[R, V]], Several[R, V]]: ...

    def __call__(
        self, name: str, about: str, *, labels: tuple[str, ...] = (), additive: bool = False
    ) -> Callable[[Callable[[R], Any]], Callable[[R], Any]]:
        """Declare ``name`` with its help text; ``labels`` are those beyond the identity."""
        description = Description(name, self._kind, (*self._identity, *labels), about)
        histogram = self._kind is Kind.HISTOGRAM
        expand = _cumulative if histogram else _plain
        own = (*labels, "le") if histogram else labels
        tails = Tails(own, after=bool(self._identity))

        def declare(function: Callable[[R], Any]) -> Callable[[R], Any]:
            def one(record: R) -> Iterable[Sample]:
                value = function(record)
                return () if value is None else expand((), value)

            def several(record: R) -> Iterable[Sample]:
                return [
                    sample
                    for values, value in function(record).items()
                    for sample in expand(values, value)
                ]

            samples = several if labels else one
            if histogram:
                writer = lines.of_samples(name, samples, tails)
            elif labels:
                writer = lines.of_several(name, function, tails)
            else:
                writer = lines.of_one(name, function)
            self._declared.append(Family(description, own, additive, samples, writer))
            return function

        return declare


class Families(Generic[R]):
    """The families of one kind of record, in order of declaration."""

    def __init__(
        self, record: type[R], *, labels: tuple[str, ...], identity: Callable[[R], LabelValues]
    ) -> None:
        self.record = record
        """The kind."""
        self.labels = labels
        """Names of the labels that every series of a record carries."""
        self.identity = identity
        """Their values."""
        self._declared: list[Family[R]] = []
        self.gauge = Declare[R, float](Kind.GAUGE, labels, self._declared)
        self.counter = Declare[R, float](Kind.COUNTER, labels, self._declared)
        self.histogram = Declare[R, Distribution](Kind.HISTOGRAM, labels, self._declared)

    def info(
        self, name: str, about: str, *, labels: tuple[str, ...]
    ) -> Callable[[Callable[[R], LabelValues]], Callable[[R], LabelValues]]:
        """Declare a gauge that is always 1, for the values of its labels that are returned."""
        description = Description(name, Kind.GAUGE, (*self.labels, *labels), about)
        tails = Tails(labels, after=bool(self.labels))

        def declare(function: Callable[[R], LabelValues]) -> Callable[[R], LabelValues]:
            def samples(record: R) -> Iterable[Sample]:
                return (("", function(record), 1.0),)

            writer = lines.of_labels(name, function, tails)
            self._declared.append(Family(description, labels, False, samples, writer))
            return function

        return declare

    def state(
        self, name: str, about: str, *, label: str, known: tuple[str, ...]
    ) -> Callable[[Callable[[R], str]], Callable[[R], str]]:
        """Declare a gauge that is 1 for the state returned, 0 for every other ``known`` one."""
        description = Description(name, Kind.GAUGE, (*self.labels, label), about)
        tails = Tails((label,), after=bool(self.labels))

        def declare(function: Callable[[R], str]) -> Callable[[R], str]:
            def samples(record: R) -> Iterable[Sample]:
                state = function(record)
                states = dict.fromkeys((*known, state))
                return [("", (one,), float(one == state)) for one in states]

            writer = lines.of_state(name, function, known, tails)
            self._declared.append(Family(description, (label,), False, samples, writer))
            return function

        return declare

    def __iter__(self) -> Iterator[Family[R]]:
        return iter(self._declared)


def _plain(values: LabelValues, value: float) -> Iterable[Sample]:
    return (("", values, value),)


def _cumulative(values: LabelValues, distribution: Distribution) -> Iterable[Sample]:
    bounds = [*map(repr, distribution.bounds), "+Inf"]
    for bound, count in zip(bounds, accumulate(distribution.counts), strict=True):
        yield "_bucket", (*values, bound), count
    yield "_sum", (*values, None), distribution.total
    yield "_count", (*values, None), distribution.count
