"""Other metrics and another number of jobs, from one publication to the next."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.metrics import (
    OWN,
    appeared,
    departed,
    make_exposition,
    make_job,
    make_reading,
    text_of,
)

from trainwave_exporter.exposition import Format
from trainwave_exporter.metrics import Selection
from trainwave_exporter.model import (
    AccountStatus,
    Idleness,
    Point,
    Project,
    Quantity,
    Readings,
    Record,
)

FLEET: tuple[Record, ...] = (
    AccountStatus(name="main", up=True),
    Project(account="main", id="p-1", name="vision"),
    *(
        make_job(
            id=f"j-{n}",
            state="SUCCESS" if n % 3 == 0 else "RUNNING",
            cost_dollars=float(n),
            readings=Readings(cpu=make_reading(Quantity.RATIO, Point(0.5))),
        )
        for n in range(12)
    ),
    *(Idleness(job_id=f"j-{n}", idle_since=None, gpu_hours=n / 2) for n in range(0, 12, 2)),
)
PATTERNS = ("trainwave_job_*", "*_dollars", "trainwave_up", "trainwave_jobs", "*cpu*", "*idle*")


def test_what_is_wanted_is_shown_from_the_next_publication_on() -> None:
    exposition = make_exposition()
    exposition.apply(appeared(*FLEET))
    before = text_of(exposition)
    exposition.reconfigure(selection=Selection(deny=(*OWN, "trainwave_job_info")), max_jobs=0)
    assert b"trainwave_job_info{" in b"".join(exposition.answer.plain(Format.TEXT))
    after = text_of(exposition)
    assert "trainwave_job_info{" in before
    assert "trainwave_job_info{" not in after
    assert "trainwave_job_cost_dollars{" in after


def test_what_waits_is_taken_in_after_what_was_there() -> None:
    exposition = make_exposition()
    exposition.apply(appeared(*FLEET))
    exposition.publish()
    exposition.apply(departed(FLEET[2]))
    exposition.reconfigure(selection=Selection(deny=OWN), max_jobs=5)
    assert 'job_id="j-0"' not in text_of(exposition)
    assert text_of(exposition).count("trainwave_job_info{") == 5


def test_the_same_again_leaves_the_answer_as_it_is() -> None:
    exposition = make_exposition()
    exposition.apply(appeared(*FLEET))
    exposition.publish()
    answer = exposition.answer
    exposition.reconfigure(selection=Selection(deny=OWN), max_jobs=0)
    exposition.publish()
    assert exposition.answer.fleet is answer.fleet


def test_what_was_wanted_in_between_and_never_shown_leaves_the_answer_as_it_is() -> None:
    exposition = make_exposition()
    exposition.apply(appeared(*FLEET))
    exposition.publish()
    answer = exposition.answer
    exposition.reconfigure(selection=Selection(allow=("trainwave_up",)), max_jobs=1)
    exposition.reconfigure(selection=Selection(deny=OWN), max_jobs=0)
    exposition.publish()
    assert exposition.answer.fleet is answer.fleet


SOME = st.lists(st.sampled_from(PATTERNS), max_size=2)


@given(steps=st.lists(st.tuples(SOME, SOME), min_size=1, max_size=4))
def test_after_any_number_of_reloads_it_is_as_if_begun_with_the_last(
    steps: Sequence[tuple[list[str], list[str]]],
) -> None:
    exposition = make_exposition()
    exposition.apply(appeared(*FLEET))
    for allow, deny in steps:
        exposition.publish()
        exposition.reconfigure(selection=Selection(allow=allow, deny=(*OWN, *deny)), max_jobs=0)
    allow, deny = steps[-1]
    fresh = make_exposition(allow=allow, deny=(*OWN, *deny))
    fresh.apply(appeared(*FLEET))
    assert text_of(exposition) == text_of(fresh)


@pytest.mark.parametrize("limits", [(3,), (3, 0), (7, 2), (2, 9, 4)])
def test_after_any_number_of_limits_as_many_jobs_are_shown_as_the_last_wants(
    limits: Sequence[int],
) -> None:
    exposition = make_exposition()
    exposition.apply(appeared(*FLEET))
    for limit in limits:
        exposition.publish()
        exposition.reconfigure(selection=Selection(deny=OWN), max_jobs=limit)
    assert text_of(exposition).count("trainwave_job_info{") == (limits[-1] or 12)
