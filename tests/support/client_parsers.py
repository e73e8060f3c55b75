"""prometheus_client as the judge of what we write: its own exposition, and its parsers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias, cast

from prometheus_client import CollectorRegistry, exposition, parser
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import exposition as openmetrics_exposition
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.registry import Collector

from trainwave_exporter.exposition import Format

Parsed: TypeAlias = dict[str, tuple[str, str, str, list[tuple[str, list[tuple[str, str]], str]]]]
"""Type, help, unit and samples (name, labels, number) of every family; NaN equals itself."""

# What prometheus_client leaves without types.
_PARSERS = cast(
    "dict[Format, Callable[[str], Iterable[Metric]]]",
    {
        Format.TEXT: parser.text_string_to_metric_families,
        Format.OPENMETRICS: openmetrics_parser.text_string_to_metric_families,
    },
)
_GENERATORS = cast(
    "dict[Format, Callable[[CollectorRegistry], bytes]]",
    {
        Format.TEXT: exposition.generate_latest,
        Format.OPENMETRICS: openmetrics_exposition.generate_latest,
    },
)


class Samples(Collector):
    """A custom collector of metrics made beforehand."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = list(metrics)

    def collect(self) -> list[Metric]:
        return self._metrics


def generated(collector: Collector, form: Format) -> str:
    """Return what prometheus_client writes of a collector."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    return _GENERATORS[form](registry).decode()


def parsed(body: str, form: Format) -> Parsed:
    """Return what prometheus_client reads, without families that have no samples.

    What it calls ``_created`` is left out; we never write it. Numbers are equal as numbers are: its
    parsers read ``-0`` as the integer 0, and adding 0.0 makes one text of both.
    """
    families: Parsed = {}
    for metric in _PARSERS[form](body):
        assert metric.name not in families
        samples: list[Any] = [
            (sample.name, sorted(sample.labels.items()), repr(sample.value + 0.0))
            for sample in metric.samples
            if not sample.name.endswith("_created")
        ]
        if samples:
            about = (metric.type, metric.documentation, metric.unit)
            families[metric.name] = (*about, sorted(samples))
    return families
