"""The landing page: what this is, where the metrics are, what is watched and how fresh it is.

A pure function from an `Overview` to HTML. There are no scripts and nothing is fetched: one style
sheet stands in the page, and the policy that goes with the page admits that one alone.
"""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime
from hashlib import sha256
from html import escape

from trainwave_exporter.web.overview import AccountOverview, LoopOverview, Overview

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2330; --soft: #5a6578; --line: #d9dee7; --page: #fff;
  --link: #0b5cad; --good: #0a6b3d; --bad: #b3261e }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ef; --soft: #9aa5b8; --line: #333c4a;
  --page: #14181f; --link: #7db8f5; --good: #63cf98; --bad: #ff8a80 } }
body { margin: 0 auto; max-width: 68rem; padding: 2rem 1.25rem 4rem; background: var(--page);
  color: var(--ink); font: 1rem/1.5 system-ui, sans-serif }
h1 { margin: 0; font-size: 1.6rem; line-height: 1.25 }
h2 { margin: 2.25rem 0 .5rem; font-size: 1.1rem }
p { margin: .4rem 0 }
a { color: var(--link) }
ul { margin: 1rem 0 0; padding: 0; display: flex; flex-wrap: wrap; gap: .25rem 1.5rem;
  list-style: none }
div { overflow-x: auto }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .45rem 1.25rem .45rem 0; border-bottom: 1px solid var(--line); text-align: left;
  white-space: nowrap }
thead th { color: var(--soft); font-weight: 500; font-size: .875rem }
tbody th { font-weight: 600 }
.number { text-align: right }
.soft { color: var(--soft) }
.good { color: var(--good) }
.bad { color: var(--bad); font-weight: 600 }
tr:has(+ .error) > * { border-bottom: 0 }
.error td { padding-top: 0; white-space: normal; overflow-wrap: anywhere }
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


def render(overview: Overview) -> str:
    """Return the page as a whole document."""
    accounts = "\n".join(_account(account, overview.now) for account in overview.accounts)
    loops = "\n".join(_loop(loop, overview.now) for loop in overview.loops)
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
<h1>Trainwave exporter</h1>
<p class="soft">Version {escape(overview.version)}, running for \
{_span(overview.now - overview.started_at)}</p>
<ul>
<li><a href="{escape(overview.telemetry_path)}">Metrics</a></li>
<li><a href="/-/healthy">Health</a></li>
<li><a href="/-/ready">Readiness</a></li>
</ul>
<h2 id="accounts">Accounts</h2>
<div role="region" aria-labelledby="accounts" tabindex="0">
<table>
<thead>
<tr><th scope="col">Account</th><th scope="col">State</th>
<th scope="col" class="number">Jobs running</th><th scope="col" class="number">Jobs known</th>
<th scope="col">Last sweep</th><th scope="col">Requests in the last minute</th>
<th scope="col">Dialect</th></tr>
</thead>
<tbody>
{accounts}
</tbody>
</table>
</div>
<h2 id="loops">Polling loops</h2>
<div role="region" aria-labelledby="loops" tabindex="0">
<table>
<thead>
<tr><th scope="col">Loop</th><th scope="col">Account</th><th scope="col">Every</th>
<th scope="col">Last finished</th><th scope="col">Outcome</th></tr>
</thead>
<tbody>
{loops}
</tbody>
</table>
</div>
</main>
</body>
</html>
"""


def _account(account: AccountOverview, now: float) -> str:
    if account.up:
        state = '<span class="good">up</span>'
    elif account.confirmed_at is None and account.error is None:
        state = '<span class="soft">waiting for the first answer</span>'
    else:
        state = '<span class="bad">down</span>'
    error = ""
    if account.error is not None:
        error = f'\n<tr class="error"><td colspan="7">{escape(account.error)}</td></tr>'
    return f"""<tr><th scope="row">{escape(account.name)}</th><td>{state}</td>
<td class="number">{account.jobs_running:,}</td><td class="number">{account.jobs_known:,}</td>
<td>{_ago(account.confirmed_at, now)}</td>
<td>{account.requests_used:,} of {account.allowance:,} \
<span class="soft">(limit {account.limit:,})</span></td>
<td>{escape(account.dialect or "not known yet")}</td></tr>{error}"""


def _loop(loop: LoopOverview, now: float) -> str:
    if loop.stopped:
        outcome = '<span class="bad">stopped</span>'
    elif loop.last_succeeded is None:
        outcome = '<span class="soft">not yet</span>'
    elif loop.last_succeeded:
        outcome = '<span class="good">succeeded</span>'
    else:
        outcome = '<span class="bad">failed</span>'
    return f"""<tr><th scope="row">{escape(loop.name)}</th><td>{escape(loop.account)}</td>
<td>{_span(loop.interval)}</td><td>{_ago(loop.last_finished_at, now)}</td><td>{outcome}</td></tr>"""


def _ago(moment: float | None, now: float) -> str:
    """Return how long ago something was, with the exact time at hand."""
    if moment is None:
        return '<span class="soft">never</span>'
    exact = datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")
    return f'<time datetime="{exact}" title="{exact}">{_span(now - moment)} ago</time>'


def _span(seconds: float) -> str:
    """Return a duration in its one or two largest units; a negative one counts as none."""
    whole = max(0, int(seconds))
    for unit, size, smaller, part in (("d", 86400, "h", 3600), ("h", 3600, "min", 60)):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size} {unit}" + (f" {rest} {smaller}" if rest else "")
    if whole >= 60:
        return f"{whole // 60} min"
    return f"{seconds:.1g} s" if 0 < seconds < 1 else f"{whole} s"
