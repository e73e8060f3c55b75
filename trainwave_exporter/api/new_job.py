"""What it takes to start a job, and the request for it in either dialect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct
from msgspec.structs import asdict

from trainwave_exporter.api.envelope import Dialect

_DEPLOYED_NAMES: Final = {"cpu_cores": "cpus"}
_UNITS_OF_TIME: Final = ((3600, "h"), (60, "m"), (1, "s"))


class NewJob(Struct, frozen=True, kw_only=True):
    """A job to be created. What is ``None`` is left to the service."""

    project: str
    """The project's id."""
    name: str
    description: str | None = None
    gpu_type: str | None = None
    gpus: int | None = None
    cpu_cores: int | None = None
    memory_gb: float | None = None
    hdd_size_mb: int | None = None
    image: str | None = None
    setup_command: str | None = None
    run_command: str | None = None
    env_vars: Mapping[str, str] | None = None
    expires_after: int | None = None
    """Seconds from creation until the service stops it."""


def request_body(job: NewJob, dialect: Dialect, now: float) -> dict[str, object]:
    """Return the body of the request; expiry counts from ``now`` (Unix seconds)."""
    given = {name: value for name, value in asdict(job).items() if value is not None}
    expires_after = given.pop("expires_after", None)
    if dialect is Dialect.DOCUMENTED:
        return given if expires_after is None else {**given, "expires": _duration(expires_after)}
    project, memory_gb = given.pop("project"), given.pop("memory_gb", None)
    config = {_DEPLOYED_NAMES.get(name, name): value for name, value in given.items()}
    if memory_gb is not None:
        config["memory_mb"] = round(memory_gb * 1000)
    if expires_after is not None:
        config["expires_at"] = int(now) + expires_after
    return {"project": project, "config": config}


def _duration(seconds: int) -> str:
    """Spell a duration as the reference does (``4h``), in the largest unit that is exact."""
    return next(f"{seconds // unit}{sign}" for unit, sign in _UNITS_OF_TIME if seconds % unit == 0)
