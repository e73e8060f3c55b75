"""The chargeback as it is printed, and what stands there instead when it cannot be."""

from __future__ import annotations

import csv
import json
import time
from datetime import UTC, datetime
from functools import reduce
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from support.ledger_world import LedgerWorld

from trainwave_exporter.cli import main
from trainwave_exporter.cli.chargeback import Sheet, as_csv, as_json, as_table
from trainwave_exporter.ledger.billing.bounds import NOTHING, Bounds
from trainwave_exporter.ledger.billing.periods import parse_span
from trainwave_exporter.ledger.billing.report import Row
from trainwave_exporter.ledger.billing.units import HOUR, MICRO

BERLIN = ZoneInfo("Europe/Berlin")
NOVEMBER = datetime(2026, 11, 23, 22, 0, tzinfo=UTC).timestamp()


def row(keys: tuple[str, ...], cost: int, gpu: int, lower: int = 0, upper: int = 0) -> Row:
    """Return a row whose cost is exact but for so many micro-dollars, as likewise its GPU time."""
    return Row(keys, Bounds(cost - lower, cost + upper), Bounds(gpu, gpu + lower))


def sheet(*rows: Row, unread: tuple[str, ...] = ()) -> Sheet:
    return Sheet(
        span=parse_span("2026-10", BERLIN),
        zone=BERLIN,
        columns=("owner", "gpu_type"),
        rows=rows,
        sum=Row(
            (),
            reduce(Bounds.plus, (row.cost for row in rows), NOTHING),
            reduce(Bounds.plus, (row.gpu for row in rows), NOTHING),
        ),
        unread=unread,
    )


SOME = sheet(
    row(("ada", "H100"), 1_234_565_432, 7 * HOUR + HOUR // 3),
    row(("", "RTX 4090"), 20_000, HOUR // 2),
    row(("grace", "H100"), -1_005_000, 0),
)
INEXACT = row(("ada", "H100"), 8_004_000, 2 * HOUR, lower=4_000_000, upper=1_000)
"""8.004 dollars: 4.004 at the least and 8.005 at the most."""


def test_the_table_is_for_people() -> None:
    assert as_table(SOME) == (
        "2026-10-01 00:00 to 2026-11-01 00:00, Europe/Berlin\n"
        "owner  gpu_type  cost_dollars  gpu_hours\n"
        "ada    H100           1234.57       7.33\n"
        "-      RTX 4090          0.02       0.50\n"
        "grace  H100             -1.01       0.00\n"
        "total                 1233.58       7.83\n"
    )


SPREAD = (
    "- The API has not reported when some jobs ran. Part of their cost may belong to another period"
    " or day."
)
MISSING = (
    "- The list of all jobs of account a, b has not been read to its end yet. Jobs may be missing"
    " here."
)


def test_costs_that_are_not_exact_have_bounds_in_the_table_and_the_reason_in_notes() -> None:
    value = sheet(INEXACT, row(("eve", "H100"), 1_000_000, 0))
    assert as_table(value).splitlines()[1:] == [
        "owner  gpu_type  cost_dollars  gpu_hours  lower_bound_dollars  upper_bound_dollars",
        "ada    H100           unknown    unknown                 4.00                 8.01",
        "eve    H100              1.00       0.00                 1.00                 1.00",
        "total                 unknown    unknown                 5.00                 9.01",
    ]
    assert value.notes == [
        "Costs are not exact. The total is at least $5.00; at most $9.01.",
        SPREAD,
    ]


def test_there_is_no_upper_bound_where_jobs_may_be_missing() -> None:
    value = sheet(INEXACT, unread=("a", "b"))
    assert as_table(value).splitlines()[2:] == [
        "ada    H100           unknown    unknown                 4.00              unknown",
        "total                 unknown    unknown                 4.00              unknown",
    ]
    unknown = "Costs are not exact. The total is at least $4.00; an upper bound is unknown."
    assert value.notes == [unknown, SPREAD, MISSING]
    assert as_csv(value).splitlines()[-1] == "total,,,,4.004000,"
    assert json.loads(as_json(value))["total"]["upper_bound_dollars"] is None
    assert sheet(SOME.rows[0], unread=("a", "b")).notes == [
        "Costs are not exact. The total is at least $1234.56; an upper bound is unknown.",
        MISSING,
    ]


def test_what_is_not_billed_yet_or_not_believed_yet_is_said_to_be_left_out() -> None:
    value = replace(SOME, unbilled=Bounds(1_500_000, 1_500_000), implausible=1)
    assert value.notes == [
        "Not included: $1.50 accrued by running jobs and not billed yet.",
        "Not included: an implausible cost of 1 job until it is reported again.",
    ]
    assert json.loads(as_json(value))["unbilled_dollars"]["upper_bound_dollars"] == 1.5
    value = replace(SOME, unbilled=Bounds(0, 2_001_000), implausible=2)
    assert value.notes == [
        "Not included: $0.00 to $2.01 accrued by running jobs and not billed yet.",
        "Not included: an implausible cost of 2 jobs until it is reported again.",
    ]


def test_exact_costs_need_no_notes() -> None:
    assert SOME.notes == []


def test_a_table_of_nothing_has_a_total_of_nothing() -> None:
    assert as_table(sheet()) == (
        "2026-10-01 00:00 to 2026-11-01 00:00, Europe/Berlin\n"
        "owner  gpu_type  cost_dollars  gpu_hours\n"
        "total                    0.00       0.00\n"
    )


amounts = st.integers(-(10**12), 10**12)


@given(st.lists(st.tuples(amounts, amounts), max_size=8))
def test_the_cents_of_a_table_are_off_by_less_than_one_and_add_up_to_the_rounded_total(
    spent: list[tuple[int, int]],
) -> None:
    value = sheet(*(row((str(n), "-"), *both) for n, both in enumerate(spent)))
    lines = [line.split() for line in as_table(value).splitlines()[2:]]
    for column, unit, place in ((-2, MICRO // 100, 0), (-1, HOUR // 100, 1)):
        *cells, total = (round(float(line[column]) * 100) for line in lines)
        assert sum(cells) == total
        assert abs(total * unit - sum(both[place] for both in spent)) * 2 <= unit
        for cell, both in zip(cells, spent, strict=True):
            assert abs(cell * unit - both[place]) < unit


def test_spreadsheets_get_micro_dollars_and_the_total_in_the_last_row() -> None:
    assert as_csv(SOME) == (
        "owner,gpu_type,cost_dollars,gpu_hours,lower_bound_dollars,upper_bound_dollars\n"
        "ada,H100,1234.565432,7.333333,1234.565432,1234.565432\n"
        ",RTX 4090,0.020000,0.500000,0.020000,0.020000\n"
        "grace,H100,-1.005000,0.000000,-1.005000,-1.005000\n"
        "total,,1233.580432,7.833333,1233.580432,1233.580432\n"
    )


def test_programs_get_numbers_and_the_period_with_its_time_zone() -> None:
    assert json.loads(as_json(SOME)) == {
        "period": {"begin": "2026-10-01T00:00:00+02:00", "end": "2026-11-01T00:00:00+01:00"},
        "time_zone": "Europe/Berlin",
        "rows": [
            {
                "owner": "ada",
                "gpu_type": "H100",
                "cost_dollars": 1234.565432,
                "gpu_hours": 7.333333,
                "lower_bound_dollars": 1234.565432,
                "upper_bound_dollars": 1234.565432,
            },
            {
                "owner": "",
                "gpu_type": "RTX 4090",
                "cost_dollars": 0.02,
                "gpu_hours": 0.5,
                "lower_bound_dollars": 0.02,
                "upper_bound_dollars": 0.02,
            },
            {
                "owner": "grace",
                "gpu_type": "H100",
                "cost_dollars": -1.005,
                "gpu_hours": 0.0,
                "lower_bound_dollars": -1.005,
                "upper_bound_dollars": -1.005,
            },
        ],
        "total": {
            "cost_dollars": 1233.580432,
            "gpu_hours": 7.833333,
            "lower_bound_dollars": 1233.580432,
            "upper_bound_dollars": 1233.580432,
        },
        "unread_accounts": [],
        "unbilled_dollars": {"lower_bound_dollars": 0.0, "upper_bound_dollars": 0.0},
        "implausible_jobs": 0,
    }


def test_a_name_does_nothing_to_a_terminal() -> None:
    value = sheet(row(("a\x1b[2J\nb", "Météo"), 0, HOUR))
    assert "\na [2J b  Météo " in as_table(value)
    assert "a [2J b,Météo," in as_csv(value)
    assert '"owner": "a\\u001b[2J\\nb"' in as_json(value)


def test_json_keeps_letters_and_escapes_what_a_terminal_might_act_on() -> None:
    value = as_json(sheet(row(("Jürgen 山", "\x9b2J\u202eH100\ud800"), 0, HOUR)))
    assert '"owner": "Jürgen 山"' in value
    assert '"gpu_type": "\\u009b2J\\u202eH100\\ud800"' in value
    assert json.loads(value)["rows"][0]["gpu_type"] == "\x9b2J\u202eH100\ud800"


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", '=HYPERLINK("a","b")'])
def test_a_name_is_no_formula_in_a_spreadsheet(name: str) -> None:
    value = sheet(row((name, "H100"), 0, HOUR))
    assert list(csv.reader(as_csv(value).splitlines()))[1][0] == f"'{name}"


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """The folder of a ledger with a job of 23 November 2026, 22 h to 24 h UTC, at 3.60 an hour."""
    world = LedgerWorld(tmp_path / "ledger", now=NOVEMBER)
    world.open()
    for hours in (0, 2):
        world.now = NOVEMBER + hours * 3600
        cost, gpu_hours = 3.6 * hours, float(hours)
        job = world.job(created_at=NOVEMBER, cost_dollars=cost, gpu_hours=gpu_hours)
        world.see(job)
    world.writer.close()
    return tmp_path / "ledger"


def printed(capsys: pytest.CaptureFixture[str], ledger: Path, *arguments: str) -> str:
    """Return what a report that succeeds prints."""
    assert main(["report", f"--storage.path={ledger}", *arguments], {}) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def failure(capsys: pytest.CaptureFixture[str], *arguments: str, **environ: str) -> tuple[int, str]:
    """Return status and text of a report that fails."""
    status = main(["report", *arguments], environ)
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    return status, err.removeprefix("trainwave-exporter: error: ").removesuffix("\n")


def test_the_report_is_by_project_owner_and_gpu_type_unless_reported_otherwise(
    capsys: pytest.CaptureFixture[str], ledger: Path
) -> None:
    assert printed(capsys, ledger, "--period=2026-11") == (
        "2026-11-01 00:00 to 2026-12-01 00:00, UTC\n"
        "project_id  project_name  owner  gpu_type  cost_dollars  gpu_hours\n"
        "p-1         -             ada    H100              7.20       2.00\n"
        "total                                              7.20       2.00\n"
    )


@pytest.mark.parametrize("period", ["2026", "2026-11", "2026-11-23", "2026-W48"])
def test_a_period_is_a_year_month_day_or_week(
    capsys: pytest.CaptureFixture[str], ledger: Path, period: str
) -> None:
    out = printed(capsys, ledger, f"--period={period}", "--format=csv", "--by=owner")
    assert out == (
        "owner,cost_dollars,gpu_hours,lower_bound_dollars,upper_bound_dollars\n"
        "ada,7.200000,2.000000,7.200000,7.200000\n"
        "total,7.200000,2.000000,7.200000,7.200000\n"
    )


def test_the_days_are_those_of_the_time_zone(
    capsys: pytest.CaptureFixture[str], ledger: Path
) -> None:
    by_day = ["--period=2026-11", "--by=day, owner", "--format=csv"]
    assert printed(capsys, ledger, *by_day, "--time-zone=Europe/Berlin").splitlines()[1:] == [
        "2026-11-23,ada,3.600000,1.000000,3.600000,3.600000",
        "2026-11-24,ada,3.600000,1.000000,3.600000,3.600000",
        "total,,7.200000,2.000000,7.200000,7.200000",
    ]


def test_dimensions_given_one_after_the_other_are_combined(
    capsys: pytest.CaptureFixture[str], ledger: Path
) -> None:
    period = ["--period=2026-11", "--format=csv"]
    listed = printed(capsys, ledger, *period, "--by=project,day,owner")
    assert listed.startswith("project_id,project_name,day,owner,")
    repeated = printed(capsys, ledger, *period, "--by", "project", "--by", "day,owner")
    assert repeated == listed


@pytest.fixture
def inexact(tmp_path: Path) -> Path:
    """Return a ledger whose lists alone reported jobs of October 31 for November's first report.

    j-1 cost 10 dollars on one GPU for 5 hours at the most: it began within a day of 22:00, and so
    all or nothing of it may belong to November. j-2 cost 3 dollars and was created in November.
    """
    midnight = datetime(2026, 11, 1, tzinfo=UTC).timestamp()
    world = LedgerWorld(tmp_path / "ledger", now=midnight + 86_400 * 3)
    listed: dict[str, Any] = {"gpu_type": None, "gpus": None, "hourly_cost_dollars": None}
    world.see(
        world.job(
            "j-1", "SUCCESS", created_at=midnight - 7200, cost_dollars=10.0, gpu_hours=5.0, **listed
        ),
        world.job(
            "j-2", "SUCCESS", created_at=midnight + 3600, cost_dollars=3.0, gpu_hours=1.0, **listed
        ),
        shown=False,
        counted=True,
    )
    world.writer.close()
    return tmp_path / "ledger"


def test_a_report_says_once_between_which_bounds_its_costs_are_and_why(
    capsys: pytest.CaptureFixture[str], inexact: Path
) -> None:
    command = ["report", f"--storage.path={inexact}", "--by=owner", "--period=2026-11"]
    out = printed(capsys, inexact, *command[2:])
    head, columns, ada, total, *notes = out.splitlines()
    assert head == "2026-11-01 00:00 to 2026-12-01 00:00, UTC"
    bounds = ["lower_bound_dollars", "upper_bound_dollars"]
    assert columns.split() == ["owner", "cost_dollars", "gpu_hours", *bounds]
    assert ada.split()[-2:] == total.split()[-2:] == ["3.00", "13.00"]
    assert total.split()[1:3] == ["unknown", "unknown"]
    assert notes == ["Costs are not exact. The total is at least $3.00; at most $13.00.", SPREAD]
    for form in ("csv", "json"):
        assert main([*command, f"--format={form}"], {}) == 0
        out, err = capsys.readouterr()
        assert err.splitlines() == notes
        assert SPREAD not in out
        if form == "csv":
            assert out.splitlines()[-1].endswith(",3.000000,13.000000")
        else:
            amounts = json.loads(out)["total"]
            assert [amounts[name] for name in bounds] == [3, 13]


def test_a_report_says_what_running_jobs_owe_and_what_is_not_believed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Not billed from October 31, 23:00 to November 1, 3:00, at $3.60 an hour: $10.80 of $14.40.

    Another job reports a million dollars once.
    """
    midnight = datetime(2026, 11, 1, tzinfo=UTC).timestamp()
    world = LedgerWorld(tmp_path, now=midnight - 3600)
    times: dict[str, Any] = {"created_at": world.now, "started_at": world.now}
    world.open(world.job(cost_dollars=0.0, **times))
    for _ in range(4):
        world.now += 3600
        world.see(world.job(cost_dollars=0.0, **times))
    world.see(world.job("j-2", cost_dollars=1e6, created_at=world.now))
    world.writer.close()
    out = printed(capsys, tmp_path, "--by=owner", "--period=2026-11")
    assert out.splitlines()[2:] == [
        "total          0.00       0.00",
        "Not included: $10.80 accrued by running jobs and not billed yet.",
        "Not included: an implausible cost of 1 job until it is reported again.",
    ]


def test_a_report_names_the_accounts_whose_jobs_may_be_missing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    world = LedgerWorld(tmp_path, now=NOVEMBER)
    world.see(world.job("j-1", "SUCCESS", created_at=NOVEMBER - 3600, cost_dollars=3.0))
    world.writer.close()
    out = printed(capsys, tmp_path, "--by=owner", "--period=2026-11")
    assert out.splitlines()[2:] == [
        "ada            3.00       0.00                 3.00              unknown",
        "total          3.00       0.00                 3.00              unknown",
        "Costs are not exact. The total is at least $3.00; an upper bound is unknown.",
        MISSING.replace("a, b", "a"),
    ]


def test_a_day_may_be_uncertain_where_the_month_is_not(
    capsys: pytest.CaptureFixture[str], inexact: Path
) -> None:
    """j-2 ran for an hour at the most: on November 1 or 2, and in November for certain.

    j-1 began by 22:00 of November 1, so three of its five hours may be of November 2: 6 dollars.
    """
    path = f"--storage.path={inexact}"
    assert main(["report", path, "--period=2026-11", "--by=day", "--format=json"], {}) == 0
    document = json.loads(capsys.readouterr().out)
    of_days = {row["day"]: row for row in document["rows"]}
    for day, upper in (("2026-11-01", 10 + 3), ("2026-11-02", 6 + 3)):
        assert of_days[day]["lower_bound_dollars"] == 0
        assert of_days[day]["upper_bound_dollars"] == upper
    assert document["total"]["lower_bound_dollars"] == 3
    assert document["total"]["upper_bound_dollars"] == 13


def test_without_a_period_it_is_the_present_month_of_the_time_zone(
    capsys: pytest.CaptureFixture[str], ledger: Path
) -> None:
    zone = ZoneInfo("Pacific/Kiritimati")
    before = time.time()
    out: dict[str, Any] = json.loads(
        printed(capsys, ledger, "--format=json", f"--time-zone={zone.key}")
    )
    begin, end = (datetime.fromisoformat(out["period"][name]) for name in ("begin", "end"))
    assert begin.timestamp() <= time.time()
    assert end.timestamp() > before
    assert (begin.day, begin.hour, end.day, end.hour) == (1, 0, 1, 0)
    assert 28 <= (end - begin).days <= 31
    assert begin.utcoffset() == datetime.now(zone).utcoffset()


def test_the_ledger_is_found_by_variable_or_file_and_no_key_is_needed(
    capsys: pytest.CaptureFixture[str], ledger: Path, tmp_path: Path
) -> None:
    file = tmp_path / "exporter.yml"
    file.write_text("storage: {path: ledger}\n")
    period = "--period=2026-11"
    expected = printed(capsys, ledger, period)
    assert main(["report", period], {"TRAINWAVE_STORAGE_PATH": str(ledger)}) == 0
    assert capsys.readouterr().out == expected
    assert main(["report", period, f"--config.file={file}"], {}) == 0
    assert capsys.readouterr().out == expected


def test_without_a_ledger_there_is_nothing_to_report(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    expected = (1, f"{tmp_path}: there is no ledger")
    assert failure(capsys, TRAINWAVE_STORAGE_PATH=str(tmp_path)) == expected


def test_a_ledger_in_memory_is_another_processs(capsys: pytest.CaptureFixture[str]) -> None:
    expected = (
        2,
        "storage.path: expected the folder of a ledger; :memory: keeps nothing to report",
    )
    assert failure(capsys, "--storage.path=:memory:") == expected


def test_a_period_that_is_none_is_wrong_usage(
    capsys: pytest.CaptureFixture[str], ledger: Path
) -> None:
    path = f"--storage.path={ledger}"
    status, line = failure(capsys, path, "--period=2026-13")
    assert status == 2
    assert line.startswith("--period: expected a year, month, day or ISO week, ")


DIMENSIONS = "project, owner, gpu_type, organization, job, day"
ZONES = "a time zone of the IANA database, such as UTC or Europe/Berlin"


@pytest.mark.parametrize(
    ("argument", "line"),
    [
        (
            "--by=owner,team",
            f'--by: expected some of {DIMENSIONS}, each once, got "owner,team"',
        ),
        ("--by=day,day", f'--by: expected some of {DIMENSIONS}, each once, got "day,day"'),
        ("--by=", f'--by: expected some of {DIMENSIONS}, each once, got ""'),
        ("--time-zone=Berlin", f'--time-zone: expected {ZONES}, got "Berlin"'),
        ("--format=xml", '--format: expected one of table, csv, json, got "xml"'),
    ],
)
def test_what_nobody_can_report_by_is_wrong_usage(
    capsys: pytest.CaptureFixture[str], argument: str, line: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["report", argument], {})
    assert caught.value.code == 2
    assert line in capsys.readouterr().err
