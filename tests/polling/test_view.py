"""The view: different for two accounts of one name, equal for two exporters of one account."""

from __future__ import annotations

from hashlib import sha256

from trainwave_exporter.model import Project
from trainwave_exporter.polling.scope import LONGEST_VIEW, WatchScope, view_of

ALL = WatchScope()


def project(key: str, organization: str | None = None) -> Project:
    return Project(account="main", id=key, organization_id=organization)


def test_it_is_the_organizations_in_order_whatever_order_they_come_in() -> None:
    assert view_of(ALL, ["o-2", "o-1"]) == view_of(ALL, ["o-1", "o-2"]) == "o-1,o-2"
    assert view_of(ALL, ["o-1"], [project("p-1", "o-9")]) == "o-1"


def test_what_is_configured_needs_no_answer_and_wins() -> None:
    assert view_of(WatchScope(organization="o-7")) == "o-7"
    assert view_of(WatchScope(organization="o-7", project="p-3")) == "p-3"
    assert view_of(WatchScope(project="p-3"), ["o-1"], [project("p-1")]) == "p-3"


def test_without_organizations_projects_report_theirs_or_themselves() -> None:
    assert view_of(ALL, [], [project("p-2", "o-5"), project("p-1"), project("p-3", "o-4")]) == (
        "o-4,o-5"
    )
    assert view_of(ALL, [], [project("p-2"), project("p-1")]) == "p-1,p-2"


def test_it_is_empty_where_nothing_is_known() -> None:
    assert view_of(ALL) == ""


def test_a_long_one_becomes_a_hash_of_itself() -> None:
    ids = [f"o-{number:02}" for number in range(17)]
    written = ",".join(ids)
    assert len(written) == 84 > LONGEST_VIEW
    digest = sha256(written.encode()).hexdigest()[:16]
    assert view_of(ALL, ids) == f"sha256:{digest}"
    assert view_of(ALL, ids[:16]) == ",".join(ids[:16])
