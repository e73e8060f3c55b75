"""Use of a job's GPUs by its readings: which are idle, busy or unknown.

A reading by devices says nothing about others: of eight GPUs, one device is an eighth, and the rest
is unknown. One number without a device is the mean of all GPUs, and is taken for each of them.
Pure functions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

import msgspec
from msgspec import Struct

from trainwave_exporter.model import Quantity, Reading

WHOLE: Final = 1_000_000
"""A GPU that is used in full, in millionths."""
ALL: Final = ""
"""In the place of a device's name: the mean of all GPUs."""

GpuUse: TypeAlias = Mapping[str, int]
"""How much each device was used, in millionths; empty where nothing is known."""

UNKNOWN: Final[GpuUse] = {}
_DECODER: Final = msgspec.json.Decoder(dict[str, int])


class Shares(Struct, frozen=True):
    """How many of a job's GPUs did what between two readings. What is neither is unknown."""

    idle: float = 0.0
    busy: float = 0.0
    used: float = 0.0
    """Those that are known, each weighted by its mean utilization."""


def gpu_use(reading: Reading | None) -> GpuUse:
    """Return the use of each device by a reading of GPU utilization."""
    if reading is None or reading.quantity is not Quantity.RATIO:
        return UNKNOWN
    value = reading.value
    if not isinstance(value, tuple):
        return {ALL: round(value * WHOLE)}
    devices = {point.device or ALL: round(point.value * WHOLE) for point in value}
    if len(devices) > 1:
        devices.pop(ALL, None)  # the mean of all, beside each
    return devices


def all_idle(use: GpuUse, gpus: float | None, threshold: float) -> bool:
    """Return whether each of a job's GPUs is known to be idle."""
    if not use or any(value >= round(threshold * WHOLE) for value in use.values()):
        return False
    return ALL in use or (gpus is not None and len(use) >= gpus)


def idle_part(use: GpuUse, gpus: float | None, threshold: float) -> int:
    """Return the part of a job's GPUs that is known to be idle, in millionths."""
    if ALL in use:
        return WHOLE if use[ALL] < round(threshold * WHOLE) else 0
    return round(WHOLE * shares(use, use, gpus, threshold).idle / (gpus or len(use) or 1))


def shares(before: GpuUse, after: GpuUse, gpus: float | None, threshold: float) -> Shares:
    """Return what a job's GPUs did between two readings that are close together.

    Idle are those idle in both, busy the others that are known in both. Where more devices
    are listed than the job has GPUs, only what holds for each choice of them is known; where the
    number of GPUs is not known, the devices are all that is.
    """
    limit = round(threshold * WHOLE)
    if ALL in before and ALL in after:
        ends, count = (before[ALL], after[ALL]), gpus or 0.0
        idle_all = max(ends) < limit
        used = count * sum(ends) / (2 * WHOLE)
        return Shares(count, 0.0, used) if idle_all else Shares(0.0, count, used)
    if ALL in before:
        before = dict.fromkeys(after, before[ALL])
    elif ALL in after:
        after = dict.fromkeys(before, after[ALL])
    known = [(before[device], after[device]) for device in before.keys() & after.keys()]
    if not known:
        return Shares()
    idle = sum(max(ends) < limit for ends in known)
    mean = sum(map(sum, known)) / (2 * len(known) * WHOLE)
    listed = len(before.keys() | after.keys())
    others = 0.0 if gpus is None else max(0.0, listed - gpus)
    idle_least, busy_least = max(0.0, idle - others), max(0.0, len(known) - idle - others)
    return Shares(idle_least, busy_least, (idle_least + busy_least) * mean)


def encoded(use: GpuUse) -> str:
    """Return GPU use as text for the store: JSON, or one number for all GPUs."""
    if not use:
        return ""
    whole = use.get(ALL)
    return msgspec.json.encode(use).decode() if whole is None else str(whole)


def decoded(text: str) -> GpuUse:
    """Return the GPU use of a text that `encoded` returned."""
    if not text:
        return UNKNOWN
    return _DECODER.decode(text) if text.startswith("{") else {ALL: int(text)}
