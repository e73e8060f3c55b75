"""The configuration changes while the exporter runs: nothing known is lost, and no scrape."""

from __future__ import annotations

import signal
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.exporter import Exporter, Metrics, wait_for
from support.prometheus_tools import SUITES
from support.scraping import prometheus, query
from support.simulated import serving

from deploy.prometheus import build
from trainwave_exporter.simulator import SimulatedWorld, Simulator

KEYS = {"FIRST": "first-key", "SECOND": "second-key", "TRAINWAVE_API_KEY": "first-key"}
OUTCOME = "trainwave_exporter_config_last_reload_successful"
WHEN = "trainwave_exporter_config_last_reload_success_timestamp_seconds"


@pytest.fixture
def simulator() -> Simulator:
    return Simulator(
        SimulatedWorld(seed=3, jobs=12, history=4), keys=KEYS.values(), rate_limit=1000
    )


@pytest.fixture
def api_url(simulator: Simulator) -> Iterator[str]:
    with serving(simulator) as url:
        yield url


@pytest.fixture
def file(tmp_path: Path, api_url: str) -> Path:
    path = tmp_path / "exporter.yml"
    write(path, api_url, "first")
    return path


@pytest.fixture
def exporter(file: Path) -> Iterator[Exporter]:
    flags = (f"--config.file={file}", "--web.enable-lifecycle")
    with Exporter(*flags, env=KEYS) as exporter:
        exporter.wait_ready()
        exporter.wait(all_read, "all readings")
        yield exporter


def all_read(metrics: Metrics) -> bool:
    states = metrics.all("trainwave_job_state", state="RUNNING")
    read = metrics.all("trainwave_job_readings_timestamp_seconds", metric="disk")
    return 0 < sum(value for _, value in states) == len(read)


def write(path: Path, api_url: str, *accounts: str, more: str = "") -> None:
    listed = "".join(f"  - {{name: {name}, api_key_env: {name.upper()}}}\n" for name in accounts)
    path.write_text(f"trainwave: {{api_url: {api_url}}}\naccounts:\n{listed}{more}")


def reload(exporter: Exporter, method: str = "POST") -> tuple[int, str]:
    request = urllib.request.Request(exporter.url + "/-/reload", method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def accounts(metrics: Metrics) -> set[str]:
    return set(metrics.by("account", "trainwave_up"))


class Scraper:
    """Scrapes without a pause, and keeps count of the jobs shown."""

    def __init__(self, exporter: Exporter) -> None:
        self._exporter = exporter
        self._stopping = threading.Event()
        self.fewest = len(exporter.metrics().all("trainwave_job_info"))
        self.readings = len(exporter.metrics().all("trainwave_job_gpu_utilization_ratio"))
        self._thread = threading.Thread(target=self._scrape, daemon=True)
        self._thread.start()

    def _scrape(self) -> None:
        while not self._stopping.is_set():
            metrics = self._exporter.metrics()
            self.fewest = min(self.fewest, len(metrics.all("trainwave_job_info")))
            readings = metrics.all("trainwave_job_gpu_utilization_ratio")
            self.readings = min(self.readings, len(readings))

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_an_account_comes_and_goes_and_what_is_known_of_the_others_stays(
    exporter: Exporter, file: Path, api_url: str, method: str
) -> None:
    scraper = Scraper(exporter)
    jobs, readings = scraper.fewest, scraper.readings
    loaded_at = exporter.metrics().get(WHEN)
    write(file, api_url, "first", "second")
    assert reload(exporter, method) == (200, "reloaded\n")
    metrics = exporter.wait(lambda m: m.by("account", "trainwave_up").get("second"), "the second")
    assert accounts(metrics) == {"first", "second"}
    exporter.wait_ready()
    write(file, api_url, "first")
    assert reload(exporter, method)[0] == 200
    metrics = exporter.wait(lambda m: accounts(m) == {"first"}, "the second to go")
    assert 'account="second"' not in exporter.get("/metrics")[1]
    scraper.stop()
    assert (scraper.fewest, scraper.readings) == (jobs, readings)
    assert metrics.get(OUTCOME) == 1
    assert (metrics.get(WHEN) or 0) > (loaded_at or 0)


def test_jobs_of_an_account_that_is_removed_go_with_it(
    exporter: Exporter, file: Path, api_url: str
) -> None:
    write(file, api_url, "second")
    assert reload(exporter)[0] == 200
    exporter.wait(lambda m: accounts(m) == {"second"}, "the first to go")
    metrics = exporter.wait(lambda m: m.all("trainwave_job_info"), "the jobs to come back")
    projects = [labels["account"] for labels, _ in metrics.all("trainwave_project_info")]
    assert set(projects) <= {"second"}


def test_an_account_that_looks_elsewhere_shows_nothing_of_where_it_was(
    exporter: Exporter, file: Path, api_url: str
) -> None:
    labels, _ = exporter.metrics().all("trainwave_job_info")[0]
    project = labels["project_id"]
    listed = f"accounts:\n  - {{name: first, api_key_env: FIRST, project: {project}}}\n"
    file.write_text(f"trainwave: {{api_url: {api_url}}}\n{listed}")
    assert reload(exporter)[0] == 200

    def only_there(metrics: Metrics) -> bool:
        jobs = metrics.all("trainwave_job_info")
        return bool(jobs) and {labels["project_id"] for labels, _ in jobs} == {project}

    exporter.wait(only_there, "the jobs of one project")
    exporter.wait_ready()


def test_a_hang_up_while_it_starts_is_obeyed_when_it_has_started(file: Path) -> None:
    with Exporter(f"--config.file={file}", env=KEYS) as exporter:
        exporter.process.send_signal(signal.SIGHUP)
        exporter.process.send_signal(signal.SIGHUP)
        wait_for(lambda: exporter.events("config_reloaded"), "the reload")
        exporter.wait_ready()
        assert accounts(exporter.metrics()) == {"first"}


def test_a_hang_up_is_a_reload(exporter: Exporter, file: Path, api_url: str) -> None:
    write(file, api_url, "first", "second")
    exporter.process.send_signal(signal.SIGHUP)
    exporter.wait(lambda m: accounts(m) == {"first", "second"}, "the second")
    (told,) = wait_for(lambda: exporter.events("config_reloaded"), "the reload to be told")
    assert told["accounts"] == "first,second"


def test_intervals_and_limits_change_without_losing_a_reading(
    exporter: Exporter, file: Path, api_url: str, simulator: Simulator
) -> None:
    scraper = Scraper(exporter)
    jobs, readings = scraper.fewest, scraper.readings
    asked = simulator.stats.by_endpoint["metrics/disk"]
    more = "polling: {running_interval: 1s}\nmetrics: {deny: [trainwave_jobs]}\n"
    write(file, api_url, "first", more=more)
    assert reload(exporter)[0] == 200
    exporter.wait(lambda m: not m.all("trainwave_jobs"), "a metric to be denied")
    lists = simulator.stats.by_endpoint["jobs"]
    wait_for(lambda: simulator.stats.by_endpoint["jobs"] > lists + 2, "lists every second")
    scraper.stop()
    assert (scraper.fewest, scraper.readings) == (jobs, readings)
    assert simulator.stats.by_endpoint["metrics/disk"] == asked  # what is known is not asked again


def test_fewer_jobs_may_have_series_from_one_publication_to_the_next(
    exporter: Exporter, file: Path, api_url: str
) -> None:
    jobs = len(exporter.metrics().all("trainwave_job_info"))
    write(file, api_url, "first", more="metrics: {max_jobs: 3}\n")
    assert reload(exporter)[0] == 200
    folded = "trainwave_exporter_jobs_folded"
    metrics = exporter.wait(lambda m: m.get(folded), "jobs to be folded")
    assert metrics.get(folded) == jobs - 3
    assert len(metrics.all("trainwave_job_info")) == 3
    write(file, api_url, "first")
    assert reload(exporter)[0] == 200
    exporter.wait(lambda m: len(m.all("trainwave_job_info")) == jobs, "all jobs to be back")


def test_budgets_come_and_go(exporter: Exporter, file: Path, api_url: str) -> None:
    budget = (
        "budgets:\n  - {name: all, limit_dollars: 5000, period: month, time_zone: Europe/Berlin}\n"
    )
    write(file, api_url, "first", more=budget)
    assert reload(exporter)[0] == 200
    limit = "trainwave_budget_limit_dollars"
    exporter.wait(lambda m: m.get(limit, budget="all") == 5000, "the budget")
    write(file, api_url, "first", more=budget.replace("5000", "7000"))
    assert reload(exporter)[0] == 200
    exporter.wait(lambda m: m.get(limit, budget="all") == 7000, "the budget to be raised")
    write(file, api_url, "first")
    assert reload(exporter)[0] == 200
    exporter.wait(lambda m: not m.all(limit), "the budget to go")


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ("polling: {running_interval: soon}\n", "polling.running_interval: expected "),
        ("metrics: {allow: [no_such]}\n", "metrics.allow and metrics.deny: no metric is called"),
        ("web: {telemetry_path: /elsewhere}\n", "web.telemetry_path: cannot be changed without"),
        ("accounts: {", "exporter.yml: "),
    ],
)
def test_what_is_wrong_is_reported_and_all_stays_as_it_was(
    exporter: Exporter, file: Path, api_url: str, more: str, problem: str
) -> None:
    before = exporter.metrics()
    write(file, api_url, "first", "second", more=more)
    status, told = reload(exporter)
    assert status == 500
    assert problem in told
    metrics = exporter.wait(lambda m: m.get(OUTCOME) == 0, "the failure to be told")
    assert accounts(metrics) == {"first"}
    assert metrics.get(WHEN) == before.get(WHEN)
    (event,) = exporter.events("config_reload_failed")
    assert event["error"] == told.strip()
    assert "The configuration was not reloaded" in exporter.get("/")[1]
    write(file, api_url, "first")
    assert reload(exporter)[0] == 200
    assert "The configuration was not reloaded" not in exporter.get("/")[1]
    exporter.wait(lambda m: m.get(OUTCOME) == 1, "the recovery to be told")


@pytest.mark.parametrize("suite", SUITES)
def test_prometheus_alerts_on_a_refused_reload_until_one_succeeds(
    suite: str, exporter: Exporter, file: Path, api_url: str, tmp_path: Path
) -> None:
    target = exporter.url.removeprefix("http://")
    rules = [Path(build.__file__).parent / "rules" / "alerts.yml"]
    firing = 'ALERTS{alertname="TrainwaveReloadFailed",alertstate="firing"}'
    with prometheus(suite, tmp_path, target, rules=rules) as url:
        wait_for(lambda: query(url, OUTCOME), "a first scrape")
        assert query(url, firing) == []
        write(file, api_url, "first", more="web: {telemetry_path: /elsewhere}\n")
        assert reload(exporter)[0] == 500
        [alert] = wait_for(lambda: query(url, firing), "the alert")
        assert alert["metric"].items() >= {("severity", "warning"), ("instance", target)}
        write(file, api_url, "first")
        assert reload(exporter)[0] == 200
        wait_for(lambda: not query(url, firing) and query(url, OUTCOME), "the alert to be over")


def test_a_missing_key_refuses_the_whole(exporter: Exporter, file: Path, api_url: str) -> None:
    write(file, api_url, "first", "third")
    status, told = reload(exporter)
    assert status == 500
    assert "api_key_env of account third" in told
    assert accounts(exporter.metrics()) == {"first"}


def test_without_leave_nobody_reloads_by_http(file: Path) -> None:
    with Exporter(f"--config.file={file}", env=KEYS) as exporter:
        status, told = reload(exporter)
        assert (status, told) == (403, "not enabled; see --web.enable-lifecycle\n")
        assert exporter.get("/-/reload")[0] == 405


def test_a_key_that_is_rotated_in_its_file_is_picked_up(
    tmp_path: Path, api_url: str, simulator: Simulator
) -> None:
    key = tmp_path / "key"
    key.write_text("first-key\n")
    flags = (f"--trainwave.api-url={api_url}", f"--trainwave.api-key-file={key}")
    with Exporter(*flags, "--polling.running-interval=200ms") as exporter:
        exporter.wait_ready()
        simulator.revoke_key("first-key")
        exporter.wait(lambda m: m.get("trainwave_up") == 0, "the old key to be refused")
        key.write_text("second-key\n")
        exporter.wait(lambda m: m.get("trainwave_up") == 1, "the new key to be used")
    assert "first-key" not in "".join(exporter.raw_log)
    assert "second-key" not in "".join(exporter.raw_log)
