"""The thresholds of all alerts, read from one file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

PATH = Path(__file__).with_name("settings.yml")

Positive = Annotated[float, Meta(gt=0)]
Count = Annotated[int, Meta(ge=1)]
Window = Annotated[int, Meta(ge=7)]
"""Minutes, in which two of the scrapes that are two minutes apart are found, though one fails."""
Lasting = Annotated[int, Meta(ge=14)]
"""Minutes, of which half are such a window."""
Ratio = Annotated[float, Meta(gt=0, lt=1)]
Url = Annotated[str, Meta(pattern=r"^https?://.*[^/]$")]


class _Section(Struct, kw_only=True, forbid_unknown_fields=True):
    """All keys are required, and no others are known."""


def _in_order(smaller: str, small: float, larger: str, large: float) -> None:
    """Refuse two thresholds of which one could never be met before, or without, the other."""
    if small >= large:
        raise ValueError(f"`{smaller}` must be less than `{larger}`")


class GpuIdle(_Section):
    """When a job's GPUs are idle for too long, and at what loss."""

    minutes: Count
    critical_dollars: Positive


class JobCost(_Section):
    """What a job may cost, by itself and compared with its peers."""

    limit_dollars: Positive
    peers: Count
    peers_factor: Annotated[float, Meta(gt=1)]
    peers_floor_dollars: Positive


class Budget(_Section):
    """How far above the even pace a budget may be spent."""

    fast_factor: Annotated[float, Meta(gt=1)]
    slow_factor: Annotated[float, Meta(gt=1)]
    forecast_hours: Count
    unknown_name_minutes: Count
    unknown_hours: Count
    differs_hours: Count
    differs_ratio: Ratio

    def __post_init__(self) -> None:
        _in_order("slow_factor", self.slow_factor, "fast_factor", self.fast_factor)
        _in_order(
            "unknown_name_minutes",
            self.unknown_name_minutes,
            "unknown_hours",
            self.unknown_hours * 60,
        )


class Figures(_Section):
    """How long other figures than a budget's spend may be unknown."""

    unknown_hours: Count


class Credit(_Section):
    """For how long the credit has to last."""

    warning_hours: Count
    critical_hours: Count

    def __post_init__(self) -> None:
        _in_order("critical_hours", self.critical_hours, "warning_hours", self.warning_hours)


class JobLaunch(_Section):
    """How long a job may be launching."""

    stuck_minutes: Count


class JobFailures(_Section):
    """How many jobs may fail without one that succeeds, and in what time."""

    in_a_row: Count
    within_hours: Count


class JobExpiry(_Section):
    """How long before a job's end its owner is notified."""

    minutes: Count


class JobCollapse(_Section):
    """From which to which utilization a job has to fall."""

    usual_ratio: Ratio
    usual_hours: Count
    collapsed_ratio: Ratio
    minutes: Count

    def __post_init__(self) -> None:
        _in_order("collapsed_ratio", self.collapsed_ratio, "usual_ratio", self.usual_ratio)


class Reconciliation(_Section):
    """How far credit and ledger may part, and for how long."""

    difference_dollars: Positive
    hours: Count


class Exporter(_Section):
    """What the exporter itself may do."""

    down_minutes: Count
    account_down_minutes: Window
    stale_minutes: Count
    rate_limited_minutes: Lasting
    loop_stopped_minutes: Count
    unreadable_minutes: Lasting
    series_cap_minutes: Count
    labels_clash_minutes: Count
    scope_unknown_minutes: Count
    ledger_failing_minutes: Lasting
    clock_skew_seconds: Positive
    clock_skew_minutes: Count


class Settings(_Section):
    """Everything in `settings.yml`, whose comments say what each key means."""

    scrape_job: Annotated[str, Meta(pattern=r"^[^\"\\]+$")]
    grafana_url: Url
    runbook_url: Url
    gpu_idle: GpuIdle
    job_cost: JobCost
    budget: Budget
    figures: Figures
    credit: Credit
    job_launch: JobLaunch
    job_failures: JobFailures
    job_expiry: JobExpiry
    job_collapse: JobCollapse
    reconciliation: Reconciliation
    exporter: Exporter


class SettingsError(Exception):
    """The settings cannot be used; the message names the file and what was expected."""


def load(path: Path = PATH) -> Settings:
    """Read the settings; raises `SettingsError`."""
    try:
        document = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
        return msgspec.convert(document, Settings)
    except (OSError, UnicodeError, YAMLError, msgspec.ValidationError) as error:
        raise SettingsError(f"{path}: {error}") from error
