"""The landing page tells how things stand, and nothing in it can be more than text."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from msgspec.structs import replace

from trainwave_exporter.web import AccountOverview, LoopOverview, Overview
from trainwave_exporter.web.landing import CONTENT_SECURITY_POLICY, render

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
    dialect="documented",
)

SWEEP = LoopOverview(
    account="research",
    name="sweep",
    interval=600,
    last_finished_at=NOW - 3700,
    last_succeeded=True,
)


class Cells(HTMLParser):
    """The texts of the cells of a page's tables, row by row."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self._inside = False
        self.feed(page)

    def handle_starttag(self, tag: str, _attrs: object) -> None:
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append("")
            self._inside = True

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag not in {"td", "th"}

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.rows[-1][-1] += data


def page_of(
    *accounts: AccountOverview, loops: tuple[LoopOverview, ...] = (), started_at: float = NOW
) -> str:
    return render(
        Overview(
            version="1.2.3",
            started_at=started_at,
            now=NOW,
            telemetry_path="/metrics",
            accounts=accounts,
            loops=loops,
        )
    )


def account_row(account: AccountOverview) -> list[str]:
    return Cells(page_of(account)).rows[1]


def loop_row(loop: LoopOverview) -> list[str]:
    return Cells(page_of(loops=(loop,))).rows[2]


def test_an_account_that_can_be_read_is_told_with_its_numbers() -> None:
    assert account_row(RESEARCH) == [
        "research",
        "up",
        "1,234",
        "5,678",
        "1 min ago",
        "41 of 80 (limit 100)",
        "documented",
    ]


def test_an_account_that_cannot_be_read_is_told_with_the_reason() -> None:
    page = page_of(replace(RESEARCH, up=False, error="the API refused the key"))
    _, row, reason, *_ = Cells(page).rows
    assert row[1] == "down"
    assert reason == ["the API refused the key"]


def test_an_account_that_was_up_before_is_down_even_without_a_reason() -> None:
    assert account_row(replace(RESEARCH, up=False))[1] == "down"


def test_an_account_without_any_answer_yet_is_waiting() -> None:
    row = account_row(replace(RESEARCH, up=False, confirmed_at=None, dialect=None))
    assert (row[1], row[4], row[6]) == ("waiting for the first answer", "never", "not known yet")


def test_a_loop_is_told_with_its_last_run() -> None:
    assert loop_row(SWEEP) == ["sweep", "research", "10 min", "1 h 1 min ago", "succeeded"]


def test_the_outcome_of_a_loop_is_told_in_words() -> None:
    assert loop_row(replace(SWEEP, last_succeeded=False))[4] == "failed"
    assert loop_row(replace(SWEEP, stopped=True))[4] == "stopped"
    young = replace(SWEEP, last_finished_at=None, last_succeeded=None)
    assert loop_row(young)[3:] == ["never", "not yet"]


def test_a_time_is_at_hand_exactly() -> None:
    assert '<time datetime="2023-11-14T22:12:15+00:00"' in page_of(RESEARCH)


def test_durations_are_told_in_their_largest_units() -> None:
    def uptime(seconds: float) -> str:
        match = re.search(r"running for (.*)</p>", page_of(started_at=NOW - seconds))
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


def test_whatever_the_api_or_the_operator_calls_things_stays_text() -> None:
    evil = "\"'><script>alert(1)</script>&amp;"
    account = replace(RESEARCH, name=evil, dialect=evil, up=False, error=evil)
    loop = replace(SWEEP, name=evil, account=evil)
    page = page_of(account, loops=(loop,))
    assert "<script" not in page
    cells = Cells(page)
    assert cells.rows[1][0] == evil
    assert cells.rows[2] == [evil]
    assert cells.rows[4][:2] == [evil, evil]


def test_the_policy_admits_the_pages_own_style_sheet_and_nothing_else() -> None:
    assert "default-src 'none'" in CONTENT_SECURITY_POLICY
    assert "script" not in CONTENT_SECURITY_POLICY
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    assert "style=" not in page_of(RESEARCH)
