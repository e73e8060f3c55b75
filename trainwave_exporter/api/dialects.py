"""Both wire forms of jobs, projects and organizations, read into the model.

The two dialects differ in the places of fields, and in one thing that no answer states: whether
``total_cost`` is in dollars or cents. `_cost_unit` decides that, for every cost.

Each function takes one JSON value and returns a record, or ``None`` for one without an id. What
cannot be parsed is left out of the record and added to ``notes``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from trainwave_exporter.api.envelope import Dialect
from trainwave_exporter.api.fields import (
    NAME,
    RID,
    SHARED_NAME,
    STATE,
    FieldNames,
    Fields,
    amount,
    balance,
    first,
    first_id,
    first_text,
    gigabytes,
    gpu_count,
    identifier,
    megabytes,
    moment,
    reference,
    size,
    text,
)
from trainwave_exporter.api.metric_answers import read_reading
from trainwave_exporter.api.redaction import NO_REDACTION, Redaction
from trainwave_exporter.model import (
    KNOWN_STATES,
    CostUnit,
    Fact,
    Job,
    Metric,
    Offer,
    Organization,
    Project,
    Reading,
    Readings,
    Unit,
    UnknownState,
)

_KNOWN_STATES: Final = {state: state for state in KNOWN_STATES}
_INLINE_METRICS: Final = {
    "gpu_utilization": Metric.GPU_UTILIZATION,
    "memory_usage": Metric.MEMORY,
}
_MOST_INLINE: Final = 2_000
"""Values within one reading that a job carries along: read in a few milliseconds."""
_NESTED: Final = ("project", "config", "cloud_offer")
_FLAT_HARDWARE: Final = frozenset({"gpu_type", "gpus", "cpu_cores", "memory_gb"})


class Context(Struct, frozen=True, kw_only=True):
    """What applies to all objects of an answer."""

    account: str
    dialect: Dialect
    """What its envelope speaks for."""
    received_at: float
    cost_unit: CostUnit
    inline_units: Mapping[Metric, Unit]
    skew: float = 0.0
    """Seconds that the API's clock is ahead of ours."""
    redaction: Redaction = NO_REDACTION
    """Takes the API key out of what the answer says."""


def read_job(raw: object, context: Context, notes: list[Fact]) -> Job | None:
    """Read one job of a list, a detail or a creation; ``None`` if it has no id or no state."""
    if not isinstance(raw, dict):
        _refuse("job", context, notes)
        return None
    fields = _fields(raw, "job", context, notes)
    job_id, state = _id(fields), fields.get_text("state", STATE)
    if job_id is None:
        return None
    if state is None:
        fields.complain("no_state")
        return None
    config, offer = fields.nested("config"), fields.nested("cloud_offer")
    money = fields.about("cost")
    project = fields.nested("project") if isinstance(raw.get("project"), dict) else None
    return Job(
        account=context.account,
        id=job_id,
        state=_state(state, context, notes),
        confirmed_at=context.received_at,
        rid=fields.get_text("rid", RID),
        name=first_text(NAME, (fields, "name"), (config, "name")),
        project_id=fields.get_id("project", reference) or "",
        project_name=project.get_text("name", SHARED_NAME) if project else None,
        organization_id=_organization_id(fields)
        or (_organization_id(project) if project else None),
        owner=fields.get_text("owner", _OWNER),
        # What is allocated (the offer) wins over what was requested (the configuration).
        gpu_type=first_text(
            SHARED_NAME, (fields, "gpu_type"), (offer, "gpu_type"), (config, "gpu_type")
        ),
        gpus=first(gpu_count, (fields, "gpus"), (offer, "gpus"), (config, "gpus")),
        cpu_cores=first(size, (fields, "cpu_cores"), (offer, "cpus"), (config, "cpus")),
        memory_limit_bytes=fields.get("memory_gb", gigabytes)
        or first(megabytes, (offer, "memory_mb"), (config, "memory_mb")),
        disk_limit_bytes=first(
            megabytes, (fields, "hdd_size_mb"), (config, "hdd_size_mb"), (config, "hdd")
        ),
        gpu_memory_limit_bytes=first(
            megabytes, (fields, "gpu_memory_mb"), (offer, "gpu_memory_mb")
        ),
        cost_dollars=_cost(raw, money, context),
        hourly_cost_dollars=money.get("cost_per_hour", amount),
        gpu_hours=fields.get("gpu_hours", amount),
        created_at=fields.get("created_at", moment),
        started_at=fields.get("started_at", moment),
        finished_at=fields.get("finished_at", moment),
        expires_at=config.get("expires_at", _expiry),
        readings=_inline_readings(fields.nested("metrics"), context),
    )


def read_project(raw: object, context: Context, notes: list[Fact]) -> Project | None:
    """Read one project; ``None`` if it has no id."""
    if not isinstance(raw, dict):
        _refuse("project", context, notes)
        return None
    fields = _fields(raw, "project", context, notes)
    project_id = _id(fields)
    if project_id is None:
        return None
    return Project(
        account=context.account,
        id=project_id,
        rid=fields.get_text("rid", RID),
        name=fields.get_text("name", NAME),
        organization_id=_organization_id(fields),
    )


def read_organization(raw: object, context: Context, notes: list[Fact]) -> Organization | None:
    """Read one organization; ``None`` if it has no id."""
    if not isinstance(raw, dict):
        _refuse("organization", context, notes)
        return None
    fields = _fields(raw, "organization", context, notes)
    organization_id = _id(fields)
    if organization_id is None:
        return None
    cents = fields.get("computed_credit_balance", balance)
    return Organization(
        account=context.account,
        id=organization_id,
        rid=fields.get_text("rid", RID),
        name=fields.get_text("name", NAME),
        # Cents in either dialect: the one source that knows the field says so.
        credit_balance_dollars=None if cents is None else cents / 100,
        confirmed_at=context.received_at,
    )


def read_offer(raw: object, context: Context, notes: list[Fact]) -> Offer | None:
    """Read one offer; ``None`` if it has no id, or no price."""
    if not isinstance(raw, dict):
        _refuse("offer", context, notes)
        return None
    fields = Fields(raw, account=context.account, subject="offer", notes=notes)
    offer_id, price = _id(fields), fields.get("offer", amount)
    return None if offer_id is None or price is None else Offer(offer_id, price)


def _refuse(subject: str, context: Context, notes: list[Fact]) -> None:
    _fields({}, subject, context, notes).complain("not_an_object")


def _fields(raw: Mapping[str, Any], subject: str, context: Context, notes: list[Fact]) -> Fields:
    return Fields(
        raw, account=context.account, subject=subject, notes=notes, redact=context.redaction.text
    )


def _id(fields: Fields) -> str | None:
    found = fields.get_id("id", identifier)
    if found is None:
        fields.complain("no_id")
    return found


def _organization_id(fields: Fields) -> str | None:
    return first_id((fields, "organization"), (fields, "organization_id"))


def _cost(raw: Mapping[str, Any], fields: Fields, context: Context) -> float | None:
    cost = fields.get("total_cost", amount)
    if cost is None:
        return None
    unit = _cost_unit(raw, context)
    if unit is CostUnit.AUTO:
        fields.complain("ambiguous_unit")
        return None
    return cost / 100 if unit is CostUnit.CENTS else cost


def _cost_unit(raw: Mapping[str, Any], context: Context) -> CostUnit:
    """Return the unit of a job's ``total_cost``; ``AUTO`` where it is unknown.

    Both the envelope and the shape of the job indicate a dialect: an object for its project, a
    ``config`` or a ``cloud_offer`` the deployed one, a string for its project and hardware at the
    top level the documented one. They must agree: a wrong amount is worse than none.
    """
    if context.cost_unit is not CostUnit.AUTO:
        return context.cost_unit
    evidence = {context.dialect}
    if any(isinstance(raw.get(name), dict) for name in _NESTED):
        evidence.add(Dialect.DEPLOYED)
    if isinstance(raw.get("project"), str) or not _FLAT_HARDWARE.isdisjoint(raw):
        evidence.add(Dialect.DOCUMENTED)
    if len(evidence) > 1:
        return CostUnit.AUTO
    return CostUnit.CENTS if Dialect.DEPLOYED in evidence else CostUnit.DOLLARS


def _state(spelled: str, context: Context, notes: list[Fact]) -> str:
    known = _KNOWN_STATES.get(spelled.upper())
    if known is None:
        notes.append(UnknownState(context.account, spelled))
    return known or spelled


def _username(value: object) -> str | None:
    """Return the owner's username, never an e-mail address."""
    spelled = text(value.get("username") or "" if isinstance(value, dict) else value)
    return None if spelled and "@" in spelled else spelled


_OWNER: Final = FieldNames(_username, 256, shared=True)


def _expiry(value: object) -> float | None:
    return None if value == -1 else moment(value)


def _inline_readings(metrics: Fields, context: Context) -> Readings:
    """Parse the two metrics that jobs contain."""
    readings: dict[str, Reading] = {}
    for name, metric in _INLINE_METRICS.items():
        value = metrics.raw.get(name)
        if value is not None:
            unit = context.inline_units[metric]
            found = read_reading(
                value, unit, context.received_at, context.skew, most_values=_MOST_INLINE
            )
            for problem in found.problems:
                metrics.about(metric.value).complain(problem)
            if found.reading and context.redaction.holds_key(found.reading):
                metrics.about(metric.value).complain("key_in_device")
            elif found.reading:
                readings[metric] = found.reading
    return Readings(**readings)
