"""README, docs, CONTRIBUTING and ARCHITECTURE tell what is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from markdown.extensions.toc import slugify
from support.certificates import PASSWORD_HASH, Authority
from support.documentation import DOCS, PAGES, PARTS, README, ROOT, rewritten
from support.rule_files import RULES, loaded
from support.rules import ALERTS, RECORDS

from trainwave_exporter.cli import main
from trainwave_exporter.config import Settings, load
from trainwave_exporter.config.settings import WebSettings
from trainwave_exporter.config.values import FilePath
from trainwave_exporter.daemon.wiring import load_access
from trainwave_exporter.metrics import catalog

TEXTS = {page: page.read_text(encoding="utf-8") for page in PAGES}
EVERYTHING = "\n".join(TEXTS.values())
FOLDERS = ("deploy", "docs", "grafana", "tests", "trainwave_exporter", ".ci")
SEVERAL = re.compile(r"_(bucket|sum|count)$")
"""What a histogram adds to its name."""
pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@pytest.mark.parametrize("page", PARTS, ids=lambda page: page.name)
def test_its_table_is_that_of_the_declarations(page: Path) -> None:
    assert rewritten(page) == TEXTS[page], "run `make docs`"


def test_a_page_without_its_generated_part_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "metrics.md"
    page.write_text("<!-- metrics: begin -->\n")
    monkeypatch.setitem(PARTS, page, ("metrics", str))
    with pytest.raises(ValueError, match=r"metrics\.md: expected one part between"):
        rewritten(page)


def test_the_readme_is_read_in_five_minutes() -> None:
    lines = TEXTS[README].splitlines()
    assert len(lines) <= 150
    assert TEXTS[README].index("make demo") < TEXTS[README].index("make test")


def test_every_make_target_in_them_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:`|^\$ )make ([a-z-]+)", EVERYTHING, re.MULTILINE))
    assert {"demo", "test"} <= named <= targets


def help_of(capsys: pytest.CaptureFixture[str], *command: str) -> str:
    with pytest.raises(SystemExit) as ending:
        main([*command, "--help"])
    assert ending.value.code == 0
    return capsys.readouterr().out


def test_every_flag_and_command_in_them_exists(capsys: pytest.CaptureFixture[str]) -> None:
    commands = ((), ("simulator",), ("demo",), ("check",), ("metrics",), ("report",))
    helps = "".join(help_of(capsys, *command) for command in commands)
    others = r"^ *(?:\$ )?(?:\w+=\w+ )?(?:docker|kubectl|helm|git|\.venv/bin/\S+) (?:.*\\\n)*.*$"
    ours = re.sub(others, "", EVERYTHING, flags=re.MULTILINE)
    ours = re.sub(r"`\.venv/bin/[^`]+`|<!--.*?-->", "", ours)
    flags = set(re.findall(r"(?<![\w-])--[a-z][a-z.-]*[a-z]", ours))
    assert {flag for flag in flags if flag not in helps} == set()


EXAMPLES = [
    re.sub(r"^ {3}", "", example, flags=re.MULTILINE) if indent else example
    for indent, example in re.findall(
        r"^( *)```yaml\n(.*?)^ *```", EVERYTHING, re.MULTILINE | re.DOTALL
    )
]


def test_every_example_of_settings_in_them_is_valid(tmp_path: Path) -> None:
    others = ("scrape_configs:", "rule_files:", "tls_server_config:")
    examples = [example for example in EXAMPLES if not example.startswith(others)]
    assert any("budgets:" in example for example in examples)
    assert any("accounts:" in example for example in examples)
    for example in examples:
        file = tmp_path / "exporter.yml"
        file.write_text(example, encoding="utf-8")
        load({}, {}, file)


def test_the_example_of_a_web_configuration_in_them_is_valid(tmp_path: Path) -> None:
    (example,) = (text for text in EXAMPLES if text.startswith("tls_server_config:"))
    authority = Authority(tmp_path, "prometheus-ca")
    authority.issue("server", "localhost")
    file = tmp_path / "web.yml"
    file.write_text(example.replace("$2y$10$…", PASSWORD_HASH), encoding="utf-8")
    assert load_access(Settings(web=WebSettings(config_file=FilePath(file)))) is not None


def anchors(page: Path) -> set[str]:
    """Return what the headings of a page are linked by, in the site and at most other places."""
    text = re.sub(r"^```.*?^```", "", TEXTS[page], flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {slugify(re.sub(r"[`*]", "", heading), "-") for heading in headings}


@pages
def test_every_link_between_them_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)|(?:src|srcset)=\"([^\"]+)\"", TEXTS[page])
    for link in (inline or attribute for inline, attribute in links):
        if "://" in link:
            continue
        place, _, anchor = link.partition("#")
        target = (page.parent / place).resolve() if place else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


@pages
def test_every_path_in_them_exists(page: Path) -> None:
    named = re.findall(rf"(?<![\w/.@])((?:{'|'.join(FOLDERS)})/[\w./-]*\w)", TEXTS[page])
    placeholders = {"deploy/prometheus/tests/NAME.yml"}
    assert {path for path in named if not (ROOT / path).exists()} <= placeholders


def test_what_the_map_of_the_code_names_is_where_it_says() -> None:
    """Files by their paths, and names in the cell of a table with the files that they are in."""
    cells = re.findall(r"[^|\n]*`[\w/]+\.py`[^|\n]*", TEXTS[ROOT / "ARCHITECTURE.md"])
    assert len(cells) > 30
    for cell in cells:
        named = re.findall(r"`([\w/.]+)`", cell)
        files = [name for name in named if name.endswith(".py")]
        found = [
            path
            for file in files
            for place in (ROOT, ROOT / "trainwave_exporter", ROOT / "deploy" / "prometheus")
            if (path := place / file).is_file()
        ]
        assert len(found) == len(files), cell
        source = "".join(path.read_text(encoding="utf-8") for path in found)
        for name in named:
            elsewhere = "/" in name or name.endswith(".py") or name.startswith("trainwave_")
            assert elsewhere or name in source, (name, cell)


def test_every_file_that_is_named_without_its_folder_exists() -> None:
    named = set(re.findall(r"`(\w+\.py)`", TEXTS[ROOT / "CONTRIBUTING.md"]))
    folders = (ROOT / "trainwave_exporter" / "polling", ROOT / "deploy" / "prometheus")
    assert len(named) > 5
    assert {name for name in named if not any((each / name).is_file() for each in folders)} == set()


@pages
def test_every_metric_in_them_exists(page: Path) -> None:
    known = {row.name for row in catalog()} | {name for name, _ in RECORDS}
    named = set(
        re.findall(r"(?<![\w:/*.-])((?:\w+:)?trainwave_\w+(?::\w+)?)(?![\w*/.-])", TEXTS[page])
    )
    unknown = {n for n in named if n not in known and SEVERAL.sub("", n) not in known}
    assert unknown <= {"trainwave_exporter", "trainwave_exporter_"}  # package and prefix


def test_every_alert_in_them_exists() -> None:
    known = {alert.alert for alert in ALERTS}
    named = set(re.findall(r"\bTrainwave[A-Z]\w+", EVERYTHING))
    assert named - known <= {"TrainwaveError", "TrainwaveSomething"}  # CONTRIBUTING.md's own


def test_every_event_of_the_log_that_is_explained_is_logged() -> None:
    table = TEXTS[DOCS / "troubleshooting.md"].split("## Lines of the log")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    events = re.findall(r"`(\w+)`", " ".join(rows))
    source = "".join(
        path.read_text() for path in sorted((ROOT / "trainwave_exporter").rglob("*.py"))
    )
    subjects = re.findall(r'FailureLog\(\s*"(\w+)"', source)
    logged = {*re.findall(r'"(\w+)"', source)} | {
        f"{subject}_{what}"
        for subject in subjects
        for what in ("failing", "still_failing", "recovered")
    }
    assert len(events) > 10
    assert [event for event in events if event not in logged] == []


def test_every_alert_links_to_its_runbook() -> None:
    (alerts,) = (path for path in RULES if path.name == "alerts.yml")
    headings = anchors(DOCS / "runbooks.md")
    rules = [rule for group in loaded(alerts)["groups"] for rule in group["rules"]]
    assert rules
    for rule in rules:
        _, _, anchor = rule["annotations"]["runbook_url"].partition("#")
        assert anchor == slugify(rule["alert"], "-")
        assert anchor in headings, rule["alert"]


def test_whatever_elsewhere_points_to_a_page_points_to_one_that_there_is() -> None:
    """Comments, notes and help texts name pages; a page that moves takes them along."""
    places = [ROOT / "Makefile", ROOT / "mkdocs.yml", ROOT / ".ci" / "run"]
    for folder in ("deploy", "grafana", "trainwave_exporter"):
        places += [
            path for path in (ROOT / folder).rglob("*") if path.is_file() and path.suffix in SOURCES
        ]
    named = {
        (path.name, page)
        for path in places
        for page in re.findall(r"\bdocs/[\w/-]+\.md\b", path.read_text(encoding="utf-8"))
    }
    assert {"values.yaml", "compose.yaml", "environment", "settings.yml"} <= {n for n, _ in named}
    assert [(name, page) for name, page in named if not (ROOT / page).exists()] == []


SOURCES = {"", ".py", ".yml", ".yaml", ".txt", ".tpl", ".service", ".json"}
