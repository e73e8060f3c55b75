"""The exporter's own metrics as prometheus_client keeps them, and how they are written out.

What the client calls ``_created`` is left out: it would double the series of every counter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import TypeAlias, TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Sample

from trainwave_exporter.exposition import text
from trainwave_exporter.exposition.text import Description, Kind

M = TypeVar("M", Counter, Gauge, Histogram)

Instrument: TypeAlias = Callable[..., M]
"""Takes the values of the labels, returns what to count on: found once, then remembered."""

_PREFIX = "trainwave_exporter_"


class Instruments:
    """A registry of its own, with the metrics of the process and the interpreter."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._labels: dict[str, tuple[str, ...]] = {}
        self._of_accounts: list[tuple[MetricWrapperBase, Callable[[], None]]] = []
        self._series: dict[tuple[str, ...], str] = {}
        """How series are written, by the name and the values of the labels."""
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)

    def counter(self, name: str, about: str, *labels: str) -> Instrument[Counter]:
        """Add a counter; its name ends in ``_total``."""
        metric = Counter(_PREFIX + name, about, labels, registry=self._registry)
        return self._instrument(name, labels, metric)

    def gauge(self, name: str, about: str, *labels: str) -> Instrument[Gauge]:
        """Add a gauge."""
        metric = Gauge(_PREFIX + name, about, labels, registry=self._registry)
        return self._instrument(name, labels, metric)

    def histogram(
        self, name: str, about: str, *labels: str, buckets: tuple[float, ...]
    ) -> Instrument[Histogram]:
        """Add a histogram with these upper bounds."""
        metric = Histogram(_PREFIX + name, about, labels, registry=self._registry, buckets=buckets)
        return self._instrument(name, labels, metric)

    def collect(self) -> Iterator[tuple[Description, bytes]]:
        """Yield every metric and the lines of its samples as they are now."""
        for metric in self._registry.collect():
            yield self._description(metric), text.utf8("".join(map(self._line, _samples(metric))))

    def forget(self, account: str) -> None:
        """Drop the series of an account."""
        for metric, forget_found in self._of_accounts:
            metric.remove_by_labels({"account": account})
            forget_found()
        self._series.clear()

    def _instrument(self, name: str, labels: tuple[str, ...], metric: M) -> Instrument[M]:
        self._labels[_PREFIX + name] = labels
        if not labels:
            return lambda: metric
        found = cache(metric.labels)
        if "account" in labels:
            self._of_accounts.append((metric, found.cache_clear))
        return found

    def _line(self, sample: Sample) -> str:
        key = sample.name, *sample.labels.values()
        series = self._series.get(key)
        if series is None:
            labels = text.labels(tuple(sample.labels), key[1:])
            series = self._series[key] = f"{sample.name}{{{labels}}}" if labels else sample.name
        return f"{series} {text.number(sample.value)}\n"

    def _description(self, metric: Metric) -> Description:
        kind = Kind(metric.type)
        name = f"{metric.name}_total" if kind is Kind.COUNTER else metric.name
        labels = self._labels.get(name)
        if labels is None:  # of the process or the interpreter: one sample, which shows them
            labels = tuple(metric.samples[0].labels)
        return Description(name, kind, labels, metric.documentation)


def _samples(metric: Metric) -> Iterator[Sample]:
    return (sample for sample in metric.samples if sample.name != f"{metric.name}_created")
