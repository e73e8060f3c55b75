"""Draws the dashboards' pictures anew: ``make previews``.

The data are those of simulator, exporter and Prometheus: a week that passes in minutes, and for the
dashboard about the exporter itself some minutes that pass as they do. Grafana's own components
draw them, in Chromium; see ``grafana/previews``. What they need of npm's packages is in ``.cache``.
"""

from __future__ import annotations

import json
import mimetypes
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias

from playwright.sync_api import Page as Tab
from playwright.sync_api import Route, sync_playwright

from grafana import uids
from support.panel_queries import answers, ask
from support.recorded_weeks import recorded
from support.stack import panel_results, stack
from trainwave_exporter.simulator import SimulatedWorld

Page: TypeAlias = dict[str, Any]
"""What a page is made of, as `grafana/previews/model.ts` has it, but for its theme."""
Choice: TypeAlias = tuple[str, str]

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "grafana" / "previews"
PICTURES = ROOT / "docs" / "pictures"
BUILT = ROOT / ".cache" / "previews"
DASHBOARDS = ROOT / "grafana" / "dashboards"
WIDTH = 1600
TOPS = {uids.COST: 665}
"""Of which dashboards the README shows the top, and how many pixels of it."""
THEMES: tuple[Literal["dark", "light"], ...] = ("dark", "light")

_DAY = 86_400
_END = 1_795_099_920
"""A Thursday afternoon, in the middle of a month."""
_DAYS = {"now-24h": 1, "now-7d": 7}
_SHOWING_DAYS = (uids.FLEET, uids.COST, uids.EFFICIENCY, uids.JOB)
_SCRAPE_SECONDS = 240
_BEFORE_SECONDS = 900
"""How long before a job's creation its picture begins."""
_LIVE_SECONDS = 360
_FAULTS = "429=0.02,5xx=0.02,unknown_state=0.05"
_SETTINGS = """
polling:
  readings_interval: 12m
waste:
  reading_gap: 30m
fleet:
  finished_retention: 8h
  staleness: 30m
budgets:
  - {name: everything, limit_dollars: 6000, period: week, time_zone: UTC}
  - {name: a-day, limit_dollars: 1200, period: day, time_zone: UTC}
  - {name: vision, limit_dollars: 3000, period: month, time_zone: UTC, projects: [Vision]}
"""

_COLLECTED = BUILT / "collected.json"
_ORIGIN = "http://previews.invalid"
_PACKAGES = BUILT / "node_modules"
# What Grafana serves, and where it is to be had.
_ICONS = ("/public/build/img/icons/", _PACKAGES / "@grafana/ui/dist/public/img/icons")
_ENVIRONMENT = {**os.environ, "NODE_PATH": str(_PACKAGES)}
_FONTS = "/public/fonts/inter/"
_FONT = _PACKAGES / "@fontsource-variable/inter/files/inter-latin-wght-normal.woff2"
_HTML = """<!doctype html>
<meta charset="utf-8">
<script>window.__grafana_public_path__ = "/public/"</script>
<link rel="stylesheet" href="page.css">
<style>html, body { margin: 0 }</style>
<div id="styles"></div>
<div id="page"></div>
<script type="module" src="page.js"></script>
"""


def main(arguments: Sequence[str]) -> None:
    """Draw all anew; with `--again`, of the dashboards and data of the last time."""
    bundle()
    if "--again" not in arguments:
        _COLLECTED.write_text(json.dumps(collected()), encoding="utf-8")
    draw(json.loads(_COLLECTED.read_text(encoding="utf-8")), PICTURES)


def collected() -> dict[str, Page]:
    """Return what all pages are made of."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "now").mkdir()
        with stack("sid", folder / "now", faults=_FAULTS) as running:
            began = time.monotonic()
            pages = pages_of_a_week(folder)
            # That took minutes, and some are to be seen.
            threading.Event().wait(began + _LIVE_SECONDS - time.monotonic())
            return {**pages, uids.EXPORTER: page_of_now(running.prometheus)}


def pages_of_a_week(folder: Path) -> dict[str, Page]:
    """Return what the pages are made of that show days."""
    world = partial(SimulatedWorld, seed=3, jobs=16, history=60, start=_END - 7 * _DAY)
    with recorded(
        folder / "week",
        _SETTINGS,
        lambda clock: world(clock=clock),
        end=_END,
        step=_SCRAPE_SECONDS,
    ) as prometheus:
        return {uid: page_of_days(prometheus, uid) for uid in _SHOWING_DAYS}


def page_of_days(prometheus: str, uid: str) -> Page:
    """Return what the page of a dashboard that shows days is made of."""
    dashboard = _dashboard(uid)
    start = _END - _DAYS[dashboard["time"]["from"]] * _DAY
    job = ("", "")
    if uid == uids.JOB:
        job, created = _a_job(prometheus)
        start = max(start, created - _BEFORE_SECONDS)
    chosen = _chosen(dashboard, job)
    found = answers(prometheus, dashboard, _values(chosen), start, _END, _SCRAPE_SECONDS)
    return _page(dashboard, chosen, found, start, _END)


def page_of_now(prometheus: str) -> Page:
    """Return what the page of the dashboard about the exporter is made of."""
    dashboard = _dashboard(uids.EXPORTER)
    chosen = _chosen(dashboard)
    end = int(time.time())
    start = end - _LIVE_SECONDS
    found = panel_results(prometheus, dashboard, _values(chosen), start, end)
    return _page(dashboard, chosen, found, start, end)


def _dashboard(uid: str) -> dict[str, Any]:
    text = (DASHBOARDS / f"{uid}.json").read_text(encoding="utf-8")
    dashboard: dict[str, Any] = json.loads(text)
    return dashboard


def _chosen(dashboard: Mapping[str, Any], job: Choice = ("", "")) -> dict[str, Choice]:
    """Return what is chosen for each variable: its value, and how that is shown."""
    given = {"datasource": ("prometheus", "Prometheus"), "job": job}
    names = (variable["name"] for variable in dashboard["templating"]["list"])
    return {name: given.get(name, (".*", "All")) for name in names}


def _values(chosen: Mapping[str, Choice]) -> dict[str, str]:
    return {name: value for name, (value, _) in chosen.items()}


def _page(
    dashboard: Mapping[str, Any],
    chosen: Mapping[str, Choice],
    found: Sequence[Mapping[str, Any]],
    start: int,
    end: int,
) -> Page:
    variables = [
        {"label": variable["label"], "value": chosen[variable["name"]][1]}
        for variable in dashboard["templating"]["list"]
    ]
    return {
        "dashboard": dashboard,
        "variables": variables,
        "answers": found,
        "start": start,
        "end": end,
    }


def _a_job(prometheus: str) -> tuple[Choice, int]:
    """Return the running job that lost most to idle GPUs, and when it was created."""
    query = (
        "max by (job_id) (trainwave_job_created_timestamp_seconds)"
        " * on (job_id) group_left (job_name) job:trainwave_info:one and on (job_id)"
        " topk(1, job:trainwave_idle_dollars:max and on (job_id) job:trainwave_running:max == 1)"
    )
    (found,) = ask(prometheus, "query", {"query": query, "time": _END})["result"]
    job_id, name = found["metric"]["job_id"], found["metric"]["job_name"]
    return (job_id, f"{name} · {job_id}"), int(float(found["value"][1]))


def bundle() -> None:
    """Check the sources' types; make one script and one stylesheet of them and all they use."""
    programs = _PACKAGES / ".bin"
    subprocess.run([programs / "tsc", "--project", SOURCES], check=True)
    subprocess.run(
        [
            programs / "esbuild",
            SOURCES / "page.tsx",
            "--bundle",
            "--minify",
            "--format=esm",
            "--jsx=automatic",
            "--loader:.woff2=dataurl",
            "--loader:.ttf=empty",
            '--define:process.env.NODE_ENV="production"',
            "--log-level=warning",
            f"--outfile={BUILT / 'page.js'}",
        ],
        check=True,
        env=_ENVIRONMENT,
    )


def draw(pages: Mapping[str, Page], folder: Path) -> None:
    """Write ``UID-THEME.png`` of every page into a folder, and ``UID-top-THEME.png`` of `TOPS`."""
    with _chromium() as tab:
        for uid, content in pages.items():
            for theme in THEMES:
                _load(tab, {**content, "theme": theme})
                tab.screenshot(path=folder / f"{uid}-{theme}.png", full_page=True)
                if height := TOPS.get(uid):
                    tab.screenshot(
                        path=folder / f"{uid}-top-{theme}.png",
                        clip={"x": 0, "y": 0, "width": WIDTH, "height": height},
                    )
    names = [*pages, *(f"{uid}-top" for uid in TOPS)]
    made = [folder / f"{name}-{theme}.png" for name in names for theme in THEMES]
    subprocess.run(["node", SOURCES / "compress.cjs", *made], check=True, env=_ENVIRONMENT)


def _load(tab: Tab, content: Page) -> None:
    text = json.dumps(content)

    def answer(route: Route) -> None:
        path = route.request.url.removeprefix(_ORIGIN)
        if path == "/":
            route.fulfill(body=_HTML, content_type="text/html")
        elif path == "/page.json":
            route.fulfill(body=text, content_type="application/json")
        elif path.startswith(_ICONS[0]):
            _send(route, _ICONS[1] / path.removeprefix(_ICONS[0]))
        elif path.startswith(_FONTS):
            _send(route, _FONT)
        else:
            _send(route, BUILT / path.removeprefix("/"))

    # Only the time that is told; what waits still waits.
    tab.clock.set_fixed_time(datetime.fromtimestamp(content["end"], UTC))
    tab.unroute_all()
    tab.route("**/*", answer)
    tab.goto(f"{_ORIGIN}/")
    tab.wait_for_selector("#page > *", timeout=10_000)
    tab.wait_for_load_state("networkidle")
    # What is out of sight is not drawn; what comes into sight needs a moment.
    box = tab.locator("main").bounding_box()
    assert box is not None
    tab.set_viewport_size({"width": WIDTH, "height": round(box["height"])})
    tab.wait_for_timeout(1000)


def _send(route: Route, path: Path) -> None:
    if path.is_file():
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        route.fulfill(path=path, content_type=kind)
    else:
        route.fulfill(status=404)


@contextmanager
def _chromium() -> Iterator[Tab]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
            ],
        )
        tab = browser.new_page(
            viewport={"width": WIDTH, "height": 900}, locale="en-US", timezone_id="UTC"
        )
        mistakes: list[str] = []
        tab.on("pageerror", lambda error: mistakes.append(str(error)))
        tab.on("console", lambda said: mistakes.append(said.text) if said.type == "error" else None)
        try:
            yield tab
        finally:
            browser.close()
            # A page that fails to draw is waited for in vain; this says why.
            sys.stderr.writelines(f"{mistake}\n" for mistake in mistakes)
        if mistakes:
            raise SystemExit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
