"""The page's first line: all well, or what is wrong, most important first."""

from __future__ import annotations

from trainwave_exporter.landing.formatting import counted, span
from trainwave_exporter.landing.overview import (
    AccountOverview,
    LoopOverview,
    Overview,
    TroubleOverview,
)

LATELY_SECONDS = 60.0
"""How long an error that came more than now and then makes itself heard in the first line."""
SEVERAL = 3
UNMATCHED = "scope_matches_nothing"
"""Why a figure is unknown that a setting has to be corrected for."""
LASTING = frozenset({UNMATCHED, "partial_view"})
"""Why figures are unknown that time alone does not change."""
SETTLING = frozenset({"balances_not_settled"})
"""Why figures are unknown for some ten minutes after each start, and nobody has to know."""
HARMLESS = frozenset({"not_found"})
"""Outcomes that come with jobs that were just deleted."""


def problems(overview: Overview) -> list[str]:
    """Return what is wrong now, in words that are no HTML; empty when all is well."""
    down = [account for account in overview.accounts if not account.up and not _young(account)]
    failed = {account.name for account in down}
    stopped = [loop for loop in overview.loops if loop.stopped]
    failing = [
        loop
        for loop in overview.loops
        if loop.last_succeeded is False and not loop.stopped and loop.account not in failed
    ]
    lately = [
        trouble
        for trouble in overview.troubles
        if trouble.count >= SEVERAL
        and overview.now - trouble.last_at < LATELY_SECONDS
        and trouble.notable
        and trouble.outcome not in HARMLESS
        and trouble.account not in failed
    ]
    blocked = [account for account in overview.accounts if account.blocked_until > overview.now]
    unmatched = [each for each in overview.unknown if each.kind == "scope"]
    return [
        *(_down(account, overview.now) for account in down),
        *_refused(overview),
        *(f"{_of(loop)} has stopped: restart the exporter" for loop in stopped),
        *(f"{_of(loop)} failed: {loop.error or 'no reason given'}" for loop in failing),
        *(_blocked(account, overview.now) for account in blocked),
        *(f"{unknown.name} matches nothing: correct the setting" for unknown in unmatched),
        *(_recurring(trouble, overview.now) for trouble in lately),
    ]


def awaited(overview: Overview) -> list[str]:
    """Return what has not come yet and is no trouble for that, in words that are no HTML."""
    young = [account for account in overview.accounts if not account.up and _young(account)]
    unknown = {
        f"{each.figure} {each.name}"
        for each in overview.unknown
        if each.reason not in LASTING | SETTLING
    }
    return [
        *(f"Account {account.name} waits for its first complete list of jobs" for account in young),
        *[f"{counted(len(unknown), 'figure')} unknown for now: see below"] * bool(unknown),
    ]


def all_well(overview: Overview) -> str:
    """Return the line for when there is no problem."""
    running = sum(account.jobs_running for account in overview.accounts)
    seen = [account.confirmed_at for account in overview.accounts if account.confirmed_at]
    parts = [
        counted(len(overview.accounts), "account") + " up",
        counted(running, "job") + " running",
    ]
    if overview.jobs_idle:
        parts.append(f"{overview.jobs_idle:,} of them idle")
    if seen:
        parts.append(f"listed {span(int(overview.now - min(seen)))} ago")
    return "All well: " + ", ".join(parts)


def _young(account: AccountOverview) -> bool:
    return account.confirmed_at is None and account.error is None


def _down(account: AccountOverview, now: float) -> str:
    lasting = "" if account.confirmed_at is None else f" for {span(now - account.confirmed_at)}"
    reason = f": {account.error}" if account.error else ""
    return f"Account {account.name} cannot be read{lasting}{reason}"


_BLOCKED = {
    "used_up": "is rate limited for another {}: the API says that no requests are left",
    "unavailable": "waits for another {}: the API is unavailable and asked to wait",
}


def _blocked(account: AccountOverview, now: float) -> str:
    words = _BLOCKED.get(
        account.blocked_reason, "is rate limited for another {}: the API refused a request"
    )
    return f"Account {account.name} {words.format(span(account.blocked_until - now))}"


def _refused(overview: Overview) -> list[str]:
    if overview.refused_reload is None:
        return []
    return [
        (
            "The configuration was not reloaded; the previous one is still in use:"
            f" {overview.refused_reload}. Fix it and reload again"
        )
    ]


def _recurring(trouble: TroubleOverview, now: float) -> str:
    whose = f"Account {trouble.account}" if trouble.account else "The exporter"
    last = span(int(now - trouble.last_at))
    return (
        f"{whose} has trouble with {trouble.place}, {trouble.count:,} times so far,"
        f" last {last} ago: {trouble.meaning}"
    )


def _of(loop: LoopOverview) -> str:
    return f"Loop {loop.name}" + (f" of account {loop.account}" if loop.account else "")
