"""An API, scrapers and whoever should read the log do all their harm at once, and nobody notices.

Who does harm does it in processes of its own. ``ENDURANCE_SECONDS``: for how long.
"""

from __future__ import annotations

import gzip
import os
import time
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import cycle
from pathlib import Path
from threading import Event
from typing import Final

import pytest
from support.exporter import AT_ONCE_SECONDS, Metrics, wait_for
from support.hostile_api import (
    COSTS,
    DIALECTS,
    HARMS,
    MADE_UP,
    PROJECT,
    HostileApi,
    hostile_api,
)
from support.hostile_scrapers import hostile_scrapers
from support.open_files import open_files
from support.probed_exporter import ProbedExporter

from trainwave_exporter.runtime.logs import FLUSH_SECONDS

SECONDS: Final = float(os.environ.get("ENDURANCE_SECONDS", "6"))
REHEARSAL_SECONDS: Final = 3.0
DESCRIPTORS: Final = 512
"""Of which half are for connections; the crowd wants 800."""
STALENESS: Final = 30
LATE: Final = STALENESS + 6
"""Seconds until what was reported last does not count any more: `STALENESS`, and a look around."""
PROMPT: Final = 1.0 if "ENDURANCE_SECONDS" in os.environ else 3.0
"""Seconds in which a scrape is answered; the short form runs beside other tests, which is no place
to measure the second that the long one grants."""
LONGEST_BLOCK: Final = 0.2
"""Seconds, on a machine of half the speed."""
SETTINGS: Final = f"""\
polling: {{running_interval: 1s, sweep_interval: 2s, directory_interval: 5s, readings_interval: 2s}}
fleet: {{staleness: {STALENESS}s, vanish_after_sweeps: 1}}
metrics: {{max_jobs: 1000, max_groups: 50}}
"""


class Scraper:
    """Scrapes, and says how long the slowest answer took.

    For which the exporter's threads, one of which may hold the interpreter, or the test had no core
    to run on does not count: others have them.
    """

    def __init__(self, exporter: ProbedExporter) -> None:
        self._exporter = exporter
        self._codings = cycle(["gzip", "identity"])
        self.slowest = 0.0
        """Seconds."""

    def scrape(self) -> Metrics:
        """Return what is answered, by another coding each time."""
        coding = next(self._codings)
        url = f"{self._exporter.url}/metrics"
        request = urllib.request.Request(url, headers={"Accept-Encoding": coding})
        waits = [Path("/proc/thread-self/schedstat"), *self._exporter.schedules]
        began, waited = time.monotonic(), waited_for_core(waits)
        with urllib.request.urlopen(request, timeout=30) as answer:
            body = answer.read()
        took = time.monotonic() - began
        self.slowest = max(self.slowest, took - (waited_for_core(waits) - waited))
        return Metrics((gzip.decompress(body) if coding == "gzip" else body).decode())


def waited_for_core(schedules: Iterable[Path]) -> float:
    """Return for how many seconds threads waited for a core so far (proc(5), schedstat)."""
    waited = 0
    for path in schedules:
        with suppress(OSError):  # a thread that ended
            waited += int(path.read_text().split()[1])
    return waited / 1e9


def figures(metrics: Metrics) -> dict[str, object]:
    """Return what is said of the jobs that there are, in dollars and as a ratio."""
    found: dict[str, object] = {}
    for dialect in DIALECTS:
        project = f"{dialect}-{PROJECT}"
        for name in COSTS:
            job_id = f"{dialect}-{name}"
            found[job_id] = tuple(
                metrics.get(metric, job_id=job_id)
                for metric in (
                    "trainwave_job_cost_dollars",
                    "trainwave_job_hourly_cost_dollars",
                    "trainwave_job_gpu_utilization_ratio",
                )
            )
        burn = metrics.all("trainwave_burn_dollars_per_hour", project_id=project)
        found[project] = (
            metrics.get("trainwave_jobs", project_id=project, state="RUNNING"),
            sum(dollars for _, dollars in burn),
        )
    return found


RIGHT: Final = {
    "documented-j-1": (10, 2.5, 0.5),
    "documented-j-2": (100, 4, 0.75),
    "documented-j-3": (7, 8, None),
    "documented-true": (2, 6.5),
    "deployed-j-1": (10, 2.5, 0.5),
    "deployed-j-2": (100, 4, 0.75),
    "deployed-j-3": (7, 8, None),
    "deployed-true": (2, 6.5),
}
"""Two jobs run in each dialect, at 2.5 and 4 dollars per hour."""


def running(metrics: Metrics) -> float:
    return sum(count for _, count in metrics.all("trainwave_jobs", state="RUNNING"))


def both_up(metrics: Metrics) -> bool:
    return metrics.by("account", "trainwave_up") == {"documented": 1, "deployed": 1}


@contextmanager
def started(folder: Path, api: HostileApi) -> Iterator[ProbedExporter]:
    settings = folder / "exporter.yml"
    accounts = "".join(
        f"  - {{name: {dialect}, api_url: {api.url(dialect)}, api_key_env: KEY_{dialect}}}\n"
        for dialect in DIALECTS
    )
    settings.write_text(f"accounts:\n{accounts}{SETTINGS}")
    with open_files(DESCRIPTORS):
        exporter = ProbedExporter(
            folder / "gauges",
            f"--config.file={settings}",
            f"--storage.path={folder / 'ledger'}",
            "--log.level=debug",
            "--trainwave.timeout=3s",
            "--storage.write-interval=1s",
            "--trainwave.initial-rate-limit=6000",
            env={f"KEY_{dialect}": f"hostile-key-{dialect}" for dialect in DIALECTS},
        )
    with exporter:
        yield exporter


def suffer(api: HostileApi, exporter: ProbedExporter, scraper: Scraper, seconds: float) -> None:
    """Have all harm done for so long, look at every second of it, and wait until it is over."""
    pause = Event()
    made_up = [(time.monotonic(), api.done()[MADE_UP])]
    api.attack()
    with hostile_scrapers(*exporter.address):
        began = time.monotonic()
        while time.monotonic() - began < seconds or not set(api.done()) >= HARMS:
            metrics = scraper.scrape()
            assert figures(metrics) == RIGHT
            made_up.append((time.monotonic(), api.done()[MADE_UP]))
            earlier = [count for at, count in made_up if at < time.monotonic() - LATE]
            before_that = earlier[-1] if earlier else made_up[0][1]
            assert running(metrics) <= 4 + made_up[-1][1] - before_that
            assert len(metrics.all("trainwave_job_cost_dollars")) <= 1000 + 51
            assert len(metrics.all("trainwave_jobs", state="RUNNING")) <= 51
            pause.wait(1)
    api.calm()
    wait_for(lambda: running(scraper.scrape()) == 4, "what was made up to be forgotten")
    wait_for(lambda: both_up(scraper.scrape()), "both accounts to be up")
    metrics = scraper.scrape()
    assert figures(metrics) == RIGHT
    dropped = metrics.by("reason", "trainwave_exporter_web_connections_dropped_total")
    assert dropped["displaced"] + dropped["limit"] > 0


@pytest.mark.long
@pytest.mark.timeout(SECONDS + 180)
def test_all_harm_at_once_delays_no_scrape_changes_no_value_and_leaves_no_memory(
    tmp_path: Path,
) -> None:
    """What allocators keep of a first time, in pages of which some is in use, is no more later."""
    with hostile_api() as api, started(tmp_path, api) as exporter:
        scraper = Scraper(exporter)
        wait_for(lambda: figures(scraper.scrape()) == RIGHT, "the jobs that there are")
        calm = exporter.holdings().kilobytes
        exporter.leave_log_unread()
        suffer(api, exporter, scraper, REHEARSAL_SECONDS)
        before = exporter.holdings().kilobytes
        exporter.gauges.reset()
        scraper.slowest = 0
        suffer(api, exporter, scraper, SECONDS)
        assert scraper.slowest < PROMPT
        assert exporter.gauges.longest_block < LONGEST_BLOCK
        wait_for(lambda: exporter.holdings().kilobytes < 1.1 * before, "memory to be free again")
        assert exporter.holdings().kilobytes < 1.3 * calm
        code, seconds = exporter.terminate()
        assert (code, seconds < AT_ONCE_SECONDS + FLUSH_SECONDS) == (0, True)
