"""Every query of the dashboards, against what the exporter declares to expose."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from support.promql import Checker, Schema, Shape, exposed, labels_of_legend
from support.rules import known_series

from grafana import build

BOARDS: list[dict[str, Any]] = [json.loads(text) for text in build.files().values()]
LABEL_VALUES = re.compile(r"label_values\((.+), (\w+)\)")
QUERY_RESULT = re.compile(r"query_result\((.*)\)")


def panels() -> Iterator[tuple[str, dict[str, Any]]]:
    for board in BOARDS:
        for panel in board["panels"]:
            if panel["type"] != "row":
                yield f"{board['uid']}: {panel['title']}", panel


PANELS = dict(panels())
VARIABLES = {
    f"{board['uid']}: {variable['name']}": (board, variable)
    for board in BOARDS
    for variable in board["templating"]["list"]
    if variable["type"] == "query"
}


def complaints_of_panel(panel: dict[str, Any], known: Schema) -> list[str]:
    checker = Checker(known)
    shapes = []
    for target in panel["targets"]:
        shape = checker.check(target["expr"])
        shapes.append(shape)
        if target["legendFormat"] != "__auto":
            checker.named(labels_of_legend(target["legendFormat"]), shape, "legend")
    config = json.dumps(panel["fieldConfig"])
    for shape in shapes:
        checker.named(re.findall(r"__field\.labels\.(\w+)", config), shape, "link")
    if panel["type"] == "table":
        _check_columns(panel, shapes, checker)
    return checker.complaints


def _check_columns(panel: dict[str, Any], shapes: list[Shape | None], checker: Checker) -> None:
    """Rows are put together by the labels that all queries have; links use what is not renamed."""
    shown = panel["transformations"][0]["options"]["include"]["names"]
    renamed = panel["transformations"][2]["options"]["renameByName"]
    labels = {name for name in shown if not name.startswith("Value #")}
    everywhere = set.intersection(*(set(shape.labels) for shape in shapes if shape))
    somewhere = set.union(*(set(shape.labels) for shape in shapes if shape))
    special = labels - everywhere  # the state of a job, say, which one column shows
    checker.named(special, Shape(frozenset(somewhere), frozenset()), "column")
    linked = set(re.findall(r"__data\.fields\.(\w+)", json.dumps(panel["fieldConfig"])))
    headings = {renamed.get(name, name) for name in shown}
    overridden = {one["matcher"]["options"] for one in panel["fieldConfig"]["overrides"]}
    checker.complaints += [
        f"{panel['title']}: {fault}"
        for fault, found in {
            "rows fall apart": len(special) > 1,
            "a link to a field that is not there": linked - (labels - set(renamed)),
            "settings of a column that is not there": overridden - headings,
        }.items()
        if found
    ]


def complaints_of_variable(variable: dict[str, Any], known: Schema) -> list[str]:
    checker = Checker(known, strict=False)  # what is listed are labels, not values
    if plain := LABEL_VALUES.fullmatch(variable["query"]):
        checker.named([plain[2]], checker.check(plain[1]), variable["name"])
        return checker.complaints
    asked = QUERY_RESULT.fullmatch(variable["query"])
    assert asked
    shape = checker.check(asked[1])
    wanted = re.findall(r'(\w+)="', variable["regex"])
    checker.named(wanted, shape, variable["name"])
    told = sorted(shape.labels if shape else ())  # as Prometheus writes them
    assert any(told[at : at + len(wanted)] == wanted for at in range(len(told))), told
    return checker.complaints


def all_complaints(known: Schema) -> list[str]:
    found = [
        complaint for panel in PANELS.values() for complaint in complaints_of_panel(panel, known)
    ]
    for _, variable in VARIABLES.values():
        found += complaints_of_variable(variable, known)
    return found


def used() -> Checker:
    checker = Checker(known_series())
    for panel in PANELS.values():
        for target in panel["targets"]:
            checker.check(target["expr"])
    return checker


@pytest.mark.parametrize("name", PANELS)
def test_a_panel_uses_what_is_there(name: str) -> None:
    assert complaints_of_panel(PANELS[name], known_series()) == []


@pytest.mark.parametrize("name", VARIABLES)
def test_a_variable_lists_what_is_there_by_what_was_chosen_before(name: str) -> None:
    board, variable = VARIABLES[name]
    assert complaints_of_variable(variable, known_series()) == []
    names = [other["name"] for other in board["templating"]["list"]]
    chosen = set(re.findall(r"\$(\w+)", variable["query"]))
    assert chosen <= set(names[: names.index(variable["name"])])


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board["uid"])
def test_annotations_use_what_is_there(board: dict[str, Any]) -> None:
    checker = Checker(known_series())
    for annotation in board["annotations"].get("list", ()):
        checker.check(annotation["expr"])
    assert checker.complaints == []


@pytest.mark.parametrize("metric", sorted(used().metrics & set(exposed())))
def test_the_removal_of_a_metric_is_noticed(metric: str) -> None:
    known = known_series()
    del known[metric]
    assert all_complaints(known)


# What `queries.called` makes goes with the label it is made of.
@pytest.mark.parametrize("label", sorted(used().labels - {"le", "called"}))
def test_the_removal_of_a_label_is_noticed(label: str) -> None:
    known = {
        name: Shape(shape.labels - {label}, shape.key - {label}, shape.counter)
        for name, shape in known_series().items()
    }
    found: list[str] = []
    for panel in PANELS.values():
        found += complaints_of_panel(panel, known)
    assert found
