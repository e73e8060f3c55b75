"""What a query yields, worked out from what metrics are declared to have.

`Checker.check` walks a query from its selectors outwards and complains of whatever is not there, or
would not do what its author thinks: metrics and labels that no one exposes, joins that some day
meet two series where one is expected, rates of gauges, counters as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeAlias

import promql_parser

from trainwave_exporter.exposition.text import Kind
from trainwave_exporter.metrics import catalog

TARGET = frozenset({"instance", "job", "cluster"})
"""What Prometheus adds to every series of a target, and federation or remote write to all."""

_SCRAPES = (
    "up",
    "scrape_duration_seconds",
    "scrape_samples_post_metric_relabeling",
    "scrape_samples_scraped",
    "scrape_series_added",
)
_MACRO = re.compile(r"\$__(rate_interval|range|interval)(_m?s)?\b")
_OF_COUNTERS = {"rate", "irate", "increase", "resets"}
_OF_GAUGES = {"delta", "idelta", "deriv", "predict_linear"}
_SETS = {"and", "or", "unless"}
_COMPARISONS = {"==", "!=", ">", "<", ">=", "<="}
_CHOOSING = {"topk", "bottomk", "limitk"}
_KEEPING_COUNTERS = {"sum", "max", "min"}


@dataclass(frozen=True)
class Shape:
    """What is known of the series of an expression.

    No two of them have the same values of the labels in ``key``.
    """

    labels: frozenset[str]
    key: frozenset[str]
    counter: bool = False


Schema: TypeAlias = dict[str, Shape]


def exposed() -> Schema:
    """Return what the exporter exposes, and what Prometheus says of its scrapes."""
    schema = {name: Shape(TARGET, TARGET) for name in _SCRAPES}
    for about in catalog():
        labels = frozenset(about.labels) | TARGET
        if about.type is Kind.HISTOGRAM:
            buckets = labels | {"le"}
            schema[f"{about.name}_bucket"] = Shape(buckets, buckets, counter=True)
            for suffix in ("_sum", "_count"):
                schema[about.name + suffix] = Shape(labels, labels, counter=True)
        else:
            schema[about.name] = Shape(labels, labels, counter=about.type is Kind.COUNTER)
    return schema


def without_label(schema: Schema, metric: str, label: str) -> Schema:
    """Return the schema as if a metric lacked a label."""
    shape = schema[metric]
    return {
        **schema,
        metric: replace(shape, labels=shape.labels - {label}, key=shape.key - {label}),
    }


def recorded(schema: Schema, rules: Iterable[tuple[str, str]]) -> tuple[Schema, list[str]]:
    """Return the schema with recorded series, by name and expression, and complaints."""
    known, complaints = dict(schema), []
    for name, expr in rules:
        # A series that is made of what it was before is what the rest of its expression makes it.
        shape = Checker(known, strict=False, unknown={name}).check(expr)
        checker = Checker({**known, name: shape} if shape else known, strict=False)
        shape = checker.check(expr)
        complaints += [f"{name}: {complaint}" for complaint in checker.complaints]
        if shape is not None:
            known[name] = shape
    return known, complaints


@dataclass
class Checker:
    """Checks queries against a schema. Strictly: a counter is nothing to look at as it is."""

    schema: Mapping[str, Shape]
    strict: bool = True
    unknown: set[str] = field(default_factory=set)
    """Metrics of which nothing is known, nor complained."""
    complaints: list[str] = field(default_factory=list)
    metrics: set[str] = field(default_factory=set)
    """All that were asked for."""
    labels: set[str] = field(default_factory=set)
    """All that were named."""

    def check(self, query: str) -> Shape | None:
        """Return what the query yields: None for a number, or where that cannot be told."""
        query = _MACRO.sub(lambda macro: "3600" if macro[2] else "1h", query)
        try:
            tree = promql_parser.parse(query)
        except ValueError as error:
            self._complain(f"{error}: {query}")
            return None
        return self._shape(tree)

    def named(self, labels: Iterable[str], shape: Shape | None, where: str) -> None:
        """Complain of labels that a result has not."""
        self.labels |= set(labels)
        missing = set(labels) - (shape.labels if shape else frozenset())
        if missing:
            self._complain(f"{where}: no label {sorted(missing)}")

    def _complain(self, text: str) -> None:
        self.complaints.append(text)

    def _shape(self, node: Any, *, windowed: bool = False) -> Shape | None:
        match type(node).__name__:
            case "NumberLiteral" | "StringLiteral":
                return None
            case "UnaryExpr":
                inner = self._shape(node.expr)
                return inner and replace(inner, counter=False)
            case "ParenExpr" | "SubqueryExpr":
                return self._shape(node.expr, windowed=windowed)
            case "MatrixSelector":
                return self._selected(node.vector_selector, windowed=windowed)
            case "VectorSelector":
                return self._selected(node, windowed=windowed)
            case "AggregateExpr":
                return self._aggregated(node)
            case "Call":
                return self._called(node)
            case "BinaryExpr":
                return self._combined(node)
        raise AssertionError(f"unknown: {type(node).__name__}")

    def _selected(self, node: Any, *, windowed: bool) -> Shape | None:
        self.metrics.add(node.name)
        shape = self.schema.get(node.name)
        if shape is None:
            if node.name not in self.unknown:
                self._complain(f"no metric {node.name}")
            return None
        asked = {matcher.name for matcher in node.matchers.matchers}
        # What a label of the target takes the place of.
        asked = {name.removeprefix("exported_") for name in asked}
        self.named(asked, shape, node.name)
        if shape.counter and self.strict and not windowed:
            self._complain(f"{node.name} is a counter, and looked at as it is")
        return shape

    def _aggregated(self, node: Any) -> Shape | None:
        inner = self._shape(node.expr)
        if inner is None:
            return None
        labels: frozenset[str] = frozenset()
        if node.modifier is not None:
            named = frozenset(node.modifier.labels)
            self.named(named, inner, str(node))
            without = str(node.modifier.type).endswith("Without")
            labels = inner.labels - named if without else named
        if str(node.op) in _CHOOSING:
            alone = str(node.param) == "1"
            return replace(inner, key=labels if alone else inner.key)
        if str(node.op) == "count_values":
            labels |= {node.param.val}
        return Shape(labels, labels, counter=inner.counter and str(node.op) in _KEEPING_COUNTERS)

    def _called(self, node: Any) -> Shape | None:
        name = node.func.name
        windowed = name in _OF_COUNTERS | _OF_GAUGES | {"present_over_time"}
        shapes = [self._shape(argument, windowed=windowed) for argument in node.args]
        inner = next((shape for shape in shapes if shape is not None), None)
        texts = [argument.val for argument in node.args if hasattr(argument, "val")]
        match name:
            case "time" | "scalar" | "pi":
                return None
            case "vector":
                return Shape(frozenset(), frozenset())
            case "absent" | "absent_over_time":
                selector = next(_selectors(node))
                equal = [m.name for m in selector.matchers.matchers if str(m.op).endswith("Equal")]
                return Shape(frozenset(equal), frozenset())
        if inner is None:
            return None
        if name in _OF_COUNTERS and not inner.counter:
            self._complain(f"{node}: not of a counter")
        if name in _OF_GAUGES and inner.counter:
            self._complain(f"{node}: of a counter")
        named = {
            "histogram_quantile": ["le"],
            "label_replace": texts[2:3],
            "label_join": texts[2:],
            "sort_by_label": texts,
            "sort_by_label_desc": texts,
        }
        self.named({*named.get(name, ())} - {""}, inner, str(node))
        match name:
            case "histogram_quantile":
                return Shape(inner.labels - {"le"}, inner.key - {"le"})
            case "label_replace" | "label_join":
                return replace(inner, labels=inner.labels | {texts[0]})
        return replace(inner, counter=inner.counter and name == "last_over_time")

    def _combined(self, node: Any) -> Shape | None:
        left, right = self._shape(node.lhs), self._shape(node.rhs)
        if left is None or right is None:
            known = left or right
            return replace(known, counter=False) if known else None
        on, ways = node.modifier and node.modifier.matching, ""
        if on is None:
            matched = left.labels | right.labels
            if left.labels != right.labels:
                odd = sorted(left.labels ^ right.labels)
                self._complain(f"{node}: only one side has {odd}, so that nothing matches")
        elif str(on.type).endswith("Include"):
            matched = frozenset(on.labels)
            self.named(matched, left, f"{node}, left")
            self.named(matched, right, f"{node}, right")
        else:
            either = replace(left, labels=left.labels | right.labels)
            self.named(on.labels, either, f"{node}, either side")
            matched = either.labels - frozenset(on.labels)
            if left.labels - set(on.labels) != right.labels - set(on.labels):
                self._complain(f"{node}: the sides differ in labels that are not ignored")
        if str(node.op) in _SETS:
            joined = str(node.op) == "or"
            return replace(
                left,
                labels=left.labels | right.labels if joined else left.labels,
                key=left.key | right.key if joined else left.key,
            )
        ways = str(node.modifier.card) if node.modifier else ""
        more = frozenset((node.modifier and node.modifier.group_labels) or ())
        if ways.endswith("ManyToOne"):
            return self._joined(node, left, right, matched, more)
        if ways.endswith("OneToMany"):
            return self._joined(node, right, left, matched, more)
        self._single(node, left, matched)
        self._single(node, right, matched)
        bare = node.modifier is None or not node.modifier.return_bool
        filtered = str(node.op) in _COMPARISONS and bare
        return Shape(matched, matched, counter=left.counter and filtered)

    def _joined(
        self, node: Any, many: Shape, one: Shape, matched: frozenset[str], more: frozenset[str]
    ) -> Shape:
        self.named(more, one, f"{node}, the one side")
        self._single(node, one, matched)
        return Shape(many.labels | more, many.key)

    def _single(self, node: Any, side: Shape, matched: frozenset[str]) -> None:
        if not side.key <= matched:
            extra = sorted(side.key - matched)
            self._complain(f"{node}: a side may have several series that differ in {extra}")


def _selectors(node: Any) -> Iterator[Any]:
    """Yield the selectors of an expression from left to right."""
    match type(node).__name__:
        case "VectorSelector":
            yield node
        case "MatrixSelector":
            yield node.vector_selector
        case "Call":
            for argument in node.args:
                yield from _selectors(argument)
        case "BinaryExpr":
            yield from _selectors(node.lhs)
            yield from _selectors(node.rhs)
        case "ParenExpr" | "AggregateExpr" | "UnaryExpr" | "SubqueryExpr":
            yield from _selectors(node.expr)


def labels_of_legend(legend: str) -> set[str]:
    """Return the labels that the name of a series is made of."""
    return {*re.findall(r"\{\{\s*(\w+)\s*\}\}", legend)}


def labels_of_template(template: str) -> set[str]:
    """Return the labels of an alert that its text names."""
    return {*re.findall(r"\$labels\.(\w+)", template)}


class Lookup(NamedTuple):
    """A query in the text of an alert, and what is told of the first series that it finds."""

    query: str
    labels: frozenset[str]


def lookups_of_template(template: str) -> tuple[list[Lookup], list[str]]:
    """Return the queries of an alert's text, filled in, and what is wrong with how they stand."""
    found, complaints = [], []
    for query, filled, told in _LOOKUP.findall(template):
        if len(_VERB.findall(query)) != len(filled.split()):
            complaints.append(f"{query}: filled with {filled.split()}")
        labels = frozenset(re.findall(r'\blabel "(\w+)"', told))
        found.append(Lookup(_VERB.sub(lambda verb: _FILLED[verb[0]], query), labels))
    actions = " ".join(re.findall(r"\{\{(.*?)\}\}", template))
    asked = len(re.findall(r"\| query\b|\bquery [\"`$(]", actions))
    if asked != len(found):
        complaints.append(f"{asked} queries, of which {len(found)} can be read: {template}")
    return found, complaints


_FILLED = {"%q": '"x"', "%s": "x", "%f": "1", "%g": "1"}
_VERB = re.compile("|".join(_FILLED))
_LOOKUP = re.compile(
    r"\{\{ with printf `([^`]*)`([^{}|]*)\| query \}\}(.*?)\{\{ (?:else|end) \}\}", re.DOTALL
)
