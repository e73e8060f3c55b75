"""What we write parses as what prometheus_client writes of the same samples."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.metrics_core import Metric as Peer
from support.client_parsers import Samples, generated, parsed
from support.metrics import appeared, make_exposition, make_reading, text_of

from trainwave_exporter.exposition import Format
from trainwave_exporter.metrics.families import FAMILIES, IdleJob, ViewedBudget
from trainwave_exporter.model import (
    AccountStatus,
    Activity,
    BudgetStatus,
    Burn,
    Corrections,
    Distribution,
    Funds,
    Idleness,
    Job,
    Metric,
    Organization,
    Point,
    Project,
    ProjectTally,
    Quantity,
    Readings,
    Record,
    Spend,
    Waste,
)

BUILD_INFO = "trainwave_exporter_build_info"

texts = st.text(
    st.sampled_from('\\"\n\r\t\0 {},=#nN_0aé\u2028\x85😀\ud800') | st.characters(), max_size=8
)
known_texts = st.none() | texts
numbers = st.floats() | st.integers(-(10**20), 10**20).map(float)
known_numbers = st.none() | numbers
counts = st.integers(0, 10**18)
amounts = counts.map(lambda micro: micro / 10**6)


@st.composite
def distributions(draw: st.DrawFn) -> Distribution:
    finite = st.floats(0, 1e9)
    bounds = tuple(sorted(draw(st.sets(finite, min_size=1, max_size=4))))
    places = len(bounds) + 1
    seen = draw(st.lists(counts, min_size=places, max_size=places))
    return Distribution(bounds, tuple(seen), draw(st.floats(0, 1e12)))


points = st.builds(Point, numbers, device=known_texts, direction=known_texts)
readings = st.dictionaries(
    st.sampled_from(Metric), st.tuples(st.sampled_from(Quantity), st.lists(points, max_size=3))
).map(
    lambda told: Readings(
        **{
            metric: make_reading(quantity, *values, rates=tuple(values))
            for metric, (quantity, values) in told.items()
        }
    )
)
job_ids = st.sampled_from("ab") | texts
jobs = st.builds(
    Job,
    account=texts,
    id=job_ids,
    state=texts,
    confirmed_at=numbers,
    rid=known_texts,
    name=known_texts,
    project_id=texts,
    project_name=known_texts,
    organization_id=known_texts,
    owner=known_texts,
    gpu_type=known_texts,
    gpus=known_numbers,
    cost_dollars=known_numbers,
    memory_limit_bytes=known_numbers,
    gpu_memory_limit_bytes=known_numbers,
    readings=readings,
)
tallies = st.builds(
    ProjectTally,
    project_id=texts,
    jobs=st.none() | st.dictionaries(texts, counts, max_size=3),
    transitions=st.dictionaries(st.tuples(texts, texts), counts, max_size=3),
    queue_duration=st.none() | distributions(),
    run_duration=st.dictionaries(texts, distributions(), max_size=2),
)
records: st.SearchStrategy[Record] = st.one_of(
    jobs,
    tallies,
    st.builds(Project, account=texts, id=texts, name=known_texts),
    st.builds(
        Organization,
        account=texts,
        id=texts,
        name=known_texts,
        credit_balance_dollars=known_numbers,
    ),
    st.builds(
        AccountStatus,
        name=texts,
        up=st.booleans(),
        confirmed_at=known_numbers,
        view=st.none() | texts,
    ),
    st.builds(
        Spend,
        project_id=texts,
        owner=texts,
        gpu_type=texts,
        cost_dollars=amounts,
        gpu_hours=amounts,
        waste_dollars=st.dictionaries(st.sampled_from(Waste), amounts),
        activity_gpu_hours=st.dictionaries(st.sampled_from(Activity), amounts),
    ),
    st.builds(Burn, project_id=texts, owner=texts, gpu_type=texts, dollars_per_hour=numbers),
    st.builds(Corrections, up=amounts, down=amounts),
    st.builds(
        BudgetStatus,
        name=texts,
        limit_dollars=numbers,
        spent_dollars=numbers,
        forecast_dollars=numbers,
        exhausted_at=known_numbers,
        begins_at=numbers,
        ends_at=numbers,
    ),
    st.builds(
        Funds,
        organization_id=texts,
        exhausted_at=known_numbers,
        difference_dollars=known_numbers,
    ),
    st.builds(Idleness, job_id=job_ids, idle_since=known_numbers, gpu_hours=numbers),
)


def as_written(text: str) -> str:
    """Return the text without what has no UTF-8, which prometheus_client would fail on."""
    return text.encode(errors="replace").decode()


def idle_jobs(known: list[Record]) -> list[IdleJob]:
    """Return the jobs of which it is known how idle they are."""
    idleness = {record.job_id: record for record in known if isinstance(record, Idleness)}
    jobs = [record for record in known if isinstance(record, Job)]
    return [IdleJob(job, idleness[job.id]) for job in jobs if job.id in idleness]


def viewed(known: list[Record]) -> list[ViewedBudget]:
    """Return the budgets, once it is known of every account what it sees."""
    views = [record.view for record in known if isinstance(record, AccountStatus)]
    if None in views:
        return []
    view = ",".join(sorted({view for view in views if view}))
    return [ViewedBudget(record, view) for record in known if isinstance(record, BudgetStatus)]


def peers(known: list[Record]) -> Iterator[Peer]:
    """Yield our samples of the records as metrics of prometheus_client."""
    shown = [*known, *idle_jobs(known), *viewed(known)]
    for families in FAMILIES:
        for family in families:
            about = family.description
            peer = Peer(about.family, about.help, about.type, about.unit)
            for record in shown:
                if type(record) is families.record:
                    for suffix, values, value in family.samples(record):
                        names = (*families.labels, *family.labels)
                        told = zip(names, (*families.identity(record), *values), strict=True)
                        labels = {name: as_written(text) for name, text in told if text is not None}
                        peer.add_sample(about.name + suffix, labels, value)
            yield peer


@pytest.mark.parametrize("form", Format)
@given(known=st.lists(records, max_size=4))
def test_both_read_the_same_whatever_the_api_sends(form: Format, known: list[Record]) -> None:
    known = [*{(type(r), as_written(r.key)): r for r in known}.values()]
    exposition = make_exposition()
    exposition.apply(appeared(*known))
    ours = parsed(text_of(exposition, form), form)
    del ours[BUILD_INFO]
    assert ours == parsed(generated(Samples(peers(known)), form), form)
