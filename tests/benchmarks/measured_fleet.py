"""The fleet that benchmarks are of: running jobs with all that the API tells of one."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Peer
from prometheus_client.registry import Collector

from trainwave_exporter.metrics.families import job as job_families
from trainwave_exporter.model import (
    Job,
    Metric,
    Quantity,
    Reading,
    Readings,
)

START = 1_700_000_000.0
QUANTITIES = {
    Metric.CPU: Quantity.RATIO,
    Metric.GPU_UTILIZATION: Quantity.RATIO,
    Metric.MEMORY: Quantity.BYTES,
    Metric.GPU_MEMORY: Quantity.BYTES,
    Metric.NETWORK: Quantity.BYTES_PER_SECOND,
    Metric.DISK: Quantity.BYTES_PER_SECOND,
}


def fleet(jobs: int, minute: int) -> list[Job]:
    """Return running jobs as they are in a minute: cost, GPU hours and all readings are new."""
    now = START + 60 * minute
    return [
        Job(
            account="main",
            id=f"j-{number:06x}",
            rid=f"run-{number}",
            name=f"train {number}",
            state="RUNNING",
            confirmed_at=now,
            organization_id="o-1",
            project_id=f"p-{number % 40}",
            project_name=f"project {number % 40}",
            owner=f"owner-{number % 25}",
            gpu_type=("H100", "L40S", "A100 80GB")[number % 3],
            gpus=8.0,
            cpu_cores=64.0,
            memory_limit_bytes=1e12,
            disk_limit_bytes=2e12,
            gpu_memory_limit_bytes=8e10,
            hourly_cost_dollars=3.6,
            cost_dollars=3.6 * (now - START + number) / 3600,
            gpu_hours=8 * (now - START + number) / 3600,
            created_at=START - number,
            started_at=START - number,
            expires_at=START + 1e6,
            readings=Readings(
                **{
                    metric: Reading(quantity, (number * 37 + minute) % 1000 / 1000, now)
                    for metric, quantity in QUANTITIES.items()
                }
            ),
        )
        for number in range(jobs)
    ]


def families_of_peers(jobs: list[Job]) -> Iterator[dict[str, object]]:
    """Yield the same series, family by family, as the peer in Go reads them."""
    for family in job_families:
        series: list[list[str]] = []
        values: list[float] = []
        for job in jobs:
            identity = [value or "" for value in job_families.identity(job)]
            for _, labels, value in family.samples(job):
                series.append([*identity, *(text or "" for text in labels)])
                values.append(value)
        yield {
            "name": family.name,
            "help": family.description.help,
            "labels": [*job_families.labels, *family.labels],
            "series": series,
            "samples": values,
        }


class Peers(Collector):
    """The same series as a custom collector of prometheus_client."""

    def __init__(self, jobs: list[Job]) -> None:
        self.jobs = jobs

    def collect(self) -> Iterator[Peer]:
        families = [
            (family, GaugeMetricFamily(family.name, family.description.help, labels=labels))
            for family in job_families
            for labels in [[*job_families.labels, *family.labels]]
        ]
        for job in self.jobs:
            identity = [value or "" for value in job_families.identity(job)]
            for family, peer in families:
                for _, values, value in family.samples(job):
                    peer.add_metric([*identity, *(text or "" for text in values)], value)
        for _, peer in families:
            yield peer
