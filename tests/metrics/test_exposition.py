from __future__ import annotations

import asyncio
import gzip
import zlib

import pytest
from msgspec.structs import replace
from support.metrics import (
    OWN,
    appeared,
    changed,
    departed,
    make_exposition,
    make_job,
    series_of,
    text_of,
)
from zstandard import ZstdDecompressor

from trainwave_exporter.exposition import Format
from trainwave_exporter.metrics import ExporterMetrics, Exposition
from trainwave_exporter.metrics import exposition as exposition_module
from trainwave_exporter.model import (
    AccountStatus,
    BudgetStatus,
    Burn,
    Corrections,
    Funds,
    HistoricalJob,
    Organization,
    Project,
    ProjectTally,
    Record,
    Spend,
)

FORMATS = pytest.mark.parametrize("form", Format)

FLEET: tuple[Record, ...] = (
    AccountStatus(name="main", up=True),
    Organization(account="main", id="o-1", credit_balance_dollars=100.0),
    Project(account="main", id="p-1", name="vision"),
    ProjectTally(project_id="p-1", jobs={"RUNNING": 2}, transitions={("LAUNCHING", "RUNNING"): 2}),
    make_job(id="j-2", cost_dollars=2.0),
    make_job(id="j-1", cost_dollars=1.0),
)
MONEY: tuple[Record, ...] = (
    Spend(
        project_id="p-1",
        owner="ada",
        gpu_type="H100",
        cost_dollars=3.0,
        gpu_hours=1.0,
        waste_dollars={},
        activity_gpu_hours={},
    ),
    Burn(project_id="p-1", owner="ada", gpu_type="H100", dollars_per_hour=2.5),
    Corrections(up=0.0, down=0.5),
    BudgetStatus(
        name="all",
        limit_dollars=10.0,
        spent_dollars=3.0,
        forecast_dollars=8.0,
        exhausted_at=None,
        begins_at=0.0,
        ends_at=86_400.0,
    ),
    Funds(organization_id="o-1", exhausted_at=5000.0, difference_dollars=0.0),
)


@pytest.fixture
def exposition() -> Exposition:
    """Return an exposition of a small fleet."""
    exposition = make_exposition(deny=())
    exposition.apply(appeared(*FLEET))
    return exposition


@FORMATS
def test_families_come_once_in_order_of_name_the_exporter_s_own_last(
    exposition: Exposition, form: Format
) -> None:
    lines = text_of(exposition, form).splitlines()
    names = [line.split()[2] for line in lines if line.startswith("# TYPE ")]
    own = [name for name in names if name.startswith(("trainwave_exporter_", "proc", "python"))]
    fleet = [name for name in names if name not in own]
    assert names == sorted(set(fleet)) + sorted(set(own))
    assert "trainwave_up" in fleet
    assert "process_max_fds" in own


@FORMATS
def test_samples_stand_under_the_header_of_their_family(
    exposition: Exposition, form: Format
) -> None:
    family = ""
    for line in text_of(exposition, form).splitlines():
        if line.startswith("# TYPE "):
            family = line.split()[2]
        elif not line.startswith("#"):
            assert line.startswith(family)


def test_sample_lines_are_the_same_in_both_formats(exposition: Exposition) -> None:
    text, openmetrics = (
        [line for line in text_of(exposition, form).splitlines() if line.startswith("trainwave_")]
        for form in Format
    )
    assert text == openmetrics


def test_a_family_without_samples_has_no_header(exposition: Exposition) -> None:
    assert "trainwave_job_gpu_hours" not in text_of(exposition)
    assert "trainwave_exporter_api_requests" not in text_of(exposition)


def test_openmetrics_ends_with_its_mark_and_the_text_format_has_none(
    exposition: Exposition,
) -> None:
    body = text_of(exposition, Format.OPENMETRICS)
    assert body.endswith("\n# EOF\n")
    assert body.count("# EOF") == 1
    assert "# EOF" not in text_of(exposition, Format.TEXT)


def test_nothing_known_yet_is_a_valid_answer() -> None:
    empty = make_exposition()
    assert {series.split("{")[0] for series in series_of(empty)} == {
        "trainwave_exporter_build_info"
    }
    assert text_of(empty, Format.OPENMETRICS).endswith("# EOF\n")


@pytest.mark.parametrize("record", [*FLEET, *MONEY])
def test_what_departs_leaves_nothing_behind(record: Record) -> None:
    exposition = make_exposition()
    empty = text_of(exposition)
    exposition.apply(appeared(record))
    assert text_of(exposition) != empty
    exposition.apply(departed(record))
    assert text_of(exposition) == empty


def test_what_is_over_for_too_long_is_in_no_answer(exposition: Exposition) -> None:
    before = series_of(exposition, "trainwave_job")
    exposition.apply(
        [HistoricalJob(make_job(id="j-1", cost_dollars=7.0)), HistoricalJob(make_job(id="j-9"))]
    )
    assert series_of(exposition, "trainwave_job") == before


def test_a_change_replaces_what_was_reported_before(exposition: Exposition) -> None:
    before = make_job(id="j-1", cost_dollars=1.0)
    exposition.apply(changed(before, replace(before, cost_dollars=1.5, project_id="p-9")))
    assert series_of(exposition, "trainwave_job_cost_dollars") == {
        'trainwave_job_cost_dollars{project_id="p-9",job_id="j-1"}': "1.5",
        'trainwave_job_cost_dollars{project_id="p-1",job_id="j-2"}': "2",
    }


def test_several_changes_of_one_job_in_a_batch_leave_the_last() -> None:
    exposition = make_exposition()
    jobs = [make_job(cost_dollars=cost) for cost in (1.0, 2.0, 3.0)]
    exposition.apply(
        [
            *appeared(jobs[0]),
            *changed(jobs[0], jobs[1]),
            *departed(jobs[1]),
            *appeared(jobs[2]),
        ]
    )
    assert [*series_of(exposition, "trainwave_job_cost_dollars").values()] == ["3"]


def test_a_job_that_comes_and_goes_in_a_batch_is_not_shown() -> None:
    exposition = make_exposition()
    exposition.apply([*appeared(make_job()), *departed(make_job())])
    assert series_of(exposition, "trainwave_job") == {}


def test_denied_metrics_are_in_no_answer() -> None:
    exposition = make_exposition(deny=[*OWN, "trainwave_job_*", "trainwave_up"])
    exposition.apply(appeared(*FLEET))
    names = {series.split("{")[0] for series in series_of(exposition)}
    assert names == {
        "trainwave_exporter_build_info",
        "trainwave_jobs",
        "trainwave_organization_credit_balance_dollars",
        "trainwave_organization_info",
        "trainwave_project_info",
        "trainwave_up",
    }


def test_only_allowed_metrics_are_in_an_answer() -> None:
    exposition = make_exposition(allow=["trainwave_job_cost*", "process_*_fds"], deny=())
    exposition.apply(appeared(*FLEET))
    lines = text_of(exposition).splitlines()
    assert {line.split()[2] for line in lines if line.startswith("# TYPE")} == {
        "process_max_fds",
        "process_open_fds",
        "trainwave_exporter_build_info",
        "trainwave_job_cost_dollars",
        "trainwave_up",
    }


def plain(exposition: Exposition, form: Format = Format.TEXT) -> bytes:
    return b"".join(exposition.answer.plain(form))


@FORMATS
def test_gzip_is_one_member_of_the_same_answer(form: Format) -> None:
    exposition = make_exposition(deny=())
    exposition.apply(appeared(*FLEET))
    exposition.publish()
    packed = b"".join(exposition.answer.gzip(form))
    one_member = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    assert one_member.decompress(packed) == plain(exposition, form)
    assert one_member.eof
    assert one_member.unused_data == b""
    assert gzip.decompress(packed) == plain(exposition, form)


@FORMATS
def test_zstd_is_one_frame_of_the_same_answer(exposition: Exposition, form: Format) -> None:
    exposition.publish()
    packed = b"".join(exposition.answer.zstd(form))
    reader = ZstdDecompressor().decompressobj()
    assert reader.decompress(packed) == plain(exposition, form)
    assert reader.eof


@FORMATS
def test_the_size_of_an_answer_is_known_before_it_is_made(
    exposition: Exposition, form: Format
) -> None:
    exposition.publish()
    assert exposition.answer.size(form) == len(plain(exposition, form))


def test_what_is_applied_is_shown_once_it_is_published() -> None:
    exposition = make_exposition()
    before = exposition.answer
    for job_id in ("j-1", "j-2"):
        exposition.apply(appeared(make_job(id=job_id, cost_dollars=1.0)))
    assert exposition.answer is before
    exposition.publish()
    assert plain(exposition).count(b"\ntrainwave_job_cost_dollars{") == 2


def test_an_answer_never_changes() -> None:
    exposition = make_exposition()
    exposition.apply(appeared(*FLEET))
    exposition.publish()
    answer, text = exposition.answer, plain(exposition)
    exposition.apply(departed(*FLEET))
    exposition.publish()
    assert plain(exposition) != text
    assert b"".join(answer.plain(Format.TEXT)) == text
    assert gzip.decompress(b"".join(answer.gzip(Format.TEXT))) == text


def test_only_what_changed_is_deflated_anew() -> None:
    exposition = make_exposition()
    exposition.apply(appeared(*FLEET))
    exposition.publish()
    before = {section.description.name: section for section in exposition.answer.fleet.sections}
    job = make_job(id="j-1", cost_dollars=1.0)
    exposition.apply(changed(job, replace(job, cost_dollars=1.5)))
    exposition.publish()
    assert [
        section.description.name
        for section in exposition.answer.fleet.sections
        if [*map(id, section.cells)] != [*map(id, before[section.description.name].cells)]
    ] == ["trainwave_job_cost_dollars"]


def test_a_publication_without_news_leaves_the_answer_as_it_is() -> None:
    exposition = make_exposition()
    exposition.apply(appeared(*FLEET))
    exposition.publish()
    answer = exposition.answer
    exposition.publish()
    assert exposition.answer is answer


def test_every_answer_has_a_tag_of_its_own() -> None:
    exposition = make_exposition()
    first = exposition.answer.tag
    exposition.apply(appeared(*FLEET))
    exposition.publish()
    tags = {first, exposition.answer.tag, make_exposition().answer.tag}
    assert len(tags | {exposition.answer.only(["trainwave_up"]).tag}) == 4


def test_the_exporter_s_own_metrics_are_published_with_the_rest() -> None:
    telemetry = ExporterMetrics(version="1.2.3")
    exposition = make_exposition(deny=(), telemetry=telemetry)
    telemetry.scraped(Format.TEXT, 0.1)
    told = b'trainwave_exporter_scrape_duration_seconds_count{format="text"} 1'
    assert told not in plain(exposition)
    exposition.publish()
    assert told in plain(exposition)
    assert told in gzip.decompress(b"".join(exposition.answer.gzip(Format.TEXT)))


@pytest.mark.parametrize(
    ("names", "families"),
    [
        (["trainwave_up"], ["trainwave_up"]),
        (["trainwave_jobs", "trainwave_job_info"], ["trainwave_job_info", "trainwave_jobs"]),
        (
            ["trainwave_job_state_transitions_total"],
            ["trainwave_job_state_transitions_total"],
        ),
        (["trainwave_job_state_transitions"], ["trainwave_job_state_transitions_total"]),
        (
            ["trainwave_exporter_scrape_duration_seconds_bucket"],
            ["trainwave_exporter_scrape_duration_seconds"],
        ),
        (["trainwave"], []),
    ],
)
def test_an_answer_can_be_of_some_metrics_only(names: list[str], families: list[str]) -> None:
    telemetry = ExporterMetrics(version="1.2.3")
    telemetry.scraped(Format.TEXT, 0.1)
    exposition = make_exposition(deny=(), telemetry=telemetry)
    exposition.apply(appeared(*FLEET))
    exposition.publish()
    some = exposition.answer.only(names)
    text = b"".join(some.plain(Format.TEXT)).decode()
    found = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ")]
    assert found == families
    assert gzip.decompress(b"".join(some.gzip(Format.TEXT))).decode() == text
    whole = plain(exposition).decode()
    assert all(line in whole for line in text.splitlines())


async def test_others_have_their_turn_while_much_is_published(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(exposition_module, "SLICE_SECONDS", 0.0)
    exposition = make_exposition()
    exposition.apply(appeared(*[make_job(id=f"j-{n}", cost_dollars=n) for n in range(300)]))
    publication = asyncio.create_task(exposition.publish_in_slices())
    before, turns = exposition.answer, 0
    while not publication.done():
        if turns == 20:  # all that waited is taken over by now: this has to wait
            exposition.apply(appeared(make_job(id="late", cost_dollars=0.0)))
        assert exposition.answer is before or publication.done() or turns > 20
        turns += 1
        await asyncio.sleep(0)
    assert turns > 20
    assert plain(exposition).count(b"\ntrainwave_job_cost_dollars{") == 300
    await exposition.publish_in_slices()
    assert plain(exposition).count(b"\ntrainwave_job_cost_dollars{") == 301


def test_a_record_that_cannot_be_shown_does_not_lose_what_waits_behind_it() -> None:
    exposition = make_exposition()
    exposition.apply(appeared(make_job(id="j-1", cost_dollars=1.0)))
    exposition.apply([object()])  # type: ignore[list-item]
    exposition.apply(appeared(make_job(id="j-2", cost_dollars=2.0)))
    with pytest.raises(AssertionError):
        exposition.publish()
    exposition.publish()
    assert plain(exposition).count(b"\ntrainwave_job_cost_dollars{") == 2


def test_half_a_surrogate_pair_does_not_fail_a_scrape() -> None:
    exposition = make_exposition()
    exposition.apply(appeared(make_job(name="a\ud800b")))
    assert 'job_name="a?b"' in text_of(exposition)
