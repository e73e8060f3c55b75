"""An API, or a tenant, that puts what it likes into data: it neither shows the key nor counts."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from support.exporter import Exporter, Metrics
from support.made_up_api import Answer, listed, serving

KEY = "tw-5f3c9a/0123+hostile"
SPELLINGS = (KEY, quote(KEY), quote(KEY, safe=""))
LONG = "m" * 100_000
"""A job has eight such texts."""
CONTROL = "a\x1b[31m\u202eb\u2066\x07\u2028c"
ESCAPED = r"a\x1b[31m\u202eb\u2066\x07\u2028c"
PRICE = 2.5
DIALECTS = pytest.mark.parametrize("documented", [True, False], ids=["documented", "deployed"])
UNREADABLE = "trainwave_exporter_unreadable_total"


def job(job_id: str, text: str, *, documented: bool, **fields: Any) -> dict[str, Any]:
    """Return a running job, every text of which is that one unless it is given."""
    common: dict[str, Any] = {"id": job_id, "rid": text, "state": "RUNNING", "total_cost": 1}
    common |= {"cost_per_hour": PRICE, "organization": "o-1"}
    owner = fields.pop("owner", text)
    project = fields.pop("project", text)
    if documented:
        flat = {"name": text, "gpu_type": text, "gpus": 1, "project": project}
        return {**common, **flat, "owner": {"id": text, "username": owner}, **fields}
    nested = {"name": text, "gpus": 1, "gpu_type": text, "expires_at": -1}
    project = {"id": project, "rid": text, "name": text}
    return {**common, "project": project, "config": nested, "owner": owner, **fields}


def exporter(url: str, ledger: Path, *flags: str) -> Exporter:
    return Exporter(
        f"--trainwave.api-url={url}",
        f"--storage.path={ledger}",
        "--storage.write-interval=1s",
        "--polling.running-interval=1s",
        "--polling.sweep-interval=1s",
        "--polling.directory-interval=1s",
        "--trainwave.initial-rate-limit=100000",
        "--log.level=debug",
        *flags,
        env={"TRAINWAVE_API_KEY": KEY},
    )


def report(ledger: Path) -> str:
    ran = subprocess.run(
        [sys.executable, "-m", "trainwave_exporter", "report", "--format=csv"],
        env={**os.environ, "TRAINWAVE_API_KEY": KEY, "TRAINWAVE_STORAGE_PATH": str(ledger)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout + ran.stderr


def reasons(metrics: Metrics) -> set[str]:
    return {labels["reason"] for labels, value in metrics.all(UNREADABLE) if value > 0}


def total(metrics: Metrics, name: str, **labels: str) -> float:
    return sum(value for _, value in metrics.all(name, **labels))


def repeated(metrics: Metrics) -> list[str]:
    """Return the series that are there more than once, for which Prometheus refuses them all."""
    count = Counter(line.rpartition(" ")[0] for line in metrics.lines())
    return [series for series, times in count.items() if times > 1]


@pytest.mark.timeout(120)
@DIALECTS
def test_the_key_in_data_is_shown_and_kept_nowhere(documented: bool, tmp_path: Path) -> None:
    """The API repeats it in ids, names, owners, states and devices, and a tenant in a name."""
    text = f"x {KEY} y"
    jobs = [
        job("j-1", text, documented=documented),
        job("j-2", text, documented=documented, project="p-1", state=KEY),
        job(f"j-{KEY}", "innocent", documented=documented),
        job("j-3", "innocent", documented=documented, name=f"{quote(KEY, safe='')}"),
    ]
    things = [{"id": "t-1", "rid": KEY, "name": text}, {"id": KEY, "name": "innocent"}]

    def respond(path: str) -> Answer:
        if path in {"/jobs/", "/projects/", "/organizations/"}:
            found = jobs if path == "/jobs/" else things
            return listed(found, documented=documented)
        if path.startswith("/metrics/"):
            return 200, [{"device": KEY, "value": 50.0}]
        return 404, {"detail": f"{text}{path}"}

    seen: list[str] = []
    ledger = tmp_path / "ledger"
    with serving(respond) as url, exporter(url, ledger) as running:
        wanted = {"key_in_name", "key_in_owner", "key_in_state", "key_in_id", "key_in_device"}
        metrics = running.wait(lambda m: wanted <= reasons(m), "the key to be found everywhere")
        spend = "trainwave_project_cost_dollars_total"
        running.wait(lambda m: m.all(spend), "the money to be counted")
        seen += [running.get(page)[1] for page in ("/", "/metrics", "/-/ready")]
        running.terminate()
        seen += running.raw_log
    seen += [report(ledger)]
    assert metrics.get("trainwave_job_info", job_id="j-1", owner="x [redacted] y") == 1
    assert metrics.get("trainwave_job_state", job_id="j-2", state="[redacted]") == 1
    everything = "\n".join(seen)
    assert "[redacted]" in everything
    assert [spelling for spelling in SPELLINGS if spelling in everything] == []
    for file in ledger.iterdir():
        assert KEY.encode() not in file.read_bytes(), file.name


@pytest.mark.timeout(120)
@DIALECTS
def test_texts_without_measure_or_manners_are_bounded_escaped_and_distinguished(
    documented: bool, tmp_path: Path
) -> None:
    """Of two jobs of nearly a megabyte each there remain some kilobytes."""
    jobs = [job(f"j-{n}", LONG, documented=documented, state=LONG) for n in range(2)]
    jobs += [job(LONG, "x", documented=documented), job(CONTROL, "x", documented=documented)]
    jobs += [job("j-control", CONTROL, documented=documented, project="p-1")]
    names = {"project": "p-2", "owner": "other"}
    jobs += [job(name, "x", documented=documented, **names) for name in ("other", "k-1", "k-2")]

    def respond(path: str) -> Answer:
        if path == "/jobs/":
            return listed(jobs, documented=documented)
        if path in {"/projects/", "/organizations/"}:
            return listed([{"id": "t-1", "name": LONG, "rid": CONTROL}], documented=documented)
        return 404, {"detail": "no such thing"}

    with (
        serving(respond) as url,
        exporter(url, tmp_path, "--metrics.max-jobs=4") as running,
    ):
        wanted = {"long_name", "long_state", "long_id", "long_project", "long_owner", "bad_id"}
        running.wait(lambda m: wanted <= reasons(m), "all that is too long to be counted")
        metrics = running.wait(
            lambda m: m.all("trainwave_project_cost_dollars_total"), "the money to be counted"
        )
        page = running.get("/")[1]
    assert len(metrics.text) < 100_000
    assert len(page) < 100_000
    for shown in (metrics.text, page):
        assert [c for c in shown if not c.isprintable() and c != "\n"] == []
    assert metrics.get("trainwave_job_info", job_id="j-control", job_name=ESCAPED) == 1
    assert repeated(metrics) == []
    unit = 1 if documented else 100
    assert total(metrics, "trainwave_job_cost_dollars", project_id="p-2") == 3 / unit
    assert metrics.get("trainwave_job_cost_dollars", project_id="p-2", job_id="other") is not None


@pytest.mark.timeout(120)
@DIALECTS
def test_a_count_that_is_always_too_high_makes_nothing_count_for_ever(
    documented: bool, tmp_path: Path
) -> None:
    """Every second ten other jobs run, of other projects and owners; at most a few seconds' count.

    Without the bound, what ran in all of the twenty seconds would count.
    """
    began = time.monotonic()

    def respond(path: str) -> Answer:
        second = int(time.monotonic() - began)
        jobs = [
            job(
                f"j-{second}-{n}",
                "x",
                documented=documented,
                project=f"p-{second}-{n}",
                owner=f"o-{second}-{n}",
            )
            for n in range(10)
        ]
        if path == "/jobs/":
            return listed(jobs, documented=documented, more=1)
        if path in {"/projects/", "/organizations/"}:
            return listed([], documented=documented)
        return 500, {"detail": "out of order"}

    limits = "--fleet.staleness=3s", "--metrics.max-groups=15", "--metrics.max-jobs=20"
    with serving(respond) as url, exporter(url, tmp_path, *limits) as running:
        running.wait(
            lambda m: time.monotonic() - began > 20 and m.all("trainwave_jobs"), "twenty seconds"
        )
        metrics = running.metrics()
    count = total(metrics, "trainwave_jobs", state="RUNNING")
    assert 10 <= count <= 100
    assert total(metrics, "trainwave_burn_dollars_per_hour") <= 100 * PRICE
    assert len(metrics.by("project_id", "trainwave_jobs", state="RUNNING")) <= 16
    assert len(metrics.all("trainwave_project_cost_dollars_total")) <= 16
    assert len(metrics.all("trainwave_burn_dollars_per_hour")) <= 16
    assert len(metrics.by("project_id", "trainwave_job_cost_dollars")) <= 20 + 16
    for kind in ("project", "spend"):
        assert metrics.get("trainwave_exporter_series_cap_reached", kind=kind) == 1
    assert repeated(metrics) == []
