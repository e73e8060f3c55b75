"""Who works with this Trainwave, on what, and which machines it rents out at what price.

Everything here is fixed for a seed. Money is in whole micro-dollars; prices are per second, in
whole micro-dollars too, so that what a job costs is exact at every second.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from random import Random

from trainwave_exporter.simulator.ids import IdKind, scatter


@dataclass(frozen=True, eq=False, slots=True)
class SimulatedOrganization:
    """Who pays."""

    code: int
    rid: str
    name: str


@dataclass(frozen=True, eq=False, slots=True)
class SimulatedProject:
    """Where jobs belong."""

    code: int
    rid: str
    name: str
    organization: SimulatedOrganization
    weight: int
    """Its share of the jobs."""


@dataclass(frozen=True, eq=False, slots=True)
class Owner:
    """Who submits jobs."""

    code: int
    username: str
    first_name: str
    last_name: str
    weight: int

    @property
    def email(self) -> str:
        """An address that no mail reaches."""
        return f"{self.username}@example.com"


@dataclass(frozen=True, eq=False, slots=True)
class SimulatedOffer:
    """A machine for rent: so many GPUs of one type, with what comes along."""

    code: int
    gpu_type: str
    gpus: int
    gpu_memory_mb: int
    """Of one GPU."""
    cpus: int
    memory_mb: int
    price: int
    """Micro-dollars a second."""
    tflops: float
    weight: int

    @property
    def hourly_dollars(self) -> float:
        """Its price in the unit of the API."""
        return self.price * 3600 / 1_000_000


_ORGANIZATIONS = ("Northwind Labs", "Kestrel Robotics")

_PROJECTS = (  # name, place of its organization, weight
    ("Language models", 0, 6),
    ("Vision", 0, 4),
    ("Recommenders", 0, 2),
    ("Météo nowcasting", 0, 1),
    ("Grasping", 1, 3),
    ("Fleet autonomy", 1, 2),
)

_OWNERS = (
    ("Ada", "Okafor", 6),
    ("Bruno", "Lindqvist", 5),
    ("Chiara", "Petrov", 4),
    ("Dev", "Ramanathan", 3),
    ("Elif", "Novak", 3),
    ("Femi", "Schäfer", 2),
    ("Grace", "Tanaka", 1),
)

_GPUS = (  # type, MB of memory, micro-dollars a second, teraflops, weight
    ("RTX A5000", 24_000, 110, 27.8, 5),
    ("RTX 4090", 24_000, 190, 82.6, 4),
    ("RTX A6000", 48_000, 220, 38.7, 3),
    ("L40S", 48_000, 290, 91.6, 2),
    ("A100 80GB", 80_000, 470, 19.5, 4),
    ("H100", 80_000, 780, 67.0, 3),
    ("H200", 141_000, 1_060, 67.0, 1),
)
_COUNTS = ((1, 8), (2, 4), (4, 2), (8, 1))  # GPUs in one machine, weight
_CPUS_PER_GPU = 8
_MEMORY_MB_PER_GPU = 64_000

_MODELS = ("llama3-8b", "resnet50", "vit-l16", "bert-base", "unet", "whisper-small", "gpt2-xl")
_TASKS = ("pretrain", "finetune", "sft", "dpo", "ablation", "eval", "distill", "sweep")


class Catalogue:
    """The seeded cast: `organizations`, `projects`, `owners` and `offers`."""

    def __init__(self, seed: int) -> None:
        self.organizations = tuple(
            SimulatedOrganization(
                scatter(seed, IdKind.ORGANIZATION, place), name.lower().replace(" ", "-"), name
            )
            for place, name in enumerate(_ORGANIZATIONS)
        )
        self.projects = tuple(
            SimulatedProject(
                scatter(seed, IdKind.PROJECT, place),
                f"project-{place + 1}",
                name,
                self.organizations[organization],
                weight,
            )
            for place, (name, organization, weight) in enumerate(_PROJECTS)
        )
        self.owners = tuple(
            Owner(scatter(seed, IdKind.USER, place), (first[0] + last).lower(), first, last, weight)
            for place, (first, last, weight) in enumerate(_OWNERS)
        )
        self.offers = tuple(
            SimulatedOffer(
                code=scatter(seed, IdKind.OFFER, place),
                gpu_type=gpu_type,
                gpus=gpus,
                gpu_memory_mb=memory_mb,
                cpus=gpus * _CPUS_PER_GPU,
                memory_mb=gpus * _MEMORY_MB_PER_GPU,
                price=gpus * price,
                tflops=round(gpus * tflops, 1),
                weight=weight * count_weight,
            )
            for place, (gpu, (gpus, count_weight)) in enumerate(product(_GPUS, _COUNTS))
            for gpu_type, memory_mb, price, tflops, weight in (gpu,)
        )


def draw_job_name(random: Random) -> str:
    """Draw a name such as people give to jobs; it is not unique."""
    return f"{random.choice(_MODELS)}-{random.choice(_TASKS)}"
