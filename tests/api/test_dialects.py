"""Jobs, projects and organizations of both dialects, and every kind of damage to them."""

from __future__ import annotations

import json
from collections.abc import Callable
from math import inf, nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import asdict, replace

from trainwave_exporter.api import DEFAULT_INLINE_UNITS, Dialect
from trainwave_exporter.api.credential import Credential
from trainwave_exporter.api.dialects import Context, read_job, read_organization, read_project
from trainwave_exporter.model import (
    NO_READINGS,
    CostUnit,
    Fact,
    Job,
    Metric,
    Organization,
    Project,
    Quantity,
    Reading,
    Readings,
    Unit,
    UnknownState,
    Unreadable,
)

NINE = 1_711_011_600.0
"""2024-03-21T09:00:00Z."""
NOW = NINE + 600


def context(dialect: Dialect, cost_unit: CostUnit = CostUnit.AUTO) -> Context:
    return Context(
        account="research",
        dialect=dialect,
        received_at=NOW,
        cost_unit=cost_unit,
        inline_units=DEFAULT_INLINE_UNITS,
    )


DOCUMENTED, DEPLOYED = context(Dialect.DOCUMENTED), context(Dialect.DEPLOYED)


def read_with_notes(raw: Any, where: Context = DOCUMENTED) -> tuple[Job | None, list[Fact]]:
    notes: list[Fact] = []
    return read_job(raw, where, notes), notes


def read(raw: Any, where: Context = DOCUMENTED) -> Job:
    """Read a job that must be read without complaint."""
    job, notes = read_with_notes(raw, where)
    assert notes == []
    assert job is not None
    return job


def unreadable(subject: str, reason: str) -> Unreadable:
    return Unreadable(account="research", subject=subject, reason=reason)


INLINE = Readings(
    gpu_utilization=Reading(Quantity.RATIO, 95.2 / 100, NOW),
    memory=Reading(Quantity.BYTES, 14.3e9, NOW),
)


def test_the_job_of_the_documented_list(fixture: Callable[[str], Any]) -> None:
    raw = fixture("documented_jobs")["data"]["results"][0]
    assert read(raw) == Job(
        account="research",
        id="j-789xyz",
        state="RUNNING",
        confirmed_at=NOW,
        rid="training-job-1",
        project_id="p-def456",
        owner="johndoe",
        cost_dollars=25.5,
        gpu_hours=2.5,
        created_at=NINE,
        readings=INLINE,
    )


def test_the_documented_detail_of_a_job(fixture: Callable[[str], Any]) -> None:
    assert read(fixture("documented_job")["data"]) == Job(
        account="research",
        id="j-789xyz",
        state="RUNNING",
        confirmed_at=NOW,
        name="mnist-training",
        project_id="p-abc123",
        gpu_type="RTX A5000",
        gpus=1,
        cpu_cores=4,
        memory_limit_bytes=16e9,
        cost_dollars=5,
        hourly_cost_dollars=2.5,
        created_at=NINE,
        started_at=NINE + 60,
        readings=INLINE,
    )


def test_a_deployed_job_with_all_its_parts(fixture: Callable[[str], Any]) -> None:
    assert read(fixture("deployed_job"), DEPLOYED) == Job(
        account="research",
        id="0b6f2c64-6f0e-4f0e-9a55-3d1f6f0a9a11",
        state="LAUNCHING",
        confirmed_at=NOW,
        rid="brave-otter-42",
        name="resnet",
        project_id="6a1d7a7e-1111-4c1f-8a57-000000000001",
        project_name="Vision",
        gpu_type="RTX A5000",
        gpus=2,
        cpu_cores=8,
        memory_limit_bytes=64e9,
        gpu_memory_limit_bytes=24e9,
        cost_dollars=25.5,
        hourly_cost_dollars=2.5,
        created_at=NINE + 0.25,
        expires_at=1_711_026_000,
    )


def test_a_deployed_job_without_an_offer_reports_what_was_asked_for(
    fixture: Callable[[str], Any],
) -> None:
    job = read(fixture("deployed_jobs")["results"][0], DEPLOYED)
    assert (job.state, job.gpu_type, job.gpus, job.cpu_cores) == (
        "USER_PROCESS_FAILED",
        "RTX A5000",
        1,
        4,
    )
    assert (job.cost_dollars, job.expires_at, job.memory_limit_bytes) == (0.07, None, None)


def test_a_deployed_project_and_organization(fixture: Callable[[str], Any]) -> None:
    notes: list[Fact] = []
    raw = fixture("deployed_projects")["results"][0]
    assert read_project(raw, DEPLOYED, notes) == Project(
        account="research",
        id="6a1d7a7e-1111-4c1f-8a57-000000000001",
        rid="vision-9",
        name="Vision",
        organization_id="9f0c",
    )
    raw = fixture("deployed_organizations")["results"][0]
    for where in (DEPLOYED, DOCUMENTED):
        assert read_organization(raw, where, notes) == Organization(
            account="research",
            id="9f0c",
            rid="acme-1",
            name="Acme",
            credit_balance_dollars=1234.56,
            confirmed_at=where.received_at,
        )
    assert notes == []


def test_an_overdrawn_balance_is_below_zero() -> None:
    raw = {"id": "o-1", "computed_credit_balance": -250}
    organization = read_organization(raw, DOCUMENTED, [])
    assert organization is not None
    assert organization.credit_balance_dollars == -2.5


JOB = {"id": "j-1", "state": "RUNNING"}
STRING_PROJECT = {"project": "p-1"}
FLAT = {"gpus": 1}
OBJECT_PROJECT = {"project": {"id": "p-1"}}
CONFIG = {"config": {"name": "n"}}
OFFER = {"cloud_offer": {"gpus": 1}}


@pytest.mark.parametrize(
    ("where", "shape", "dollars"),
    [
        (DOCUMENTED, {}, 250.0),
        (DOCUMENTED, STRING_PROJECT, 250.0),
        (DOCUMENTED, FLAT, 250.0),
        (DOCUMENTED, {"project": None, "config": None, "cloud_offer": None}, 250.0),
        (DEPLOYED, {}, 2.5),
        (DEPLOYED, OBJECT_PROJECT, 2.5),
        (DEPLOYED, CONFIG, 2.5),
        (DEPLOYED, OFFER, 2.5),
    ],
)
def test_the_dialect_decides_between_dollars_and_cents(
    where: Context, shape: dict[str, Any], dollars: float
) -> None:
    assert read(JOB | shape | {"total_cost": 250}, where).cost_dollars == dollars


@pytest.mark.parametrize(
    ("where", "shape"),
    [
        (DOCUMENTED, OBJECT_PROJECT),
        (DOCUMENTED, CONFIG),
        (DOCUMENTED, STRING_PROJECT | OFFER),
        (DEPLOYED, STRING_PROJECT),
        (DEPLOYED, FLAT),
        (DEPLOYED, OBJECT_PROJECT | FLAT),
    ],
)
def test_a_cost_whose_unit_is_not_clear_is_withheld_unless_the_operator_knows(
    where: Context, shape: dict[str, Any]
) -> None:
    raw = JOB | shape | {"total_cost": 250, "cost_per_hour": 2}
    job, notes = read_with_notes(raw, where)
    assert job is not None
    assert (job.cost_dollars, job.hourly_cost_dollars) == (None, 2)
    assert notes == [unreadable("cost", "ambiguous_unit")]
    assert read(raw, context(where.dialect, CostUnit.DOLLARS)).cost_dollars == 250
    assert read(raw, context(where.dialect, CostUnit.CENTS)).cost_dollars == 2.5


@pytest.mark.parametrize("cost", [True, nan, inf, -1, "-1", 1e15, "free", [], {"amount": 5}])
def test_an_amount_without_sense_is_no_amount(cost: Any) -> None:
    job, notes = read_with_notes(JOB | {"total_cost": cost, "cost_per_hour": cost})
    assert job is not None
    assert (job.cost_dollars, job.hourly_cost_dollars) == (None, None)
    assert notes == [unreadable("cost", "bad_total_cost"), unreadable("cost", "bad_cost_per_hour")]


def test_amounts_may_be_decimal_strings() -> None:
    assert read(JOB | {"total_cost": "25.50"}).cost_dollars == 25.5
    assert read(JOB | {"total_cost": "2550"}, DEPLOYED).cost_dollars == 25.5


@pytest.mark.parametrize("reported", ["RUNNING", "running", " Running "])
def test_known_states_are_distinguished_without_regard_to_case(reported: str) -> None:
    assert read({"id": "j-1", "state": reported}).state == "RUNNING"


def test_a_state_nobody_knows_passes_through_and_is_reported() -> None:
    job, notes = read_with_notes({"id": "j-1", "state": " Dreaming "})
    assert job is not None
    assert job.state == "Dreaming"
    assert notes == [UnknownState("research", "Dreaming")]


@pytest.mark.parametrize(
    ("raw", "reasons"),
    [
        (None, ["not_an_object"]),
        (5, ["not_an_object"]),
        ([], ["not_an_object"]),
        ({}, ["no_id"]),
        ({"id": None, "state": "RUNNING"}, ["no_id"]),
        ({"id": " ", "state": "RUNNING"}, ["no_id"]),
        ({"id": {}, "state": "RUNNING"}, ["bad_id", "no_id"]),
        ({"id": "..", "state": "RUNNING"}, ["bad_id", "no_id"]),
        ({"id": "j-1"}, ["no_state"]),
        ({"id": "j-1", "state": ""}, ["no_state"]),
        ({"id": "j-1", "state": 3}, ["bad_state", "no_state"]),
    ],
)
def test_what_has_no_id_or_no_state_is_no_job(raw: Any, reasons: list[str]) -> None:
    assert read_with_notes(raw) == (None, [unreadable("job", reason) for reason in reasons])


@pytest.mark.parametrize("raw", [None, [], "p-1", {}, {"id": []}])
def test_what_has_no_id_is_no_project_and_no_organization(raw: Any) -> None:
    notes: list[Fact] = []
    assert read_project(raw, DOCUMENTED, notes) is None
    assert read_organization(raw, DOCUMENTED, notes) is None
    assert {note.subject for note in notes if isinstance(note, Unreadable)} == {
        "project",
        "organization",
    }


WHOLE = {
    "id": "j-1",
    "rid": "r",
    "state": "RUNNING",
    "name": "n",
    "project": "p-1",
    "organization": "o-1",
    "owner": {"username": "ada"},
    "gpu_type": "H100",
    "gpus": 8,
    "cpu_cores": 64,
    "memory_gb": 512,
    "hdd_size_mb": 1000,
    "gpu_memory_mb": 80_000,
    "total_cost": 10.0,
    "cost_per_hour": 20.0,
    "gpu_hours": 4.0,
    "created_at": "2024-03-21T09:00:00Z",
    "started_at": "2024-03-21T09:00:00Z",
    "finished_at": "2024-03-21T09:00:00Z",
    "metrics": {"gpu_utilization": 50, "memory_usage": 1},
}

LOST = {
    "rid": "rid",
    "name": "name",
    "project": "project_id",
    "organization": "organization_id",
    "owner": "owner",
    "gpu_type": "gpu_type",
    "gpus": "gpus",
    "cpu_cores": "cpu_cores",
    "memory_gb": "memory_limit_bytes",
    "hdd_size_mb": "disk_limit_bytes",
    "gpu_memory_mb": "gpu_memory_limit_bytes",
    "total_cost": "cost_dollars",
    "cost_per_hour": "hourly_cost_dollars",
    "gpu_hours": "gpu_hours",
    "created_at": "created_at",
    "started_at": "started_at",
    "finished_at": "finished_at",
    "metrics": "readings",
}


@pytest.mark.parametrize("name", LOST)
def test_a_field_that_cannot_be_read_costs_that_field_alone(name: str) -> None:
    whole = asdict(read(WHOLE))
    job, notes = read_with_notes(WHOLE | {name: [False]})
    assert job is not None
    subject = "cost" if name in {"total_cost", "cost_per_hour"} else "job"
    assert notes == [unreadable(subject, f"bad_{name}")]
    nothing: dict[str, Any] = {"project_id": "", "readings": NO_READINGS}
    assert asdict(job) == whole | {LOST[name]: nothing.get(LOST[name])}
    assert whole[LOST[name]] not in (None, "", NO_READINGS)


def test_a_reading_within_a_job_that_cannot_be_read_is_counted_under_its_metric() -> None:
    raw = JOB | {"metrics": {"gpu_utilization": 950, "memory_usage": None}}
    job, notes = read_with_notes(raw)
    assert job is not None
    assert job.readings == NO_READINGS
    assert notes == [unreadable("gpu_utilization", "out_of_range")]


def test_the_units_of_readings_within_a_job_are_the_operators() -> None:
    units = {Metric.GPU_UTILIZATION: Unit.RATIO, Metric.MEMORY: Unit.GIBIBYTES}
    where = Context(
        account="research",
        dialect=Dialect.DOCUMENTED,
        received_at=NOW,
        cost_unit=CostUnit.AUTO,
        inline_units=units,
    )
    readings = read(JOB | {"metrics": {"gpu_utilization": 0.5, "memory_usage": 1}}, where).readings
    assert readings == Readings(
        gpu_utilization=Reading(Quantity.RATIO, 0.5, NOW),
        memory=Reading(Quantity.BYTES, 2**30, NOW),
    )


@pytest.mark.parametrize(
    ("owner", "shown"),
    [
        ({"username": "ada", "email": "ada@example.org"}, "ada"),
        ({"email": "ada@example.org"}, None),
        ({"username": "ada@example.org"}, None),
        ({"username": None}, None),
        ("ada", "ada"),
        ("ada@example.org", None),
        ("", None),
        (None, None),
    ],
)
def test_an_owner_is_shown_by_username_never_by_email(owner: Any, shown: str | None) -> None:
    assert read(JOB | {"owner": owner}).owner == shown


@pytest.mark.parametrize(
    ("reported", "organization"),
    [
        ({"organization": "o-1"}, "o-1"),
        ({"organization": {"id": "o-1", "name": "Acme"}}, "o-1"),
        ({"organization_id": "o-1"}, "o-1"),
        ({"project": {"id": "p-1", "organization": "o-1"}}, "o-1"),
        ({"project": {"id": "p-1", "organization": {"id": "o-1"}}}, "o-1"),
        ({"organization": "o-1", "project": {"id": "p-1", "organization": "o-2"}}, "o-1"),
        ({"project": "p-1"}, None),
    ],
)
def test_the_organization_is_reported_by_the_job_or_its_project(
    reported: dict[str, Any], organization: str | None
) -> None:
    assert read(JOB | reported).organization_id == organization


@pytest.mark.parametrize(("reported", "expires"), [(-1, None), (1_711_026_000, 1_711_026_000.0)])
def test_minus_one_means_that_a_job_does_not_expire(reported: int, expires: float | None) -> None:
    assert read(JOB | {"config": {"expires_at": reported}}, DEPLOYED).expires_at == expires


def test_zeros_of_an_unfilled_offer_do_not_hide_what_was_asked_for() -> None:
    raw = JOB | {
        "cloud_offer": {"cpus": 0, "memory_mb": 0, "gpu_memory_mb": 0, "gpus": 0, "gpu_type": None},
        "config": {"cpus": 4, "memory_mb": 8000, "hdd": 100, "gpu_type": "T4"},
    }
    job = read(raw, DEPLOYED)
    assert (job.cpu_cores, job.memory_limit_bytes, job.disk_limit_bytes) == (4, 8e9, 1e8)
    assert (job.gpu_memory_limit_bytes, job.gpu_type) == (None, "T4")


def test_what_repeats_from_job_to_job_is_kept_in_memory_once() -> None:
    first, second = (read(json.loads(json.dumps(WHOLE))) for _ in range(2))
    for name in ("project_id", "organization_id", "owner", "gpu_type", "state"):
        assert getattr(first, name) is getattr(second, name)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@given(
    damage=st.dictionaries(
        st.sampled_from([*WHOLE, "config", "cloud_offer", "organization_id"]), anything, max_size=8
    ),
    nested=st.dictionaries(
        st.sampled_from(["id", "name", "expires_at", "cpus", "gpus", "memory_mb", "username"]),
        anything,
    ),
    dialect=st.sampled_from(Dialect),
)
def test_no_damage_makes_a_job_that_makes_no_sense(
    damage: dict[str, Any], nested: dict[str, Any], dialect: Dialect
) -> None:
    raw = WHOLE | {"config": nested, "owner": nested} | damage
    job, _ = read_with_notes(raw, context(dialect))
    if job is None:
        return
    assert job.id
    assert job.state
    for amount in (job.cost_dollars, job.hourly_cost_dollars, job.gpu_hours, job.gpus):
        assert amount is None or 0 <= amount < 1e15
    for moment in (job.created_at, job.started_at, job.finished_at, job.expires_at):
        assert moment is None or 1e9 <= moment < 4.2e9
    for words in (job.id, job.state, job.name, job.owner, job.gpu_type, job.project_id, job.rid):
        (words or "").encode()
    assert "@" not in (job.owner or "")


@pytest.mark.parametrize("sentinel", [-1, -1.0, "-1", 2**31 - 1, 2**64 - 1, "N/A", "NaN"])
@pytest.mark.parametrize(
    ("name", "field", "subject", "reason"),
    [
        ("gpus", "gpus", "job", "bad_gpus"),
        ("gpu_hours", "gpu_hours", "job", "bad_gpu_hours"),
        ("total_cost", "cost_dollars", "cost", "bad_total_cost"),
        ("cost_per_hour", "hourly_cost_dollars", "cost", "bad_cost_per_hour"),
        ("memory_gb", "memory_limit_bytes", "job", "bad_memory_gb"),
        ("gpu_memory_mb", "gpu_memory_limit_bytes", "job", "bad_gpu_memory_mb"),
        ("cpu_cores", "cpu_cores", "job", "bad_cpu_cores"),
    ],
)
def test_a_sentinel_is_no_value_and_is_counted(
    name: str, field: str, subject: str, reason: str, sentinel: Any
) -> None:
    job, notes = read_with_notes(JOB | STRING_PROJECT | {name: sentinel})
    assert job is not None
    assert getattr(job, field) is None
    assert notes == [Unreadable(account="research", subject=subject, reason=reason)]


@pytest.mark.parametrize(
    ("name", "subject"), [("gpu_utilization", "gpu_utilization"), ("memory_usage", "memory")]
)
@pytest.mark.parametrize(
    ("sentinel", "reason"),
    [(-1, "out_of_range"), ("N/A", "not_a_number"), ([-1, -1], "out_of_range")],
)
def test_a_sentinel_among_the_metrics_of_a_job_is_no_reading_and_is_counted(
    name: str, subject: str, sentinel: Any, reason: str
) -> None:
    job, notes = read_with_notes(JOB | STRING_PROJECT | {"metrics": {name: sentinel}})
    assert job is not None
    assert job.readings == NO_READINGS
    assert notes == [Unreadable(account="research", subject=subject, reason=reason)]


SECRET = "tw-0123456789abcdef"


def guarded(where: Context) -> Context:
    return replace(where, redaction=Credential(lambda: SECRET).redaction())


def keys_everywhere(project: Any, owner: Any) -> dict[str, Any]:
    """Return a job of which every text but its id holds the key."""
    return {
        "id": "j-1",
        "rid": f"r{SECRET}",
        "name": f"n{SECRET}",
        "state": f"S{SECRET}",
        "project": project,
        "organization": SECRET,
        "owner": owner,
        "gpu_type": f"g{SECRET}",
        "config": {"name": SECRET, "gpu_type": SECRET},
        "cloud_offer": {"gpu_type": SECRET},
        "metrics": {"gpu_utilization": [{"device": f"gpu{SECRET}", "value": 50.0}]},
        "created_at": SECRET,
        "total_cost": SECRET,
    }


@pytest.mark.parametrize(
    ("where", "project", "owner"),
    [
        (DOCUMENTED, SECRET, {"id": SECRET, "email": SECRET, "username": f"u{SECRET}"}),
        (DEPLOYED, {"id": SECRET, "name": f"p{SECRET}", "organization": SECRET}, SECRET),
    ],
    ids=["documented", "deployed"],
)
def test_a_job_holds_the_key_nowhere(where: Context, project: Any, owner: Any) -> None:
    job, notes = read_with_notes(keys_everywhere(project, owner), guarded(where))
    assert job is not None
    assert SECRET not in str(job)
    assert SECRET not in str(notes)
    assert (job.name, job.state, job.gpu_type) == ("n[redacted]", "S[redacted]", "g[redacted]")
    assert (job.project_id, job.readings) == ("", NO_READINGS)
    reported = {(note.subject, note.reason) for note in notes if isinstance(note, Unreadable)}
    assert {
        ("job", "key_in_rid"),
        ("job", "key_in_name"),
        ("job", "key_in_state"),
        ("job", "key_in_project"),
        ("job", "key_in_organization"),
        ("job", "key_in_owner"),
        ("job", "key_in_gpu_type"),
        ("gpu_utilization", "key_in_device"),
    } <= reported


def test_a_job_whose_id_holds_the_key_is_not_read() -> None:
    job, notes = read_with_notes({"id": f"j-{SECRET}", "state": "RUNNING"}, guarded(DOCUMENTED))
    assert job is None
    assert notes == [unreadable("job", "key_in_id"), unreadable("job", "no_id")]


@pytest.mark.parametrize("where", [DOCUMENTED, DEPLOYED], ids=["documented", "deployed"])
def test_projects_and_organizations_hold_the_key_nowhere(where: Context) -> None:
    notes: list[Fact] = []
    raw = {"id": "x-1", "rid": SECRET, "name": f"n{SECRET}", "organization": SECRET}
    project = read_project(raw, guarded(where), notes)
    organization = read_organization(raw, guarded(where), notes)
    assert project is not None
    assert organization is not None
    assert (project.name, organization.name) == ("n[redacted]", "n[redacted]")
    assert project.organization_id is None
    assert SECRET not in f"{project} {organization} {notes}"


@pytest.mark.parametrize("where", [DOCUMENTED, DEPLOYED], ids=["documented", "deployed"])
def test_texts_of_a_megabyte_cost_a_job_no_more_than_themselves(where: Context) -> None:
    mega = "m" * 1_000_000
    job, notes = read_with_notes(
        {
            "id": "j-1",
            "rid": mega,
            "name": mega,
            "state": mega,
            "project": mega,
            "owner": mega,
            "gpu_type": mega,
        },
        where,
    )
    assert job is not None
    assert (job.state, job.project_id) == ("m" * 63 + "…", "")
    assert job.name == job.owner == job.gpu_type == "m" * 255 + "…"
    assert job.rid == "m" * 127 + "…"
    reported = [note.reason for note in notes if isinstance(note, Unreadable)]
    assert sorted(reported) == [f"long_{name}" for name in
                            ("gpu_type", "name", "owner", "project", "rid", "state")]  # fmt: skip
