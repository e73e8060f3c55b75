"""The checker of queries finds what it is there to find."""

from __future__ import annotations

import pytest
from support.promql import Checker, Lookup, Shape, exposed, lookups_of_template, recorded

from trainwave_exporter.metrics import catalog

TARGET = {"instance", "job"}
SCHEMA = {
    "cost": Shape(frozenset({"id", *TARGET}), frozenset({"id", *TARGET})),
    "spent_total": Shape(frozenset({"id", *TARGET}), frozenset({"id", *TARGET}), counter=True),
    "wait_bucket": Shape(
        frozenset({"id", "le", *TARGET}), frozenset({"id", "le", *TARGET}), counter=True
    ),
    "info": Shape(frozenset({"id", "name", *TARGET}), frozenset({"id", "name", *TARGET})),
}
ONE = "topk by (id) (1, max by (id, name) (info))"


@pytest.mark.parametrize(
    ("query", "labels"),
    [
        ("cost", {"id", *TARGET}),
        ("-(cost) * 2 > bool 1", {"id", *TARGET}),
        ("max by (id) (cost)", {"id"}),
        ("max without (instance) (cost)", {"id", "job"}),
        ("sum(cost)", set()),
        ("topk(3, cost)", {"id", *TARGET}),
        ("rate(spent_total[$__rate_interval])", {"id", *TARGET}),
        ("sum(increase(spent_total[$__range]))", set()),
        ("delta(cost[1h])", {"id", *TARGET}),
        ("max_over_time(max by (id) (cost)[1h:5m])", {"id"}),
        (
            "histogram_quantile(0.9, sum by (id, le) (rate(wait_bucket[5m])))",
            {"id"},
        ),
        (f"max by (id) (cost) * on (id) group_left (name) {ONE}", {"id", "name"}),
        (f"{ONE} * on (id) group_right (name) max by (id) (cost)", {"id", "name"}),
        ("max by (id) (cost) / on (id) min by (id) (cost)", {"id"}),
        ("cost and on (id) info", {"id", *TARGET}),
        ("max by (id) (cost) or on (id) max by (id, name) (info)", {"id", "name"}),
        ('label_replace(cost, "who", "$1", "id", "(.*)")', {"id", "who", *TARGET}),
        ('label_join(cost, "who", "-", "id", "job")', {"id", "who", *TARGET}),
        ('absent(cost{id="a",job=~"b"} == 1)', {"id"}),
        ('absent_over_time(cost{id="a"}[5m])', {"id"}),
        ("absent_over_time((cost > 1)[1h:5m])", set()),
        ("rate((spent_total[5m]))", {"id", *TARGET}),
        ("increase(spent_total[1h:5m])", {"id", *TARGET}),
        ("rate(spent_total[$__interval]) * $__range_s", {"id", *TARGET}),
        ('count_values by (job) ("version", cost)', {"job", "version"}),
        ('sort_by_label(cost, "id")', {"id", *TARGET}),
        ("cost * ignoring (name) group_right () info", {"id", "name", *TARGET}),
        ("vector(1)", set()),
        ("time() - cost", {"id", *TARGET}),
    ],
)
def test_what_a_query_yields(query: str, labels: set[str]) -> None:
    checker = Checker(SCHEMA)
    shape = checker.check(query)
    assert checker.complaints == []
    assert shape is not None
    assert shape.labels == labels


@pytest.mark.parametrize(
    ("query", "complaint"),
    [
        ("cost +", "cost +"),
        ("costs", "no metric costs"),
        ('cost{name="a"}', "no label ['name']"),
        ("max by (name) (cost)", "no label ['name']"),
        ("max without (name) (cost)", "no label ['name']"),
        ("spent_total", "is a counter, and looked at as it is"),
        ("max by (id) (spent_total) > 1", "is a counter, and looked at as it is"),
        ("rate(cost[5m])", "not of a counter"),
        ("rate(max by (id) (cost)[1h:5m])", "not of a counter"),
        ("rate(sum by (id) (spent_total)[1h:5m])", "is a counter, and looked at as it is"),
        ("avg_over_time(spent_total[5m])", "is a counter, and looked at as it is"),
        ("time() - spent_total", "is a counter, and looked at as it is"),
        ("histogram_quantile(0.9, wait_bucket)", "is a counter, and looked at as it is"),
        ("delta(spent_total[5m])", "of a counter"),
        ("histogram_quantile(0.9, sum by (id) (rate(wait_bucket[5m])))", "no label ['le']"),
        ("cost * info", "only one side has ['name'], so that nothing matches"),
        ("cost * on (name) info", "left: no label ['name']"),
        ("info * on (name) cost", "right: no label ['name']"),
        (
            "cost or vector(0)",
            "only one side has ['id', 'instance', 'job'], so that nothing matches",
        ),
        ("cost unless on (name) cost", "left: no label ['name']"),
        ("cost * ignoring (id) info", "differ in labels that are not ignored"),
        ("cost * ignoring (kind) cost", "either side: no label ['kind']"),
        ("cost * on (id) group_left (name) info", "differ in ['instance', 'job', 'name']"),
        (f"cost * on (id) group_left (kind) {ONE}", "the one side: no label ['kind']"),
        ("cost / on (id) max by (id) (cost)", "differ in ['instance', 'job']"),
        (f"max by (id) (cost) * on (id) group_right (name) {ONE.replace('1,', '2,')}", "name"),
        ('label_replace(cost, "who", "$1", "name", "(.*)")', "no label ['name']"),
        ('label_join(cost, "who", "-", "name")', "no label ['name']"),
        ('sort_by_label(cost, "name")', "no label ['name']"),
        ('count_values by (name) ("version", cost)', "no label ['name']"),
        ("sum by (id) (cost) / scalar(costs)", "no metric costs"),
    ],
)
def test_what_is_wrong_is_said(query: str, complaint: str) -> None:
    checker = Checker(SCHEMA)
    checker.check(query)
    assert complaint in " ".join(checker.complaints)


def test_recorded_series_are_known_by_what_they_are_recorded_from() -> None:
    known, complaints = recorded(
        SCHEMA, [("id:spent:max", "max by (id) (spent_total)"), ("wrong", "max by (name) (cost)")]
    )
    assert known["id:spent:max"] == Shape(frozenset({"id"}), frozenset({"id"}), counter=True)
    assert len(complaints) == 1
    assert complaints[0].startswith("wrong: ")


@pytest.mark.parametrize("aggregation", ["sum", "max", "min"])
def test_some_aggregations_of_counters_are_counters(aggregation: str) -> None:
    known, _ = recorded(SCHEMA, [("spent", f"{aggregation} by (id) (spent_total)")])
    checker = Checker(known)
    checker.check("rate(spent[5m])")
    assert checker.complaints == []


@pytest.mark.parametrize(
    "expr",
    [
        "count by (id) (spent_total)",
        "avg by (id) (spent_total)",
        "-spent_total",
        "2 * spent_total",
        "rate(spent_total[5m])",
    ],
)
def test_what_is_made_of_counters_otherwise_is_none(expr: str) -> None:
    known, _ = recorded(SCHEMA, [("made", expr)])
    checker = Checker(known)
    checker.check("rate(made[5m])")
    assert len(checker.complaints) == 1
    assert "not of a counter" in checker.complaints[0]


def test_queries_are_found_in_the_texts_of_alerts() -> None:
    text = (
        "{{ with printf `max by (id) (cost{id=%q}) / %f` $labels.id $value | query }}"
        '{{ . | first | label "id" | printf "%s" }}{{ else }}no label "at all"{{ end }} of'
        " {{ with printf `%s` $labels.metric | query }}{{ . | first | value }}{{ end }}"
    )
    assert lookups_of_template(text) == (
        [
            Lookup('max by (id) (cost{id="x"}) / 1', frozenset({"id"})),
            Lookup("x", frozenset()),
        ],
        [],
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{{ with printf `cost{id=%q}` | query }}{{ end }}", "filled with []"),
        ("{{ with printf `cost` $labels.id | query }}{{ end }}", "filled with ['$labels.id']"),
        ('{{ with query "cost" }}{{ . | first | value }}{{ end }}', "0 can be read"),
        ("{{ with printf `cost` | query | first }}{{ . | value }}{{ end }}", "0 can be read"),
    ],
)
def test_queries_that_cannot_be_read_are_not_passed_over(text: str, complaint: str) -> None:
    _, complaints = lookups_of_template(text)
    assert complaint in " ".join(complaints)


def test_the_metric_table_is_what_is_checked_against() -> None:
    assert len({about.name for about in catalog()}) > 50
    known = exposed()
    assert known.keys() >= {"up", "scrape_series_added"}
    for about in catalog():
        names = [about.name + suffix for suffix in ("", "_bucket", "_sum", "_count")]
        found = [known[name] for name in names if name in known]
        assert found, about.name
        assert all({*about.labels, *TARGET} <= shape.labels for shape in found), about.name
