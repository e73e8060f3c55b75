"""What a request for a new job must say, and what is said for it where it does not."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from trainwave_exporter.simulator.catalogue import Owner, SimulatedOffer, SimulatedProject


class BadOrderError(Exception):
    """The request cannot be met; the message says which field is to blame, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A job that somebody wants."""

    name: str
    project: SimulatedProject
    owner: Owner
    offer: SimulatedOffer
    cpus: int
    memory_mb: int
    disk_mb: int
    expires_after: int | None
    """Seconds from submission; None for never."""


_TEXTS = ("description", "image", "setup_command", "run_command")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 24 * 3600}
_DURATION = re.compile(r"([1-9][0-9]{0,8})([smhd])")
_LONGEST_NAME = 200
_DEFAULT_DISK_MB = 51_200


def read_order(
    body: Mapping[str, object],
    *,
    owner: Owner,
    offers: tuple[SimulatedOffer, ...],
    find_project: Callable[[str], SimulatedProject | None],
) -> Order:
    """Read the documented, flat body of a request for a job; raises `BadOrderError`."""
    name = _text(body, "name")
    if len(name) > _LONGEST_NAME:
        raise BadOrderError(f"name: at most {_LONGEST_NAME} characters are allowed.")
    project = find_project(_text(body, "project"))
    if project is None:
        raise BadOrderError("project: there is no such project.")
    offer = _choose(offers, _text(body, "gpu_type"), _count(body, "gpus", 1))
    cpus = _count(body, "cpu_cores", offer.cpus)
    memory_mb = _count(body, "memory_gb", offer.memory_mb // 1000) * 1000
    if cpus > offer.cpus:
        raise BadOrderError(f"cpu_cores: at most {offer.cpus} come with these GPUs.")
    if memory_mb > offer.memory_mb:
        raise BadOrderError(f"memory_gb: at most {offer.memory_mb // 1000} come with these GPUs.")
    for field in _TEXTS:
        if not isinstance(body.get(field, ""), str):
            raise BadOrderError(f"{field}: a string is required.")
    variables = body.get("env_vars", {})
    if not isinstance(variables, dict) or not all(isinstance(v, str) for v in variables.values()):
        raise BadOrderError("env_vars: an object of strings is required.")
    return Order(
        name=name,
        project=project,
        owner=owner,
        offer=offer,
        cpus=cpus,
        memory_mb=memory_mb,
        disk_mb=_count(body, "hdd_size_mb", _DEFAULT_DISK_MB),
        expires_after=_duration(body.get("expires")),
    )


def _text(body: Mapping[str, object], field: str) -> str:
    value = body.get(field)
    if value is None:
        raise BadOrderError(f"{field}: this field is required.")
    if not isinstance(value, str) or not value.strip():
        raise BadOrderError(f"{field}: a string that is not empty is required.")
    return value


def _count(body: Mapping[str, object], field: str, default: int) -> int:
    value = body.get(field, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise BadOrderError(f"{field}: a whole number above zero is required.")
    return value


def _choose(offers: tuple[SimulatedOffer, ...], gpu_type: str, gpus: int) -> SimulatedOffer:
    of_type = [offer for offer in offers if offer.gpu_type == gpu_type]
    if not of_type:
        types = ", ".join(dict.fromkeys(offer.gpu_type for offer in offers))
        raise BadOrderError(f"gpu_type: choose one of {types}.")
    for offer in of_type:
        if offer.gpus == gpus:
            return offer
    counts = ", ".join(str(offer.gpus) for offer in of_type)
    raise BadOrderError(f"gpus: choose one of {counts}.")


def _duration(value: object) -> int | None:
    """Read a text such as ``4h``."""
    if value is None:
        return None
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise BadOrderError("expires: a number with s, m, h or d is required, such as 4h.")
    return int(match[1]) * _SECONDS[match[2]]
