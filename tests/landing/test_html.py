"""The landing page tells how things stand, and nothing in it can be more than text."""

from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser
from typing import Any

import pytest
from msgspec.structs import replace

from trainwave_exporter.landing import (
    AccountOverview,
    JobOverview,
    LoopOverview,
    Overview,
    SettingOverview,
    TroubleOverview,
    UnknownOverview,
)
from trainwave_exporter.landing.page import CONTENT_SECURITY_POLICY, render

NOW = 1_700_000_000.0

RESEARCH = AccountOverview(
    name="research",
    up=True,
    jobs_running=1234,
    jobs_known=5678,
    confirmed_at=NOW - 65,
    requests_used=41,
    allowance=80,
    limit=100,
    remaining=57,
    deferred=12.4,
    readings_age=90,
    readings_age_doubled=45,
    longest_age=240,
    dialect="documented",
)

SWEEP = LoopOverview(
    account="research",
    name="sweep",
    interval=600,
    last_finished_at=NOW - 3700,
    last_succeeded=True,
)


JOB = JobOverview(
    id="job/1",
    name="train",
    account="research",
    owner="ada",
    gpu_type="H100",
    gpus=8,
    dollars_per_hour=25.6,
    cost_dollars=1234.5,
    wasted_dollars=70,
    idle_since=NOW - 7260,
    gpu_utilization=0.014,
)

TROUBLE = TroubleOverview(
    account="research",
    place="metric",
    outcome="timeout",
    meaning="The API took too long.",
    remedy="Wait.",
    count=1234,
    first_at=NOW - 3600,
    last_at=NOW - 3,
)


class Cells(HTMLParser):
    """The texts of the cells of a page's tables, row by row, by the table's label."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self._rows: list[list[str]] = []
        self._inside = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        label = dict(attrs).get("aria-labelledby")
        if label is not None:
            self._rows = self.tables[label] = []
        if tag == "tr":
            self._rows.append([])
        if tag in {"td", "th"}:
            self._rows[-1].append("")
            self._inside = True

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag not in {"td", "th"}

    def handle_data(self, data: str) -> None:
        if self._inside:
            self._rows[-1][-1] += data


def page_of(*accounts: AccountOverview, started_at: float = NOW, **parts: Any) -> str:
    return render(
        Overview(
            version="1.2.3",
            python="3.11.7",
            started_at=started_at,
            now=NOW,
            telemetry_path="/metrics",
            accounts=accounts,
            **parts,
        )
    )


def rows(label: str, *accounts: AccountOverview, **parts: Any) -> list[list[str]]:
    """Return the cells of a table, without its head."""
    return Cells(page_of(*accounts, **parts)).tables[label][1:]


def account_row(account: AccountOverview) -> list[str]:
    return rows("accounts", account)[0]


def loop_row(loop: LoopOverview) -> list[str]:
    return rows("loops", loops=(loop,))[0]


def verdict(*accounts: AccountOverview, **parts: Any) -> list[str]:
    match = re.search(r'role="status">(.*?)</div>', page_of(*accounts, **parts), re.DOTALL)
    assert match
    return [unescape(line) for line in re.findall("<p>(.*?)</p>", match[1])]


def test_an_account_that_can_be_read_is_reported_with_its_numbers() -> None:
    assert account_row(RESEARCH) == [
        "research",
        "up",
        "1,234",
        "5,678",
        "1 min ago",
        "1 min",
        "4 min",
        "documented",
    ]


def test_an_account_that_cannot_be_read_is_reported_with_the_reason() -> None:
    row, reason = rows("accounts", replace(RESEARCH, up=False, error="the API refused the key"))
    assert row[1] == "down"
    assert reason == ["the API refused the key"]


def test_an_account_that_was_up_before_is_down_even_without_a_reason() -> None:
    assert account_row(replace(RESEARCH, up=False))[1] == "down"


def test_an_account_without_any_answer_yet_is_waiting() -> None:
    row = account_row(replace(RESEARCH, up=False, confirmed_at=None, dialect=None))
    assert (row[1], row[4], row[7]) == ("waiting for the first answer", "never", "not known yet")


def test_a_loop_is_reported_with_its_last_run() -> None:
    assert loop_row(SWEEP) == ["sweep", "research", "10 min", "1 h 1 min ago", "succeeded"]


def test_the_outcome_of_a_loop_is_reported_in_words() -> None:
    assert loop_row(replace(SWEEP, last_succeeded=False))[4] == "failed"
    assert loop_row(replace(SWEEP, stopped=True))[4] == "stopped"
    young = replace(SWEEP, last_finished_at=None, last_succeeded=None)
    assert loop_row(young)[3:] == ["never", "not yet"]


def test_a_time_is_at_hand_exactly() -> None:
    assert '<time datetime="2023-11-14T22:12:15+00:00"' in page_of(RESEARCH)


def test_durations_are_reported_in_their_largest_units() -> None:
    def uptime(seconds: float) -> str:
        match = re.search(r"running for (.*)</span>", page_of(started_at=NOW - seconds))
        assert match
        return match[1]

    durations = [-5, 0, 0.25, 59, 60, 3600, 5400, 86_400, 180_000]
    assert [uptime(seconds) for seconds in durations] == [
        "0 s",
        "0 s",
        "0.2 s",
        "59 s",
        "1 min",
        "1 h",
        "1 h 30 min",
        "1 d",
        "2 d 2 h",
    ]


def test_the_page_links_to_metrics_health_and_readiness() -> None:
    links = re.findall(r'<a href="([^"]*)"', page_of(RESEARCH))
    assert links == ["/metrics", "/-/healthy", "/-/ready"]


UNKNOWN = UnknownOverview(
    kind="budget",
    figure="Spend of the budget",
    name="vision",
    reason="history_incomplete",
    meaning="Details are missing.",
)
UNMATCHED = UnknownOverview(
    kind="scope",
    figure="Name in a setting",
    name="budgets[vision].projects: Visoin",
    reason="scope_matches_nothing",
    meaning="Correct the setting.",
)


def test_unknown_figures_have_a_section_that_says_why() -> None:
    page = page_of(RESEARCH, unknown=(UNKNOWN,))
    assert 'id="unknown">Unknown figures</h2>' in page
    assert "Details are missing." in page
    assert "history_incomplete" in page
    assert "1 figure unknown for now: see below" in page
    assert "All well" not in page
    assert 'id="unknown"' not in page_of(RESEARCH)


def test_a_setting_that_matches_nothing_is_no_well_being() -> None:
    page = page_of(RESEARCH, unknown=(UNMATCHED, replace(UNMATCHED, kind="budget", name="vision")))
    assert "budgets[vision].projects: Visoin matches nothing: correct the setting" in page
    assert "All well" not in page
    assert ">vision matches nothing" not in page


def test_what_a_key_cannot_see_as_a_whole_is_no_trouble_and_nothing_to_wait_for() -> None:
    partial = replace(UNKNOWN, kind="credit_runway", name="o-1", reason="partial_view")
    page = page_of(RESEARCH, unknown=(partial,))
    assert "All well" in page
    assert "partial_view" in page


def test_the_verdict_comes_first_and_says_that_all_is_well() -> None:
    assert verdict(RESEARCH, jobs=(JOB,), jobs_idle=1) == [
        "All well: 1 account up, 1,234 jobs running, 1 of them idle, listed 1 min ago"
    ]
    page = page_of(RESEARCH)
    assert page.index('role="status"') < page.index("<table")


def test_the_verdict_reports_what_is_wrong_most_important_first() -> None:
    down = replace(RESEARCH, name="a", up=False, error="the API refused the key")
    young = replace(RESEARCH, name="b", up=False, confirmed_at=None)
    blocked = replace(RESEARCH, name="c", blocked_until=NOW + 30, blocked_reason="rate_limited")
    loops = (
        replace(SWEEP, account="a", last_succeeded=False, error="told by the account already"),
        replace(SWEEP, account="c", last_succeeded=False, error="half a list"),
        replace(SWEEP, account="", name="ledger", stopped=True),
    )
    assert verdict(young, blocked, down, loops=loops) == [
        "Account a cannot be read for 1 min: the API refused the key",
        "Loop ledger has stopped: restart the exporter",
        "Loop sweep of account c failed: half a list",
        "Account c is rate limited for another 30 s: the API refused a request",
        "Account b waits for its first complete list of jobs",
    ]


@pytest.mark.parametrize(
    ("reason", "line"),
    [
        ("used_up", "is rate limited for another 58 min: the API says that no requests are left"),
        ("unavailable", "waits for another 58 min: the API is unavailable and asked to wait"),
    ],
)
def test_the_verdict_says_why_an_account_is_blocked_and_for_how_long(
    reason: str, line: str
) -> None:
    blocked = replace(RESEARCH, blocked_until=NOW + 3_500, blocked_reason=reason)
    assert verdict(blocked) == [f"Account research {line}"]


def test_a_refused_reload_is_reported_until_one_succeeds() -> None:
    assert verdict(RESEARCH, refused_reload="exporter.yml: polling: expected a mapping") == [
        (
            "The configuration was not reloaded; the previous one is still in use:"
            " exporter.yml: polling: expected a mapping. Fix it and reload again"
        )
    ]
    assert verdict(RESEARCH, refused_reload=None)[0].startswith("All well")


@pytest.mark.parametrize(
    ("account", "tone"),
    [
        (RESEARCH, "well"),
        (replace(RESEARCH, up=False, confirmed_at=None), "soon"),
        (replace(RESEARCH, up=False, error="refused"), "ill"),
    ],
)
def test_what_has_only_just_begun_is_no_alarm(account: AccountOverview, tone: str) -> None:
    assert f'<div class="verdict {tone}" role="status">' in page_of(account)


def test_an_error_that_keeps_coming_is_in_the_verdict_until_it_is_over() -> None:
    (line,) = verdict(RESEARCH, troubles=(TROUBLE,))
    assert line == (
        "Account research has trouble with metric, 1,234 times so far, last 3 s ago:"
        " The API took too long."
    )
    quiet = (
        replace(TROUBLE, count=2),
        replace(TROUBLE, last_at=NOW - 60),
        replace(TROUBLE, outcome="not_found"),
    )
    assert verdict(RESEARCH, troubles=quiet)[0].startswith("All well")
    own = replace(TROUBLE, account="", place="ledger")
    assert verdict(RESEARCH, troubles=(own,))[0].startswith("The exporter has trouble with ledger")
    down = replace(RESEARCH, up=False, error="refused")
    assert verdict(down, troubles=(TROUBLE,)) == [
        "Account research cannot be read for 1 min: refused"
    ]


def test_the_budget_is_reported_with_what_a_doubled_limit_would_gain() -> None:
    assert rows("budget", RESEARCH) == [
        ["research", "41", "80", "100", "57", "12", "readings 45 s old instead of 1 min"]
    ]
    fresh = replace(RESEARCH, readings_age=30, readings_age_doubled=30, remaining=None)
    gain = "no gain: readings are as fresh as configured"
    assert rows("budget", fresh)[0][4:] == ["\u2013", "12", gain]
    assert rows("budget", replace(fresh, readings_age=0))[0][6] == "\u2013"


def test_a_running_job_is_reported_with_what_it_costs_and_wastes() -> None:
    assert rows("jobs", RESEARCH, jobs=(JOB,), jobs_idle=1) == [
        [
            "train",
            "2 h 1 min ago",
            "$70.00",
            "$25.60",
            "$1,234.50",
            "1%",
            "ada",
            "8 \u00d7 H100",
            "research",
        ]
    ]
    page = page_of(RESEARCH, jobs=(JOB,), jobs_idle=1)
    assert '<a href="https://trainwave.ai/jobs/job%2F1" rel="noreferrer">' in page
    assert "1 of 1,234 idle now; the first 1 are shown" in page


def test_what_is_not_known_of_a_job_is_left_open() -> None:
    bare = JobOverview(id="1", name="1", account="research")
    assert rows("jobs", jobs=(bare,)) == [["1", *["\u2013"] * 7, "research"]]
    assert "No running jobs are known" in page_of(RESEARCH)


def test_an_error_is_reported_in_words_with_what_to_do() -> None:
    assert rows("errors", troubles=(TROUBLE,)) == [
        ["The API took too long. Wait.", "3 s ago", "1,234", "research", "metric timeout"]
    ]
    assert "None in 1 h." in page_of(started_at=NOW - 3600)


def test_a_loop_that_failed_says_why() -> None:
    failed = replace(SWEEP, last_succeeded=False, error="half a list")
    assert rows("loops", loops=(failed,))[1] == ["half a list"]


def test_settings_that_differ_are_open_and_all_are_at_hand() -> None:
    usual = SettingOverview(name="log.level", value="info", changed=False)
    unusual = SettingOverview(name="web.open_health", value="true", changed=True)
    tables = Cells(page_of(settings=(usual, unusual))).tables
    assert tables["settings"][1:] == [["web.open_health", "true"]]
    assert tables["all-settings"][1:] == [
        ["log.level", "info", "default"],
        ["web.open_health", "true", "set"],
    ]
    assert "Version 1.2.3, Python 3.11.7, running" in page_of()


def test_whatever_the_api_or_the_operator_calls_things_stays_text() -> None:
    evil = "\"'><script>alert(1)</script>&amp;\u202e"
    account = replace(RESEARCH, name=evil, dialect=evil, up=False, error=evil)
    loop = replace(SWEEP, name=evil, account=evil, error=evil)
    job = replace(JOB, id=evil, name=evil, owner=evil, gpu_type=evil, account=evil)
    trouble = replace(TROUBLE, account=evil, place=evil, meaning=evil)
    setting = SettingOverview(name=evil, value=evil, changed=True)
    parts: dict[str, Any] = {
        "loops": (loop,),
        "jobs": (job,),
        "troubles": (trouble,),
        "settings": (setting,),
    }
    page = page_of(account, **parts)
    assert "<script" not in page
    tables = Cells(page).tables
    assert tables["accounts"][1][0] == evil
    assert tables["accounts"][2] == [evil]
    assert tables["loops"][1][:2] == [evil, evil]
    assert [tables["jobs"][1][place] for place in (0, 6, 7)] == [evil, evil, f"8 \u00d7 {evil}"]
    assert tables["settings"][1] == [evil, evil]
    assert verdict(account)[0].endswith(evil)


def test_the_policy_admits_the_pages_own_style_sheet_and_nothing_else() -> None:
    assert "default-src 'none'" in CONTENT_SECURITY_POLICY
    assert "script" not in CONTENT_SECURITY_POLICY
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    assert "style=" not in page_of(RESEARCH)
