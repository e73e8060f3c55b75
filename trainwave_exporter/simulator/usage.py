"""What a job's machine shows: curves that are pure functions of the job and the time.

Utilizations are in percent, memories in gigabytes (1e9 bytes), I/O in bytes per second. A machine
is read every ten seconds from the job's start to its end; afterwards the last reading stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum, StrEnum

from trainwave_exporter.simulator.jobs import SimulatedJob
from trainwave_exporter.simulator.lifecycle import Behavior, SimulatedState


class SimulatedMetric(StrEnum):
    """The metrics of the reference."""

    CPU = "cpu"
    MEMORY = "memory"
    NETWORK = "network"
    GPU_UTILIZATION = "gpu_utilization"
    GPU_MEMORY = "gpu_memory"
    DISK = "disk"


@dataclass(frozen=True, slots=True)
class SimulatedReading:
    """One metric of one job at one instant (Unix seconds).

    ``parts`` is keyed by device (``"0"``, ``"1"`` …) for the GPU metrics, by direction for the I/O
    metrics, and has the one key ``""`` for the others.
    """

    at: int
    metric: SimulatedMetric
    parts: Mapping[str, float]

    @property
    def whole(self) -> float:
        """All parts in one number: the mean of utilizations, the sum of anything else."""
        total = sum(self.parts.values())
        if self.metric is SimulatedMetric.GPU_UTILIZATION:
            total /= len(self.parts)
        return round(total, 2)


SAMPLE_SECONDS = 10


def read(
    job: SimulatedJob, metric: SimulatedMetric, now: int, back: int = 0
) -> SimulatedReading | None:
    """Return the newest reading at ``now``, or the one ``back`` samples before it.

    None when there is none: the job has not started, or not been running for so long.
    """
    if job.started_at is None:
        return None
    end = now if job.finished_at is None else job.finished_at - 1
    place = (max(end, job.started_at) - job.started_at) // SAMPLE_SECONDS - back
    if place < 0:
        return None
    at = job.started_at + place * SAMPLE_SECONDS
    return SimulatedReading(at, metric, _parts(job, metric, at))


class _Phase(Enum):
    WARM_UP = "filling caches and compiling"
    TRAINING = "computing"
    STARVED = "waiting for the data loader"
    CHECKPOINT = "writing a checkpoint"
    EVALUATION = "evaluating"
    IDLE = "nothing"
    UPLOADING = "uploading results"


@dataclass(frozen=True, slots=True)
class _Level:
    """What a phase uses: parts of the machine's capacity, and bytes per second."""

    gpu: float
    gpu_memory: float
    cpu: float
    memory: float
    rx: float
    tx: float
    read: float
    write: float


_LEVELS = {
    _Phase.WARM_UP: _Level(0.18, 0.5, 0.85, 0.45, 4e7, 1e6, 6e8, 5e6),
    _Phase.TRAINING: _Level(1.0, 1.0, 0.45, 0.8, 8e6, 2e6, 1.2e8, 1e6),
    _Phase.STARVED: _Level(0.35, 1.0, 0.95, 0.82, 9e6, 2e6, 3.5e8, 1e6),
    _Phase.CHECKPOINT: _Level(0.04, 1.0, 0.25, 0.9, 2e6, 6e7, 1e6, 1.5e9),
    _Phase.EVALUATION: _Level(0.62, 0.85, 0.55, 0.75, 6e6, 1e6, 2e8, 1e6),
    _Phase.IDLE: _Level(0.0, 0.97, 0.02, 0.75, 2e3, 1e3, 0.0, 1e3),
    _Phase.UPLOADING: _Level(0.0, 0.02, 0.2, 0.3, 1e6, 1.2e8, 3e8, 1e6),
}


class _Trait(IntEnum):
    """In what jobs differ from each other; grains of salt for the noise."""

    GPU_MEMORY = 1
    MEMORY = 2
    PEAK = 3
    WORK_BEFORE_IDLING = 4
    WARM_UP = 5
    CHECKPOINT_PERIOD = 6
    CHECKPOINT_LENGTH = 7
    EPOCH = 8
    STARVES = 9
    STARVED_LENGTH = 10
    WOBBLE = 11
    DEVICE = 100


def _parts(job: SimulatedJob, metric: SimulatedMetric, at: int) -> dict[str, float]:
    seed = job.draft.seed
    level = _LEVELS[_phase(job, at)]
    devices = range(job.order.offer.gpus)
    wobble = 0.94 + 0.12 * _noise(seed, at, _Trait.WOBBLE, len(metric))
    match metric:
        case SimulatedMetric.GPU_UTILIZATION:
            return {str(device): _gpu_utilization(job, level, at, device) for device in devices}
        case SimulatedMetric.GPU_MEMORY:
            return {str(device): _gpu_memory(job, level, device) for device in devices}
        case SimulatedMetric.CPU:
            return {"": round(min(100.0, 100 * level.cpu * wobble), 1)}
        case SimulatedMetric.MEMORY:
            capacity = job.order.memory_mb / 1000
            used = capacity * (0.5 + 0.4 * _noise(seed, _Trait.MEMORY))
            return {"": round(used * level.memory * wobble, 2)}
        case SimulatedMetric.NETWORK:
            return {"rx": round(level.rx * wobble, 1), "tx": round(level.tx * wobble, 1)}
        case SimulatedMetric.DISK:
            return {"read": round(level.read * wobble, 1), "write": round(level.write * wobble, 1)}


def _gpu_utilization(job: SimulatedJob, level: _Level, at: int, device: int) -> float:
    noise = _noise(job.draft.seed, at, _Trait.DEVICE + device)
    if level.gpu == 0 or _lame(job, device):
        return round(2 * noise * noise, 1)
    peak = 70 + 28 * _noise(job.draft.seed, _Trait.PEAK)
    return round(min(100.0, peak * level.gpu * (0.95 + 0.1 * noise)), 1)


def _gpu_memory(job: SimulatedJob, level: _Level, device: int) -> float:
    capacity = job.order.offer.gpu_memory_mb / 1000
    used = capacity * (0.55 + 0.4 * _noise(job.draft.seed, _Trait.GPU_MEMORY))
    return round(used * (0.02 if _lame(job, device) else level.gpu_memory), 2)


def _lame(job: SimulatedJob, device: int) -> bool:
    return job.draft.behavior is Behavior.LAME and device == job.order.offer.gpus - 1


def _phase(job: SimulatedJob, at: int) -> _Phase:
    """Return what a started job does at ``at``."""
    state = next(state for since, state in reversed(job.timeline) if since <= at)
    if state is SimulatedState.UPLOADING:
        return _Phase.UPLOADING
    elapsed = at - (job.started_at or at)

    def trait(trait: _Trait, least: int, most: int, *salt: int) -> int:
        return int(least + (most - least) * _noise(job.draft.seed, trait, *salt))

    idles = job.draft.behavior is Behavior.IDLES
    if idles and elapsed >= trait(_Trait.WORK_BEFORE_IDLING, 600, 2400):
        return _Phase.IDLE
    if elapsed < trait(_Trait.WARM_UP, 60, 300):
        return _Phase.WARM_UP
    period = trait(_Trait.CHECKPOINT_PERIOD, 600, 1800)
    if elapsed % period < trait(_Trait.CHECKPOINT_LENGTH, 20, 60):
        return _Phase.CHECKPOINT
    epoch = trait(_Trait.EPOCH, 1800, 5400)
    if elapsed % epoch > 0.92 * epoch:
        return _Phase.EVALUATION
    window, within = divmod(elapsed, 240)
    starves = trait(_Trait.STARVES, 0, 100, window) < 35
    if starves and within < trait(_Trait.STARVED_LENGTH, 10, 50, window):
        return _Phase.STARVED
    return _Phase.TRAINING


_MASK = (1 << 64) - 1


def _noise(seed: int, *salt: int) -> float:
    """Return a number from 0 to 1 (exclusive) that looks random and depends on nothing else."""
    bits = seed
    for grain in salt:
        bits = ((bits ^ grain) + 0x9E3779B97F4A7C15) & _MASK
        bits = ((bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) & _MASK
        bits ^= bits >> 31
    return bits / (1 << 64)
