"""The dashboards, against Grafana's published schemas and the rules of its dashboard linter."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from jsonschema import Draft7Validator
from ruamel.yaml import YAML

from grafana import build, uids
from grafana.board import TAG

Json: TypeAlias = dict[str, Any]

FILES = sorted(build.FOLDER.iterdir())
SCHEMAS = Path(__file__).parents[2].parent / "shared" / "grafana-schema"
DASHBOARDS: list[Json] = [json.loads(text) for text in build.files().values()]
EACH = pytest.mark.parametrize("board", DASHBOARDS, ids=lambda board: board["uid"])


def panels(board: Json) -> list[Json]:
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def targets(board: Json) -> Iterator[tuple[Json, Json]]:
    for panel in panels(board):
        for target in panel["targets"]:
            yield panel, target


def urls(board: Json) -> Iterator[str]:
    """Yield the addresses of all links of all panels."""
    for panel in panels(board):
        config = panel["fieldConfig"]
        yield from (link["url"] for link in config["defaults"].get("links", ()))
        for override in config["overrides"]:
            for property_ in override["properties"]:
                if property_["id"] == "links":
                    yield from (link["url"] for link in property_["value"])


def definitions(name: str) -> Json:
    """Return the definitions of one of Grafana's schemas.

    The generator of the schemas writes what may be of any type, such as the value of an override,
    as an object of any properties, and of alternatives that overlap it wants one alone to fit. Here
    both are what they mean.
    """
    path = SCHEMAS / f"{name}.jsonschema.json"
    if not path.exists():
        message = f"{path} is missing: nothing was validated"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)

    def meant(node: Any) -> Any:
        match node:
            case {"type": "object", "additionalProperties": {}, **rest} if "properties" not in rest:
                return {}
            case dict():
                names = {"oneOf": "anyOf"}
                return {names.get(key, key): meant(value) for key, value in node.items()}
            case list():
                return [meant(value) for value in node]
        return node

    known: Json = meant(json.loads(path.read_text())["definitions"])
    return known


def violations(schema: str, definition: str, value: Any) -> list[str]:
    known = definitions(schema)
    assert definition in known
    validator = Draft7Validator({"$ref": f"#/definitions/{definition}", "definitions": known})
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]


def test_the_files_are_what_their_source_makes_of_them() -> None:
    assert {path.name: path.read_text(encoding="utf-8") for path in FILES} == build.files()


def test_there_is_one_for_every_uid_and_all_show_something() -> None:
    assert tuple(board["uid"] for board in DASHBOARDS) == uids.ALL
    assert all(len(panels(board)) >= 10 for board in DASHBOARDS)


@EACH
def test_a_dashboard_is_valid_as_a_whole(board: Json) -> None:
    assert violations("dashboard", "Dashboard", board) == []


@EACH
def test_options_fields_and_queries_of_every_panel_are_valid(board: Json) -> None:
    for panel in panels(board):
        schema = panel["type"].replace("-", "")
        assert violations(schema, "Options", panel["options"]) == [], panel["title"]
        if custom := panel["fieldConfig"]["defaults"].get("custom"):
            assert violations(schema, "FieldConfig", custom) == [], panel["title"]
        for target in panel["targets"]:
            assert violations("prometheus", "Dataquery", target) == [], panel["title"]


def test_the_schemas_find_mistakes() -> None:
    wrong = {**DASHBOARDS[0], "refresh": 5}
    assert violations("dashboard", "Dashboard", wrong)
    assert violations("stat", "Options", {"graphMode": "often"})


@EACH
def test_every_unit_is_one_of_grafana_s(board: Json) -> None:
    known = {unit.get("const") for unit in definitions("units").values()}
    for panel in panels(board):
        config = panel["fieldConfig"]
        values = [config["defaults"]["unit"]]
        for override in config["overrides"]:
            values += [p["value"] for p in override["properties"] if p["id"] == "unit"]
        assert set(values) <= known, panel["title"]


@EACH
def test_every_panel_says_what_it_shows_and_what_it_means_if_that_is_nothing(board: Json) -> None:
    for panel in panels(board):
        defaults = panel["fieldConfig"]["defaults"]
        assert panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        assert defaults["noValue"], panel["title"]
        assert defaults["unit"], panel["title"]
    titles = Counter(panel["title"] for panel in panels(board))
    assert max(titles.values()) == 1


@EACH
def test_panels_stand_side_by_side_and_within_the_page(board: Json) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert cells, panel["title"]
        assert taken.isdisjoint(cells), panel["title"]
        assert all(x < 24 for x, _ in cells), panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


@EACH
def test_everything_asks_the_chosen_data_source(board: Json) -> None:
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    variables = board["templating"]["list"]
    assert (variables[0]["name"], variables[0]["type"]) == ("datasource", "datasource")
    asking = [*panels(board), *variables[1:], *board["annotations"].get("list", ())]
    asking += [target for _, target in targets(board)]
    assert all(one["datasource"] == chosen for one in asking)


@EACH
def test_queries_of_a_panel_are_distinguished(board: Json) -> None:
    for panel in panels(board):
        letters = [target["refId"] for target in panel["targets"]]
        assert letters == sorted(set(letters)), panel["title"]
        assert letters, panel["title"]


@EACH
def test_windows_of_time_follow_what_is_shown(board: Json) -> None:
    """Over time by `$__rate_interval`; a total at the end by `$__range`; nothing by a fixed one."""
    for panel, target in targets(board):
        windows = set(re.findall(r"\[([^\]]+)\]", target["expr"]))
        wanted = {"$__range", "$__rate_interval"} if target["instant"] else {"$__rate_interval"}
        assert windows <= wanted, panel["title"]


@EACH
def test_every_variable_is_named_and_used(board: Json) -> None:
    names = [variable["name"] for variable in board["templating"]["list"]]
    text = json.dumps([panels(board), board["templating"], board["annotations"]])
    for variable in board["templating"]["list"]:
        assert variable["label"]
        # The source of the drop-down itself, or what some query or link is filtered by.
        assert re.search(rf"\$\{{?{variable['name']}\b", text), variable["name"]
    assert len(set(names)) == len(names)


@EACH
def test_a_dashboard_is_read_only_and_linked_to_the_others(board: Json) -> None:
    assert board["editable"] is False
    assert board["tags"] == [TAG]
    (link,) = board["links"]
    assert (link["type"], link["tags"]) == ("dashboards", [TAG])
    assert link["includeVars"]
    assert link["keepTime"]
    assert board["refresh"]


@EACH
def test_links_lead_somewhere_and_keep_time_and_choice(board: Json) -> None:
    known = {other["uid"]: other for other in DASHBOARDS}
    for url in urls(board):
        if url.startswith("https://trainwave.ai/"):
            assert re.fullmatch(r"https://trainwave\.ai/(jobs|projects)/\$\{\S+\}", url)
            continue
        found = re.fullmatch(r"/d/([a-z-]+)\?(\S+)", url)
        assert found, url
        parameters = found[2].split("&")
        there = {variable["name"] for variable in known[found[1]]["templating"]["list"]}
        assert "${__url_time_range}" in parameters
        for parameter in parameters:
            if set_one := re.match(r"var-(\w+)=", parameter):
                assert set_one[1] in there, url
        assert "${datasource:queryparam}" in parameters


def test_fleets_lead_to_jobs_and_jobs_to_trainwave() -> None:
    for uid in (uids.FLEET, uids.COST, uids.EFFICIENCY):
        (board,) = (board for board in DASHBOARDS if board["uid"] == uid)
        assert any(url.startswith(f"/d/{uids.JOB}?var-job=") for url in urls(board))
        assert any(url.startswith("https://trainwave.ai/jobs/") for url in urls(board))


def test_provisioning_names_what_is_there() -> None:
    folder = build.FOLDER.parent / "provisioning"
    yaml = YAML(typ="safe")
    (source,) = yaml.load(folder / "datasources" / "trainwave.yml")["datasources"]
    assert (source["type"], source["access"]) == ("prometheus", "proxy")
    assert source["uid"]
    (provider,) = yaml.load(folder / "dashboards" / "trainwave.yml")["providers"]
    assert provider["type"] == "file"
    assert provider["options"]["path"].startswith("/")
    assert provider["allowUiUpdates"] is False
