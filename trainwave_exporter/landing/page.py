"""The page for people: how all stands, worth opening during an incident.

A pure function from an `Overview` to HTML. There are no scripts and nothing is fetched: one style
sheet stands in the page, and the policy that goes with the page admits that one alone.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Sequence
from hashlib import sha256
from html import escape
from urllib.parse import quote

from trainwave_exporter.landing.formatting import NONE, ago, dollars, named, span
from trainwave_exporter.landing.overview import (
    AccountOverview,
    JobOverview,
    LoopOverview,
    Overview,
    SettingOverview,
    TroubleOverview,
    UnknownOverview,
)
from trainwave_exporter.landing.status_line import all_well, awaited, problems

JOB_PAGE = "https://trainwave.ai/jobs/"
"""Where the vendor shows a job, by its id."""

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2330; --soft: #5a6578; --line: #d9dee7; --page: #fff;
  --link: #0b5cad; --good: #0a6b3d; --bad: #b3261e; --good-page: #edf7f1; --bad-page: #fdf0ef }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ef; --soft: #9aa5b8; --line: #333c4a;
  --page: #14181f; --link: #7db8f5; --good: #63cf98; --bad: #ff8a80; --good-page: #14261d;
  --bad-page: #2e1a1b } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 76rem; padding: 1.5rem 1.25rem 4rem; background: var(--page);
  color: var(--ink); font: .9375rem/1.45 system-ui, sans-serif }
h1 { margin: 0; font-size: 1.15rem; line-height: 1.25 }
h2 { margin: 2rem 0 .35rem; font-size: 1.05rem }
p { margin: .3rem 0 }
a { color: var(--link) }
header { display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; align-items: baseline }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1rem; margin-left: auto }
.verdict { margin: 1rem 0 0; padding: .7rem 1rem; border-left: .3rem solid; border-radius: .2rem;
  font-size: 1.1rem; font-weight: 600; overflow-wrap: anywhere }
.verdict p { margin: 0 }
.verdict p + p { margin-top: .35rem; font-size: .9375rem; font-weight: 400 }
.well { background: var(--good-page); border-color: var(--good); color: var(--good) }
.soon { border-color: var(--soft); color: var(--ink) }
.ill { background: var(--bad-page); border-color: var(--bad); color: var(--bad) }
.table { overflow-x: auto }
.table:focus-visible, a:focus-visible, summary:focus-visible { outline: 2px solid var(--link);
  outline-offset: 2px }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .35rem 1.1rem .35rem 0; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: baseline; white-space: nowrap }
th:last-child, td:last-child { padding-right: 0 }
thead th { color: var(--soft); font-weight: 500; font-size: .8125rem }
tbody th { font-weight: 600; max-width: 22rem; overflow: hidden; text-overflow: ellipsis }
.who { max-width: 12rem; overflow: hidden; text-overflow: ellipsis }
.number { text-align: right }
.soft { color: var(--soft) }
.good { color: var(--good) }
.bad { color: var(--bad); font-weight: 600 }
tr:has(+ .error) > * { border-bottom: 0 }
.error td { padding-top: 0; white-space: normal; overflow-wrap: anywhere }
tbody .words { white-space: normal; min-width: 14rem; max-width: none }
.remedy { font-weight: 400 }
.error span { display: block; position: sticky; left: 0; max-width: calc(100vw - 2rem) }
.value { white-space: normal; overflow-wrap: anywhere; min-width: 8rem }
summary { margin-top: .5rem; cursor: pointer; color: var(--link) }
@media (max-width: 40rem) { body { padding: 1rem .8rem 3rem } nav { margin-left: 0 }
  tbody th { max-width: 10rem } .settings tbody th, .all-settings tbody th { max-width: none;
  white-space: normal; overflow-wrap: anywhere } }
"""

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        f"style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)

_RIGHT = ">"
"""Before a column's title: it holds numbers."""


def render(overview: Overview) -> str:
    """Return the page as a whole document."""
    now = overview.now
    changed = [setting for setting in overview.settings if setting.changed]
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Trainwave exporter</title>
<link rel="icon" href="data:,">
<style>{_STYLE}</style>
</head>
<body>
<main>
<header>
<h1>Trainwave exporter</h1>
<span class="soft">Version {escape(overview.version)}, Python {escape(overview.python)}, \
running for {span(now - overview.started_at)}</span>
<nav aria-label="Endpoints">
<a href="{escape(overview.telemetry_path)}">Metrics</a>
<a href="/-/healthy">Health</a>
<a href="/-/ready">Readiness</a>
</nav>
</header>
{_verdict(overview)}
<h2 id="accounts">Accounts</h2>
{_table("accounts", _ACCOUNT, (_account(account, now) for account in overview.accounts))}
<h2 id="budget">Request budget</h2>
{_table("budget", _BUDGET, (_budget(account) for account in overview.accounts))}
<h2 id="jobs">Running jobs, most wasteful first</h2>
{_jobs(overview)}
{_unknown(overview)}<h2 id="errors">Last errors and unreadable values</h2>
{_troubles(overview)}
<h2 id="loops">Loops</h2>
{_table("loops", _LOOP, (_loop(loop, now) for loop in overview.loops))}
<h2 id="settings">Configuration in use</h2>
<p class="soft">Settings that differ from their defaults. Keys are never shown.</p>
{_table("settings", _SETTING, (_setting(setting) for setting in changed))}
<details>
<summary id="all-settings">All {len(overview.settings)} settings</summary>
{_table("all-settings", _ALL, (_any_setting(setting) for setting in overview.settings))}
</details>
</main>
</body>
</html>
"""


def _verdict(overview: Overview) -> str:
    found, still = problems(overview), awaited(overview)
    tone = "ill" if found else "soon" if still else "well"
    shown = [*found, *still] or [all_well(overview)]
    lines = "\n".join(f"<p>{escape(line)}</p>" for line in shown)
    return f"""<div class="verdict {tone}" role="status">
{lines}
</div>"""


def _table(label: str, columns: Sequence[str], rows: Iterable[str]) -> str:
    """Return a table that scrolls by itself where it is too wide, also by keyboard."""
    heads = "".join(
        f'<th scope="col" class="number">{column[1:]}</th>'
        if column.startswith(_RIGHT)
        else f'<th scope="col">{column}</th>'
        for column in columns
    )
    body = "\n".join(rows)
    return f"""<div class="table {label}" role="region" aria-labelledby="{label}" tabindex="0">
<table>
<thead>
<tr>{heads}</tr>
</thead>
<tbody>
{body}
</tbody>
</table>
</div>"""


_ACCOUNT = (
    "Account",
    "State",
    ">Jobs running",
    ">Jobs known",
    "Last list",
    ">Age of readings",
    ">Longest",
    "Dialect",
)


def _account(account: AccountOverview, now: float) -> str:
    if account.up:
        state = '<span class="good">up</span>'
    elif account.confirmed_at is None and account.error is None:
        state = '<span class="soft">waiting for the first answer</span>'
    else:
        state = '<span class="bad">down</span>'
    return f"""<tr><th scope="row">{named(account.name)}</th><td>{state}</td>
<td class="number">{account.jobs_running:,}</td><td class="number">{account.jobs_known:,}</td>
<td>{ago(account.confirmed_at, now)}</td><td class="number">{_age(account.readings_age)}</td>
<td class="number">{_age(account.longest_age)}</td>
<td>{escape(account.dialect or "not known yet")}</td></tr>{_error(account.error, len(_ACCOUNT))}"""


_BUDGET = (
    "Account",
    ">Used in a minute",
    ">Allowance",
    ">Limit",
    ">Remaining",
    ">Deferred a minute",
    "With twice the limit",
)


def _budget(account: AccountOverview) -> str:
    remaining = NONE if account.remaining is None else f"{account.remaining:,}"
    deferred = f"{account.deferred:,.0f}"
    if account.readings_age <= 0:
        gain = NONE
    elif account.readings_age - account.readings_age_doubled < 0.5:
        gain = '<span class="soft">no gain: readings are as fresh as configured</span>'
    else:
        gain = f"readings {span(account.readings_age_doubled)} old instead of \
{span(account.readings_age)}"
    return f"""<tr><th scope="row">{named(account.name)}</th>
<td class="number">{account.requests_used:,}</td><td class="number">{account.allowance:,}</td>
<td class="number">{account.limit:,}</td><td class="number">{remaining}</td>
<td class="number">{deferred}</td><td>{gain}</td></tr>"""


_JOB = (
    "Job",
    "Idle since",
    ">Wasted on idle GPUs",
    ">Hourly price",
    ">Cost",
    ">GPU utilization",
    "Owner",
    "GPUs",
    "Account",
)


def _jobs(overview: Overview) -> str:
    if not overview.jobs:
        return '<p class="soft">No running jobs are known.</p>'
    running = sum(account.jobs_running for account in overview.accounts)
    shown = f"{overview.jobs_idle:,} of {running:,} idle now"
    if running > len(overview.jobs):
        shown += f"; the first {len(overview.jobs)} are shown"
    rows = (_job(job, overview.now) for job in overview.jobs)
    return f'<p class="soft">{shown}</p>\n{_table("jobs", _JOB, rows)}'


def _job(job: JobOverview, now: float) -> str:
    gpus = " &times; ".join(
        escape(part)
        for part in (None if job.gpus is None else f"{job.gpus:g}", job.gpu_type)
        if part
    )
    use = NONE if job.gpu_utilization is None else f"{job.gpu_utilization:.0%}"
    idle = (
        NONE if job.idle_since is None else f'<span class="bad">{ago(job.idle_since, now)}</span>'
    )
    return f"""<tr><th scope="row" title="{escape(job.name)}">\
<a href="{JOB_PAGE}{quote(job.id, safe="")}" rel="noreferrer">{named(job.name)}</a></th>
<td>{idle}</td><td class="number">{dollars(job.wasted_dollars)}</td>
<td class="number">{dollars(job.dollars_per_hour)}</td>
<td class="number">{dollars(job.cost_dollars)}</td><td class="number">{use}</td>
<td class="who">{named(job.owner)}</td><td>{gpus or NONE}</td>
<td>{named(job.account)}</td></tr>"""


_UNKNOWN = ("Figure", "Of", "Reason")


def _unknown(overview: Overview) -> str:
    """Return the section of figures that are unknown; nothing where all are known."""
    if not overview.unknown:
        return ""
    rows = (_unknown_row(each) for each in overview.unknown)
    return f'<h2 id="unknown">Unknown figures</h2>\n{_table("unknown", _UNKNOWN, rows)}\n'


def _unknown_row(unknown: UnknownOverview) -> str:
    return f"""<tr><th scope="row" class="words">{escape(unknown.figure)}</th>\
<td>{named(unknown.name)}</td>
<td class="words">{escape(unknown.meaning)} <span class="soft">{escape(unknown.reason)}</span></td>\
</tr>"""


_TROUBLE = ("Meaning and remedy", "Last", ">Times", "Account", "Where")


def _troubles(overview: Overview) -> str:
    if not overview.troubles:
        return f'<p class="soft">None in {span(overview.now - overview.started_at)}.</p>'
    rows = (_trouble(trouble, overview.now) for trouble in overview.troubles)
    return _table("errors", _TROUBLE, rows)


def _trouble(trouble: TroubleOverview, now: float) -> str:
    first = f"first {span(now - trouble.first_at)} ago"
    return f"""<tr><th scope="row" class="words">{escape(trouble.meaning)} \
<span class="remedy">{escape(trouble.remedy)}</span></th><td>{ago(trouble.last_at, now)}</td>
<td class="number" title="{first}">{trouble.count:,}</td><td>{named(trouble.account)}</td>
<td>{escape(trouble.place)} <span class="soft">{escape(trouble.outcome)}</span></td></tr>"""


_LOOP = ("Loop", "Account", "Every", "Last finished", "Outcome")


def _loop(loop: LoopOverview, now: float) -> str:
    if loop.stopped:
        outcome = '<span class="bad">stopped</span>'
    elif loop.last_succeeded is None:
        outcome = '<span class="soft">not yet</span>'
    elif loop.last_succeeded:
        outcome = '<span class="good">succeeded</span>'
    else:
        outcome = '<span class="bad">failed</span>'
    return f"""<tr><th scope="row">{escape(loop.name)}</th><td>{named(loop.account)}</td>
<td>{span(loop.interval)}</td><td>{ago(loop.last_finished_at, now)}</td><td>{outcome}</td></tr>\
{_error(loop.error, len(_LOOP))}"""


_SETTING = ("Setting", "Value")
_ALL = (*_SETTING, "Set")


def _setting(setting: SettingOverview, further: str = "") -> str:
    return f"""<tr><th scope="row">{escape(setting.name)}</th>\
<td class="value">{escape(setting.value)}</td>{further}</tr>"""


def _any_setting(setting: SettingOverview) -> str:
    shown = "set" if setting.changed else '<span class="soft">default</span>'
    return _setting(setting, f"<td>{shown}</td>")


def _error(error: str | None, columns: int) -> str:
    if error is None:
        return ""
    return f'\n<tr class="error"><td colspan="{columns}"><span>{escape(error)}</span></td></tr>'


def _age(seconds: float) -> str:
    return span(seconds) if seconds > 0 else NONE
