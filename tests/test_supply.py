"""What is locked is looked up and judged, and nothing that was not looked up is called good."""

from __future__ import annotations

import json
import re
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from support.supply_chain import (
    EVERYTHING,
    ROOT,
    RUNTIME,
    SNAPSHOT,
    Rules,
    allows,
    audit,
    licence_troubles,
    locked,
    rules,
    snapshot_holes,
)

TODAY = date(2026, 3, 1)
KNOWN = {"as_of": date(2026, 1, 31), "mended_in": {"idna": {"CVE-1": "3.7"}}}
HASH = f"--hash=sha256:{'0' * 64}"


@contextmanager
def database(holes: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """Serve a database of advisories that knows these packages; give what asks it."""

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            known = holes.get(asked["package"]["name"])
            body = json.dumps({"vulns": [known]} if known else {}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *_: object) -> None:  # noqa: A002 - the name is given
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield "-s", "osv", "--osv-url", f"http://127.0.0.1:{server.server_port}/v1/query"
        server.shutdown()
        thread.join()


def hole(name: str) -> dict[str, Any]:
    return {
        "id": "TEST-1",
        "published": "2026-01-01T00:00:00Z",
        "affected": [
            {
                "package": {"name": name, "ecosystem": "PyPI"},
                "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "9"}]}],
                "versions": ["3.6"],
            }
        ],
    }


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    file = tmp_path / "requirements.lock"
    file.write_text(f"idna==3.6 \\\n    {HASH}\nh11==0.16.0 \\\n    {HASH}\n")
    return file


def test_a_hole_that_a_database_knows_fails_the_audit(lock: Path) -> None:
    with database({"idna": hole("idna")}) as service:
        code, lines = audit(lock, [service], KNOWN, TODAY)
    assert code == 1
    assert lines == [
        "requirements.lock: 2 packages looked up in osv",
        "idna 3.6: TEST-1, mended in 9",
    ]


def test_without_any_hole_the_audit_is_good_whatever_the_snapshot_says(lock: Path) -> None:
    with database({}) as service:
        code, lines = audit(lock, [service], KNOWN, TODAY)
    assert (code, lines) == (
        0,
        ["requirements.lock: 2 packages looked up in osv: no known vulnerability"],
    )


def test_a_database_that_cannot_be_reached_is_no_audit_and_the_snapshot_decides(lock: Path) -> None:
    nowhere = ("-s", "osv", "--osv-url", "http://127.0.0.1:9/v1/query")
    code, lines = audit(lock, [nowhere], KNOWN, TODAY)
    assert code == 1
    assert lines[0].startswith("requirements.lock: NOT AUDITED")
    assert lines[-2:] == [
        (
            "  1 known holes by the snapshot of 2026-01-31 (29 days old), which says something of"
            " 1 of 2 packages"
        ),
        "idna 3.6: CVE-1, mended in 3.7",
    ]
    lock.write_text(f"idna==3.7 \\\n    {HASH}\n")
    code, lines = audit(lock, [nowhere], KNOWN, TODAY)
    assert code == 0
    assert lines[0].startswith("requirements.lock: NOT AUDITED")


def test_a_snapshot_older_than_a_year_is_no_audit_either(lock: Path) -> None:
    nowhere = ("-s", "osv", "--osv-url", "http://127.0.0.1:9/v1/query")
    lock.write_text(f"idna==3.7 \\\n    {HASH}\n")
    assert audit(lock, [nowhere], KNOWN, date(2027, 1, 31))[0] == 0
    code, lines = audit(lock, [nowhere], KNOWN, date(2027, 2, 1))
    assert code == 1
    assert lines[-1] == "  The snapshot is older than 365 days: bring it up to date"


def test_the_snapshot_speaks_of_what_is_locked_and_finds_nothing() -> None:
    snapshot = tomllib.loads(SNAPSHOT.read_text())
    packages = locked(EVERYTHING)
    assert snapshot["mended_in"].keys() <= packages.keys()
    assert snapshot_holes(packages, snapshot) == []
    older = dict.fromkeys(packages, "0")
    assert len(snapshot_holes(older, snapshot)) == sum(map(len, snapshot["mended_in"].values()))


def test_every_locked_package_may_be_used() -> None:
    assert list(licence_troubles(locked(EVERYTHING), rules(), set(locked(RUNTIME)))) == []
    assert locked(RUNTIME).items() <= locked(EVERYTHING).items()


@pytest.mark.parametrize(
    ("law", "runtime", "trouble"),
    [
        (Rules(("MIT",), {}, {}), set(), "msgspec VERSION is under BSD-3-Clause, which is not"),
        (Rules((), {"msgspec": "GPL-3.0"}, {}), set(), "msgspec is under BSD-3-Clause, not GPL"),
        (Rules((), {"msgspec": "BSD-3-Clause"}, {}), {"msgspec"}, "msgspec is shipped, so that"),
        (
            Rules(("BSD-3-Clause",), {}, {"msgspec": "MIT"}),
            set(),
            "msgspec tells its licence itself (BSD-3-Clause)",
        ),
        (
            Rules(("BSD-3-Clause",), {}, {"gone": "MIT"}),
            set(),
            "gone stands in tool.licences, but is not locked",
        ),
    ],
)
def test_a_licence_that_is_not_allowed_is_reported(
    law: Rules, runtime: set[str], trouble: str
) -> None:
    packages = {"msgspec": locked(RUNTIME)["msgspec"]}
    troubles = list(licence_troubles(packages, law, runtime))
    assert any(t.startswith(trouble.replace("VERSION", packages["msgspec"])) for t in troubles)


def test_a_package_in_another_version_than_locked_reports_no_licence() -> None:
    (trouble,) = licence_troubles({"msgspec": "0.0.1"}, Rules(("BSD-3-Clause",), {}, {}), set())
    assert trouble == "msgspec 0.0.1 does not tell its licence, or is not installed"


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("MIT", True),
        ("MIT AND PSF-2.0", False),
        ("GPL-3.0 OR MIT", True),
        ("GPL-3.0 AND MIT OR MIT", True),
        ("mit", False),
    ],
)
def test_expressions_are_read_as_spdx_has_them(expression: str, allowed: bool) -> None:
    assert allows(["MIT"], expression) is allowed


def test_every_check_is_made_by_the_ci() -> None:
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(r"^lint:.*(?:\n\t.*)*support\.supply_chain licences", makefile, re.MULTILINE)
    assert "make audit" in (ROOT / ".ci" / "run").read_text()
