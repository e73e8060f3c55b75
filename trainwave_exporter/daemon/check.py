"""Tries every account's key against the API, and says what it can see.

`check` asks, `render` writes. Only lists are read, and of very long ones only the beginning; and
the details of some jobs, where budgets name GPU types and lists report none.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress

from msgspec import Struct
from msgspec.structs import replace

from trainwave_exporter.api import (
    Client,
    Forbidden,
    InvalidKey,
    NetworkSettings,
    NoAnswer,
    NotFound,
    Page,
    RateBudget,
    RateLimited,
    TrainwaveError,
    UnusableAnswer,
    collect,
)
from trainwave_exporter.config import AccountSettings, KeySource, Settings
from trainwave_exporter.config.values import Duration
from trainwave_exporter.daemon.account_runtime import build_client, network_settings, new_budget
from trainwave_exporter.daemon.wiring import ledger_options, load_access
from trainwave_exporter.ledger.billing.scopes import (
    Names,
    Scope,
    Unmatched,
    unmatched_of_account,
    unmatched_of_budget,
)
from trainwave_exporter.model import (
    Fact,
    Job,
    Organization,
    Project,
    UnknownState,
    Unreadable,
)
from trainwave_exporter.polling import (
    longest_age,
    readings_in_a_round,
    requests_per_minute,
    round_seconds,
)
from trainwave_exporter.runtime.clock import Clock

MOST_PAGES = 20
"""So many pages of a list are read; what comes after is only counted."""
MOST_DETAILS = 20
"""Of so many jobs the details are read, at most."""


class Sight(Struct, frozen=True, kw_only=True):
    """The names that a key sees, which settings may name."""

    organizations: tuple[Organization, ...] = ()
    projects: tuple[Project, ...] = ()
    jobs: tuple[Job, ...] = ()
    whole: bool = False
    """The lists of organizations and projects were read to their ends."""
    sampled: bool = False
    """The GPU types of some jobs are known only, as lists report none."""


class AccountReport(Struct, frozen=True, kw_only=True):
    """What one account can see, or why it cannot."""

    name: str
    api_url: str
    problem: str | None = None
    dialect: str | None = None
    limit: int = 0
    """Requests a minute that the API grants."""
    allowance: int = 0
    """Requests a minute that the exporter may use."""
    organizations: int = 0
    projects: int = 0
    states: Mapping[str, int] = {}
    """Jobs by state, of those that were read."""
    jobs: int = 0
    """Jobs there are."""
    readings: int = 0
    """Requests that one round of readings takes."""
    round_seconds: float = 0.0
    """How long such a round takes within the allowance."""
    longest_age_seconds: float = 0.0
    """Within which every reading is refreshed, at the worst."""
    unreadable: Mapping[str, int] = {}
    """What had to be left out of the answers, and how often."""
    sight: Sight = Sight()


class Report(Struct, frozen=True):
    """What came of checking all accounts."""

    accounts: tuple[AccountReport, ...]
    unmatched: tuple[Unmatched, ...] = ()
    """Organizations and projects that are configured and that no key sees."""
    unseen: tuple[Unmatched, ...] = ()
    """Owners and GPU types of budgets that no job has now; one to come may."""
    unjudged: tuple[Unmatched, ...] = ()
    """GPU types of budgets, where no job reports any."""
    sampled: bool = False
    """Lists report no GPU types, and not of all jobs the details were read."""

    @property
    def succeeded(self) -> bool:
        """Whether every account can be read, and all that is configured is there."""
        return not self.unmatched and all(account.problem is None for account in self.accounts)


async def check(
    settings: Settings, keys: Mapping[str, KeySource], environ: Mapping[str, str] = os.environ
) -> Report:
    """Return what each account of the settings can see now. Failures are part of the report.

    ``environ`` names proxies and certificates. Raises `ConfigError` for a web configuration file,
    or an environment, of no use.
    """
    load_access(settings)
    network = network_settings(environ)
    checks = (
        _check(account, keys[account.name], settings, network) for account in settings.accounts
    )
    accounts = tuple(await asyncio.gather(*checks))
    if not all(account.sight.whole for account in accounts):
        return Report(accounts)  # what no key was seen to see may be there
    unmatched = [
        each
        for account, report in zip(settings.accounts, accounts, strict=True)
        for each in unmatched_of_account(
            account.name, Scope(account.organization, account.project), _names(report.sight)
        )
    ]
    names = _names(*(account.sight for account in accounts))
    found = [
        each
        for budget in ledger_options(settings).budgets
        for each in unmatched_of_budget(budget, names)
    ]
    unmatched += [each for each in found if each.kind in {"projects", "organizations"}]
    judged = names.matching["gpu_types"]
    unjudged = [each for each in found if each.kind == "gpu_types" and not judged]
    unseen = [each for each in found if each not in unmatched and each not in unjudged]
    sampled = any(account.sight.sampled for account in accounts)
    return Report(accounts, tuple(unmatched), tuple(unseen), tuple(unjudged), sampled)


def _names(*sights: Sight) -> Names:
    """Return what is seen that settings may name."""
    jobs = [job for sight in sights for job in sight.jobs]
    projects = [project for sight in sights for project in sight.projects]
    organizations = [each for sight in sights for each in sight.organizations]
    of_projects = {project.id for project in projects} | {job.project_id for job in jobs} - {""}
    of_organizations = {
        *(each.id for each in organizations),
        *(project.organization_id for project in projects if project.organization_id),
        *(job.organization_id for job in jobs if job.organization_id),
    }
    matching: dict[str, Collection[str]] = {
        "organizations": of_organizations,
        "organization": of_organizations | {each.rid for each in organizations if each.rid},
        "projects": of_projects | {each.name for each in projects if each.name},
        "project": of_projects | {each.rid for each in projects if each.rid},
        "owners": {job.owner for job in jobs if job.owner},
        "gpu_types": {job.gpu_type for job in jobs if job.gpu_type},
    }
    hints = {each.name: each.id for each in organizations if each.name}
    hints |= {each.name: each.id for each in projects if each.name}
    return Names(matching=matching, hints=hints)


async def _check(
    account: AccountSettings, key: KeySource, settings: Settings, network: NetworkSettings
) -> AccountReport:
    facts: list[Fact] = []
    clock = Clock()
    budget = new_budget(account, clock)
    client = build_client(account, key, settings, network, budget, facts.append, clock)
    report = AccountReport(name=account.name, api_url=account.api_url)
    try:
        return await _ask(report, account, settings, client, budget, facts)
    except TrainwaveError as error:
        return replace(report, problem=_in_words(error))
    finally:
        await client.aclose()


async def _ask(
    report: AccountReport,
    account: AccountSettings,
    settings: Settings,
    client: Client,
    budget: RateBudget,
    facts: Iterable[Fact],
) -> AccountReport:
    """Read the lists, one after the other: the first refusal is the one to report."""
    size = account.page_size

    def jobs(status: str | None) -> Callable[[int], Awaitable[Page[Job]]]:
        return lambda offset: client.list_jobs(
            org=account.organization,
            project=account.project,
            status=status,
            limit=size,
            offset=offset,
        )

    organizations = await collect(
        lambda offset: client.list_organizations(limit=size, offset=offset), most=MOST_PAGES
    )
    projects = await collect(
        lambda offset: client.list_projects(org=account.organization, limit=size, offset=offset),
        most=MOST_PAGES,
    )
    everything = await collect(jobs(None), most=MOST_PAGES)
    running = await collect(jobs("running"), most=MOST_PAGES)
    known = {job.id: job for job in (*everything.items, *running.items)}
    readings = readings_in_a_round(known.values())
    jobs_seen, sampled = tuple(known.values()), False
    if any(budget.gpu_types for budget in ledger_options(settings).budgets):
        jobs_seen, sampled = await _with_gpu_types(jobs_seen, client)
    allowance = budget.snapshot(time.time()).allowance
    polling, directory = settings.polling, organizations.requests + projects.requests
    lists = requests_per_minute(running.requests, polling.running_interval)
    lists += requests_per_minute(directory, polling.directory_interval)
    left, ideal = allowance - lists, polling.readings_interval
    return replace(
        report,
        dialect=None if client.dialect is None else client.dialect.value,
        limit=budget.snapshot(time.time()).limit,
        allowance=allowance,
        organizations=organizations.total,
        projects=projects.total,
        states=Counter(job.state for job in known.values()),
        jobs=max(everything.total, len(known)),
        readings=readings,
        round_seconds=round_seconds(readings, left, ideal),
        longest_age_seconds=longest_age(readings, left, ideal),
        unreadable=Counter(doubt for fact in facts if (doubt := _doubt(fact))),
        sight=Sight(
            organizations=tuple(organizations.items),
            projects=tuple(projects.items),
            jobs=jobs_seen,
            whole=organizations.whole and projects.whole,
            sampled=sampled,
        ),
    )


async def _with_gpu_types(jobs: Sequence[Job], client: Client) -> tuple[tuple[Job, ...], bool]:
    """Return jobs with their GPU types, from the details of some where lists report none.

    And whether not those of all were read: the running ones come first, then the latest.
    """
    if any(job.gpu_type for job in jobs):
        return tuple(jobs), False
    latest = sorted(jobs, key=lambda job: (job.finished, -(job.created_at or 0.0)))
    found = []
    for job in latest[:MOST_DETAILS]:
        with suppress(NotFound):  # it was deleted since
            found.append(replace(job, gpu_type=(await client.get_job(job.id)).gpu_type))
    return (*found, *latest[MOST_DETAILS:]), len(latest) > MOST_DETAILS


def _doubt(fact: Fact) -> str | None:
    match fact:
        case Unreadable(subject=subject, reason=reason):
            return f"{subject} ({reason})"
        case UnknownState(state=state):
            return f"unknown state {state}"
        case _:
            return None


def _in_words(error: TrainwaveError) -> str:
    match error:
        case InvalidKey():
            return f"the API refused the key: {error}"
        case Forbidden():
            return (
                "the request was refused, but probably not because of the key; check proxies and"
                f" firewalls between here and the API: {error}"
            )
        case RateLimited():
            return f"the rate limit of the key is used up: {error}"
        case NoAnswer():
            return f"the API did not answer: {error}"
        case UnusableAnswer():
            return f"the answer is not one of the Trainwave API, or has an unknown form: {error}"
        case _:
            return str(error)


def render(report: Report) -> str:
    """Return the report as a short text."""
    accounts = "\n".join(_render(account) for account in report.accounts)
    rows = [("FAILED", str(each)) for each in report.unmatched]
    few = f"none of the {MOST_DETAILS} jobs of which details were read"
    for each in report.unseen:
        jobs = few if report.sampled and each.kind == "gpu_types" else "no job so far"
        rows.append(("not seen", f"{each.figure_name} matches {jobs}{each.hint}"))
    later = (
        "no job reports a GPU type here; the exporter logs scope_matches_nothing once it knows all"
    )
    rows += [("not checked", f"{each.figure_name}: {later}") for each in report.unjudged]
    scopes = "".join(f"{name:<14} {value}\n" for name, value in rows)
    return f"{accounts}\n{scopes}" if scopes else accounts


def _render(account: AccountReport) -> str:
    rows = [("account", account.name), ("API", account.api_url)]
    if account.problem is not None:
        rows.append(("FAILED", account.problem))
    else:
        read = sum(account.states.values())
        states = ", ".join(f"{count} {state}" for state, count in sorted(account.states.items()))
        of_these = f", of the {read} read" if read < account.jobs else ""
        pace = Duration(round(account.round_seconds))
        longest = Duration(round(account.longest_age_seconds))
        rows += [
            ("dialect", account.dialect or "unknown"),
            (
                "rate limit",
                f"{account.limit} requests a minute, of which {account.allowance} may be used",
            ),
            ("organizations", str(account.organizations)),
            ("projects", str(account.projects)),
            ("jobs", f"{account.jobs}{of_these}: {states}" if states else str(account.jobs)),
            ("readings", f"{account.readings} requests a round, every {pace} at best"),
            ("oldest reading", f"{longest} at most"),
        ]
        rows += [
            ("unreadable", f"{subject}, {count} times")
            for subject, count in sorted(account.unreadable.items())
        ]
    return "".join(f"{name:<14} {value}\n" for name, value in rows)
