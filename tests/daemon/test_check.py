"""What a check of the accounts finds out, against simulated services."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from aiohttp import web
from support.api_server import serving

from trainwave_exporter.config import KeySource, Settings, key_source, load
from trainwave_exporter.daemon.check import AccountReport, Report, check, render
from trainwave_exporter.simulator import Faults, SimulatedWorld, Simulator, parse_faults

KEY = "demo-key"


def simulator(*, jobs: int = 5, history: int = 7, **options: object) -> Simulator:
    return Simulator(SimulatedWorld(jobs=jobs, history=history), **options)  # type: ignore[arg-type]  # as given


async def check_with(settings: Settings, environ: Mapping[str, str]) -> Report:
    keys: dict[str, KeySource] = {
        account.name: key_source(account, environ) for account in settings.accounts
    }
    return await check(settings, keys)


async def check_one(service: Simulator, *, key: str = KEY, **flags: str) -> AccountReport:
    async with service.serve() as url:
        settings = load({"trainwave.api_url": url, **flags}, {}, None)
        report = await check_with(settings, {"TRAINWAVE_API_KEY": key})
    (account,) = report.accounts
    assert report.succeeded == (account.problem is None)
    return account


@pytest.mark.parametrize("dialect", ["documented", "deployed"])
async def test_a_good_key_shows_what_there_is_in_either_dialect(dialect: str) -> None:
    service = simulator(dialect=dialect)
    account = await check_one(service)
    assert account.problem is None
    assert account.dialect == dialect
    assert (account.limit, account.allowance) == (100, 80)
    assert account.organizations == len(service.world.catalogue.organizations)
    assert account.projects == len(service.world.catalogue.projects)
    assert account.jobs == sum(account.states.values()) == 12
    assert account.unreadable == {}


async def test_a_round_of_readings_costs_what_the_list_does_not_bring() -> None:
    documented = await check_one(simulator(dialect="documented"))
    deployed = await check_one(simulator(dialect="deployed"))
    assert documented.readings == 4 * documented.states["RUNNING"]
    assert deployed.readings == 6 * deployed.states["RUNNING"]


async def test_a_round_takes_longer_where_the_budget_is_small() -> None:
    rich = await check_one(simulator(jobs=60, rate_limit=1000))
    poor = await check_one(simulator(jobs=60, rate_limit=50))
    assert rich.round_seconds == 60
    # 40 requests a minute, of which the lists take 2 a minute each for jobs and 2 for the rest.
    assert poor.round_seconds == pytest.approx(60 * poor.readings / (40 - 2 - 2))
    assert poor.longest_age_seconds == pytest.approx((4 + 1) / 0.6 * poor.round_seconds)


async def test_of_a_long_list_only_the_beginning_is_read() -> None:
    account = await check_one(
        simulator(jobs=5, history=60, rate_limit=1000), **{"trainwave.page_size": "2"}
    )
    assert account.jobs == 65
    assert 40 <= sum(account.states.values()) <= 45
    read = sum(account.states.values())
    assert f"jobs           65, of the {read} read: " in render(Report((account,)))


async def test_what_could_not_be_read_is_counted() -> None:
    account = await check_one(simulator(faults=parse_faults("unknown_state=1")))
    assert sum(account.unreadable.values()) == 2
    assert all(told.startswith("unknown state ") for told in account.unreadable)


async def test_a_unit_that_cannot_be_right_shows_in_what_could_not_be_read() -> None:
    account = await check_one(simulator(), **{"readings.listed_gpu_utilization": "ratio"})
    assert account.unreadable["gpu_utilization (out_of_range)"] > 0


@pytest.mark.parametrize(
    ("faults", "problem"),
    [
        ("429", "the rate limit of the key is used up: "),
        ("down", "the API did not answer: "),
        ("html", "the answer is not one of the Trainwave API, or has an unknown form: "),
        ("5xx", "(50"),
    ],
)
async def test_a_failure_is_reported_in_words(faults: str, problem: str) -> None:
    account = await check_one(simulator(faults=parse_faults(faults)))
    assert account.problem is not None
    assert problem in account.problem


async def test_a_page_of_a_proxy_is_not_reported_as_a_refused_key() -> None:
    page = "<html><head><title>Blocked by policy</title></head></html>"

    def refuse(_: web.Request) -> web.Response:
        return web.Response(status=403, text=page, content_type="text/html")

    async with serving(refuse) as server:
        settings = load({"trainwave.api_url": server.url}, {}, None)
        (account,) = (await check_with(settings, {"TRAINWAVE_API_KEY": KEY})).accounts
    assert account.problem == (
        "the request was refused, but probably not because of the key; check proxies and"
        " firewalls between here and the API: Blocked by policy (403)"
    )


async def test_a_check_does_not_wait_for_a_limit_that_is_far_ahead() -> None:
    def last(_: web.Request) -> web.Response:
        now = int(time.time())
        headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(now + 7_000)}
        return web.json_response({"success": True, "data": []}, headers=headers)

    async with serving(last) as server:
        settings = load({"trainwave.api_url": server.url}, {}, None)
        (account,) = (await check_with(settings, {"TRAINWAVE_API_KEY": KEY})).accounts
    assert account.problem == (
        "the rate limit of the key is used up: the API says that no requests are left;"
        " the next one goes out in 3600 s (not sent)"
    )


async def test_a_refused_key_fails_its_account_only(tmp_path: Path) -> None:
    file = tmp_path / "exporter.yml"
    async with simulator(faults=Faults()).serve() as url:
        file.write_text(
            f"trainwave: {{api_url: {url}}}\n"
            "accounts:\n"
            "  - {name: good, api_key_env: GOOD}\n"
            "  - {name: bad, api_key_env: BAD}\n"
        )
        report = await check_with(load({}, {}, file), {"GOOD": KEY, "BAD": "wrong-key"})
    good, bad = report.accounts
    assert not report.succeeded
    assert (good.problem, good.dialect) == (None, "documented")
    assert bad.problem is not None
    assert bad.problem.startswith("the API refused the key: ")
    assert "wrong-key" not in render(report)


def test_a_report_is_a_short_table_for_each_account() -> None:
    good = AccountReport(
        name="research",
        api_url="https://example.org/api/v1",
        dialect="deployed",
        limit=100,
        allowance=80,
        organizations=1,
        projects=6,
        states={"SUCCESS": 2, "RUNNING": 60},
        jobs=62,
        readings=360,
        round_seconds=284.4,
        longest_age_seconds=1895.6,
        unreadable={"cost (ambiguous_unit)": 3},
    )
    bad = AccountReport(name="products", api_url="https://example.org/api/v1", problem="no answer")
    empty = AccountReport(name="new", api_url="https://example.org/api/v1")
    assert render(Report((good, bad, empty))) == (
        "account        research\n"
        "API            https://example.org/api/v1\n"
        "dialect        deployed\n"
        "rate limit     100 requests a minute, of which 80 may be used\n"
        "organizations  1\n"
        "projects       6\n"
        "jobs           62: 60 RUNNING, 2 SUCCESS\n"
        "readings       360 requests a round, every 4m44s at best\n"
        "oldest reading 31m36s at most\n"
        "unreadable     cost (ambiguous_unit), 3 times\n"
        "\n"
        "account        products\n"
        "API            https://example.org/api/v1\n"
        "FAILED         no answer\n"
        "\n"
        "account        new\n"
        "API            https://example.org/api/v1\n"
        "dialect        unknown\n"
        "rate limit     0 requests a minute, of which 0 may be used\n"
        "organizations  0\n"
        "projects       0\n"
        "jobs           0\n"
        "readings       0 requests a round, every 0s at best\n"
        "oldest reading 0s at most\n"
    )


async def check_budget(service: Simulator, tmp_path: Path, budget: str, **flags: str) -> Report:
    """Check one account that sees everything, with one budget of this scope."""
    file = tmp_path / "exporter.yml"
    file.write_text(
        "budgets:\n"
        "  - {name: research, limit_dollars: 10, period: month, time_zone: UTC, " + budget + "}\n"
    )
    async with service.serve() as url:
        settings = load({"trainwave.api_url": url, **flags}, {}, file)
        return await check_with(settings, {"TRAINWAVE_API_KEY": KEY})


@pytest.mark.parametrize("dialect", ["documented", "deployed"])
async def test_a_budget_for_a_project_that_is_not_there_fails_and_names_the_nearest(
    dialect: str, tmp_path: Path
) -> None:
    service = simulator(dialect=dialect)
    name = service.world.catalogue.projects[0].name
    misspelled = name[:1] + name[2:3] + name[1:2] + name[3:]
    report = await check_budget(service, tmp_path, f"projects: [{name}, {misspelled}]")
    assert not report.succeeded
    told = f"budgets[research].projects: {misspelled} matches nothing; did you mean {name}?"
    assert [str(each) for each in report.unmatched] == [told]
    assert render(report).endswith(f"\nFAILED         {told}\n")
    report = await check_budget(service, tmp_path, f"projects: [{name}]")
    assert report.succeeded
    assert report.unseen == ()


async def test_the_name_of_an_organization_is_no_id_and_points_to_it(tmp_path: Path) -> None:
    service = simulator(dialect="deployed")
    organization = service.world.catalogue.organizations[0]
    report = await check_budget(service, tmp_path, f"organizations: ['{organization.name}']")
    (unmatched,) = report.unmatched
    seen = {each.name: each.id for each in report.accounts[0].sight.organizations}
    assert unmatched.nearest == seen[organization.name]


async def test_an_owner_without_jobs_is_said_and_may_still_come(tmp_path: Path) -> None:
    report = await check_budget(simulator(), tmp_path, "owners: [nobody-yet]")
    assert report.succeeded
    assert [each.name for each in report.unseen] == ["nobody-yet"]
    assert "\nnot seen       budgets[research].owners: nobody-yet matches no job so far" in render(
        report
    )


@pytest.mark.parametrize("dialect", ["documented", "deployed"])
async def test_a_gpu_type_is_checked_though_lists_may_not_report_any(
    dialect: str, tmp_path: Path
) -> None:
    """In the documented dialect the details of jobs are asked for it, as many as there are."""
    service = simulator(dialect=dialect, jobs=9, history=9)
    known = min(job.order.offer.gpu_type for job in service.world.jobs)
    report = await check_budget(service, tmp_path, f"gpu_types: [{known}]")
    assert (report.succeeded, report.unseen, report.unjudged) == (True, (), ())
    report = await check_budget(service, tmp_path, f"gpu_types: [{known}X]")
    assert report.succeeded
    told = f"budgets[research].gpu_types: {known}X matches no job so far; did you mean {known}?"
    assert render(report).endswith(f"\nnot seen       {told}\n")


async def test_of_many_jobs_the_details_of_some_are_read_for_their_gpu_types(
    tmp_path: Path,
) -> None:
    service = simulator(dialect="documented", jobs=30, history=30)
    report = await check_budget(service, tmp_path, "gpu_types: [no-such-type]")
    assert report.succeeded
    assert render(report).endswith(
        "\nnot seen       budgets[research].gpu_types: no-such-type matches none of the 20 jobs of"
        " which details were read\n"
    )


async def test_without_any_job_no_gpu_type_is_judged(tmp_path: Path) -> None:
    service = simulator(dialect="documented", jobs=0, history=0)
    report = await check_budget(service, tmp_path, "gpu_types: [H10]")
    assert report.succeeded
    assert render(report).endswith(
        "\nnot checked    budgets[research].gpu_types: H10: no job reports a GPU type here; the"
        " exporter logs scope_matches_nothing once it knows all\n"
    )


@pytest.mark.parametrize("setting", ["project", "organization"])
async def test_an_account_that_is_limited_to_what_is_not_there_fails(
    setting: str, tmp_path: Path
) -> None:
    flags = {f"trainwave.{setting}": "p-nope"}
    report = await check_budget(simulator(), tmp_path, "projects: []", **flags)
    assert f"accounts[default].{setting}: p-nope" in {e.figure_name for e in report.unmatched}
    assert not report.succeeded


async def test_names_are_not_judged_while_a_key_is_refused(tmp_path: Path) -> None:
    service = Simulator(SimulatedWorld(jobs=1, history=0), keys=["another"])
    report = await check_budget(service, tmp_path, "projects: [nowhere]")
    assert report.accounts[0].problem is not None
    assert report.unmatched == ()
