"""The daemon as a whole, in the test's own loop: accounts side by side, readiness, overview."""

from __future__ import annotations

import asyncio
import re
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import ClientSession, web
from support.api_server import serving
from support.exporter import Metrics

from trainwave_exporter.config import KeySource, key_source, load
from trainwave_exporter.daemon import Daemon, StartError
from trainwave_exporter.landing import Overview
from trainwave_exporter.runtime.clock import Clock
from trainwave_exporter.simulator import SimulatedWorld, Simulator, parse_faults


@asynccontextmanager
async def running(
    environ: Mapping[str, str],
    file: Path | None = None,
    clock: Clock | None = None,
    **flags: str,
) -> AsyncIterator[Daemon]:
    """Run a daemon on a free port; flags are spelled ``section__key``."""
    given = {path.replace("__", "."): text for path, text in flags.items()}
    given = {"web.listen_address": "127.0.0.1:0", "storage.path": ":memory:", **given}
    settings = load(given, environ, file)
    keys: dict[str, KeySource] = {
        account.name: key_source(account, environ) for account in settings.accounts
    }
    daemon = Daemon(settings, keys, clock=clock)
    task = asyncio.create_task(daemon.run())
    listening = asyncio.create_task(daemon.listening.wait())
    try:
        await asyncio.wait({task, listening}, timeout=30, return_when=asyncio.FIRST_COMPLETED)
        yield daemon
    finally:
        listening.cancel()
        daemon.stop()
        await task


async def get(daemon: Daemon, path: str) -> tuple[int, str]:
    host, port = daemon.web.addresses[0]

    def fetch() -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://{host}:{port}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    return await asyncio.to_thread(fetch)


async def scrape(daemon: Daemon) -> Metrics:
    return Metrics((await get(daemon, "/metrics"))[1])


async def until(daemon: Daemon, condition: Callable[[Metrics], object]) -> Metrics:
    async with asyncio.timeout(30):
        while not condition(metrics := await scrape(daemon)):
            pass
    return metrics


async def page_of(daemon: Daemon) -> tuple[Overview, str]:
    """Return what the page tells, and the page as it was then: jobs change places all the time."""
    while True:
        overview = daemon.overview()
        _, page = await get(daemon, "/")
        if {job.id for job in daemon.overview().jobs} == {job.id for job in overview.jobs}:
            return overview, page


async def test_several_accounts_are_watched_each_with_its_key_and_budget(tmp_path: Path) -> None:
    one = Simulator(SimulatedWorld(seed=1, jobs=8), keys=("key-one",), rate_limit=100)
    two = Simulator(
        SimulatedWorld(seed=2, jobs=5), keys=("key-two",), rate_limit=1000, dialect="deployed"
    )
    async with one.serve() as url_one, two.serve() as url_two:
        (tmp_path / "two.key").write_text("key-two\n")
        (tmp_path / "two.key").chmod(0o600)
        file = tmp_path / "exporter.yml"
        file.write_text(
            f"accounts:\n"
            f"  - {{name: research, api_url: '{url_one}', api_key_env: KEY_ONE}}\n"
            f"  - {{name: production, api_url: '{url_two}', api_key_file: two.key}}\n"
        )
        async with running({"KEY_ONE": "key-one"}, file) as daemon:
            both_up = {"research": 1, "production": 1}
            limits = {"research": 100, "production": 1000}
            await until(daemon, lambda m: m.by("account", "trainwave_up") == both_up)
            limit = "trainwave_exporter_rate_limit_requests"
            await until(daemon, lambda m: m.by("account", limit) == limits)
            await until(daemon, lambda _: not daemon.unready_reasons())
            overview = daemon.overview()
            known = {account.name: account.jobs_known for account in overview.accounts}
            assert known == {"research": 24, "production": 15}
            dialects = {account.name: account.dialect for account in overview.accounts}
            assert dialects == {"research": "documented", "production": "deployed"}
            assert set(one.stats.by_key) == {"key-1"}
            assert set(two.stats.by_key) == {"key-1"}


async def test_it_listens_at_once_and_is_ready_after_the_first_complete_sweep() -> None:
    simulator = Simulator(SimulatedWorld(seed=1, jobs=4), faults=parse_faults("down=1"))
    async with simulator.serve() as url:
        environ = {"TRAINWAVE_API_KEY": "demo-key", "TRAINWAVE_API_URL": url}
        async with running(environ, polling__running_interval="200ms") as daemon:
            assert (await get(daemon, "/-/healthy"))[0] == 200
            status, reasons = await get(daemon, "/-/ready")
            assert status == 503
            assert reasons == "account default: no complete sweep yet\n"
            metrics = await scrape(daemon)
            assert metrics.get("trainwave_up", account="default") == 0
            assert metrics.all("trainwave_job_info") == []
            assert metrics.get("trainwave_exporter_config_last_reload_successful") == 1
            simulator.faults = parse_faults("")
            await until(daemon, lambda m: m.get("trainwave_up", account="default") == 1)
            await until(daemon, lambda m: m.all("trainwave_jobs"))
            assert (await get(daemon, "/-/ready"))[0] == 200


async def test_it_is_unready_and_says_why_when_loops_have_stopped() -> None:
    simulator = Simulator(SimulatedWorld(seed=1, jobs=4))
    ahead = 0.0
    async with simulator.serve() as url:
        environ = {"TRAINWAVE_API_KEY": "demo-key", "TRAINWAVE_API_URL": url}
        clock = Clock(monotonic=lambda: time.monotonic() + ahead)
        async with running(environ, clock=clock) as daemon:
            await until(daemon, lambda _: not daemon.unready_reasons())
            ahead = 1300.0  # 3 intervals of 5 minutes and the grace, less than 3 of 10
            reasons = daemon.unready_reasons()
            assert "loop directory of account default: stopped" in reasons
            assert "loop housekeeping: stopped" in reasons
            assert "loop sweep of account default: stopped" not in reasons
            stopped = {loop.name for loop in daemon.overview().loops if loop.stopped}
            assert {"directory", "housekeeping"} <= stopped


async def test_the_page_reports_trouble_in_words() -> None:
    simulator = Simulator(SimulatedWorld(seed=1, jobs=4), keys=("another",))
    async with simulator.serve() as url:
        environ = {"TRAINWAVE_API_KEY": "not-a-key", "TRAINWAVE_API_URL": url}
        async with running(environ) as daemon:
            await until(daemon, lambda _: daemon.overview().accounts[0].error)
            _, page = await get(daemon, "/")
            assert "invalid or expired" in page
            assert "not-a-key" not in page
            assert "Account default cannot be read: " in page
            assert "Replace the account&#x27;s key with a valid one" in page
            assert "from the environment variable TRAINWAVE_API_KEY" in page


async def test_a_page_of_a_proxy_is_forbidden_and_not_an_invalid_key() -> None:
    def refuse(_: web.Request) -> web.Response:
        page = "<html><head><title>Blocked by policy</title></head></html>"
        return web.Response(status=403, text=page, content_type="text/html")

    async with serving(refuse) as server:
        environ = {"TRAINWAVE_API_KEY": "tw-key-1", "TRAINWAVE_API_URL": server.url}
        async with running(environ) as daemon:
            requests = "trainwave_exporter_api_requests_total"
            metrics = await until(daemon, lambda m: m.all(requests, endpoint="jobs"))
            assert set(metrics.by("outcome", requests, endpoint="jobs")) == {"forbidden"}
            assert metrics.get("trainwave_up", account="default") == 0
            await until(daemon, lambda _: daemon.overview().accounts[0].error)
            _, page = await get(daemon, "/")
    assert "Account default cannot be read: " in page
    assert "Blocked by policy (403)" in page
    assert "nothing indicates that the key is the reason" in page
    assert "The API refused the key" not in page


async def test_without_requests_left_until_far_ahead_an_account_is_down_and_says_why() -> None:
    remaining, reset = "57", 60

    async def limited(request: web.Request) -> web.StreamResponse:
        there = f"{behind.removesuffix('/api/v1')}{request.raw_path}"
        async with session.get(there, headers={"X-API-KEY": "demo-key"}) as answer:
            headers = {
                "X-RateLimit-Remaining": remaining,
                "X-RateLimit-Reset": str(int(time.time()) + reset),
            }
            return web.Response(status=answer.status, body=await answer.read(), headers=headers)

    async with (
        Simulator(SimulatedWorld(seed=1, jobs=4), rate_limit=None).serve() as behind,
        ClientSession() as session,
        serving(limited) as server,
    ):
        environ = {"TRAINWAVE_API_KEY": "demo-key", "TRAINWAVE_API_URL": server.url}
        async with running(environ, polling__running_interval="200ms") as daemon:
            await until(daemon, lambda m: m.get("trainwave_up", account="default") == 1)
            await until(daemon, lambda _: not daemon.unready_reasons())
            assert (await get(daemon, "/-/ready")) == (200, "ready\n")
            remaining, reset = "0", 10_000
            metrics = await until(daemon, lambda m: m.get("trainwave_up", account="default") == 0)
            assert metrics.all("trainwave_job_info")
            until_when = "trainwave_exporter_rate_limit_blocked_until_timestamp_seconds"
            metrics = await until(daemon, lambda m: m.get(until_when, account="default"))
            blocked_until = metrics.get(until_when, account="default") or 0
            assert time.time() + 3_500 < blocked_until <= time.time() + 3_600
            status, body = await get(daemon, "/-/ready")
            assert status == 200
            assert re.fullmatch(
                r"ready\naccount default: the API says that no requests are left;"
                r" the next one goes out in 3\d{3} s\n",
                body,
            )
            _, page = await get(daemon, "/")
            assert "Account default is rate limited for another 59 min" in page
            assert "the API says that no requests are left" in page


@pytest.mark.parametrize("step", [3600.0, -3600.0])
async def test_a_clock_that_is_set_makes_no_corrections_and_hides_nothing(step: float) -> None:
    """Billed at $36,000 an hour, $10 a second: an hour that never was would be $36,000 too little.

    The API reports its costs in whole cents, and a second's worth may be on its way.
    """
    began, ahead = time.monotonic(), 0.0

    def answer(request: web.Request) -> web.Response:
        job = {
            "id": "j-1",
            "project": "p-1",
            "state": "RUNNING",
            "gpus": 8,
            "gpu_type": "H100",
            "owner": {"id": "u-1", "username": "ada"},
            "created_at": "2026-01-01T00:00:00Z",
            "cost_per_hour": 36_000.0,
            "total_cost": round(10 * (time.monotonic() - began), 2),
        }
        data: object = {"count": 1, "next": None, "previous": None, "results": [job]}
        if request.path.endswith("/jobs/j-1/"):
            data = job
        elif not request.path.endswith("/jobs/"):
            data = {"count": 0, "next": None, "previous": None, "results": []}
        return web.json_response({"success": True, "data": data})

    def cost(metrics: Metrics) -> float:
        return metrics.get("trainwave_job_cost_dollars", job_id="j-1") or 0

    def corrected(metrics: Metrics) -> list[float]:
        return [value for _, value in metrics.all("trainwave_cost_corrections_dollars_total")]

    async with serving(answer) as server:
        environ = {"TRAINWAVE_API_KEY": "demo-key", "TRAINWAVE_API_URL": server.url}
        async with running(
            environ,
            clock=Clock(time=lambda: time.time() + ahead),
            account__initial_rate_limit="6000",
            polling__running_interval="200ms",
            storage__write_interval="200ms",
        ) as daemon:
            metrics = await until(daemon, lambda m: cost(m) > 0 and corrected(m) == [0, 0])
            for _ in range(3):
                ahead += step
                least = cost(metrics) + 20
                metrics = await until(daemon, lambda m: cost(m) > least)  # noqa: B023 - at once
                assert metrics.all("trainwave_job_info")
            assert corrected(metrics) == [0, 0]
            spend = metrics.all("trainwave_project_cost_dollars_total", project_id="p-1")
            assert sum(dollars for _, dollars in spend) == pytest.approx(cost(metrics), abs=20)


async def test_a_block_before_the_first_list_is_a_reason_to_be_unready() -> None:
    def unavailable(_: web.Request) -> web.Response:
        return web.Response(status=503, headers={"Retry-After": "1800"})

    async with serving(unavailable) as server:
        environ = {"TRAINWAVE_API_KEY": "tw-key-1", "TRAINWAVE_API_URL": server.url}
        async with running(environ) as daemon:
            await until(daemon, lambda _: len(daemon.unready_reasons()) > 1)
            status, body = await get(daemon, "/-/ready")
            assert status == 503
            assert re.fullmatch(
                r"account default: no complete sweep yet\n"
                r"account default: the API is unavailable and asked to wait;"
                r" the next one goes out in 1[78]\d\d s\n",
                body,
            )
            assert (
                len(server.asked) <= 4
            )  # the lists that were under way by then, none a second time


async def test_the_page_counts_all_jobs_and_names_the_first_of_those_that_run() -> None:
    simulator = Simulator(SimulatedWorld(seed=1, jobs=40))
    async with simulator.serve() as url:
        environ = {"TRAINWAVE_API_KEY": "demo-key", "TRAINWAVE_API_URL": url}
        async with running(environ) as daemon:
            await until(daemon, lambda _: not daemon.unready_reasons())
            overview, page = await page_of(daemon)
            (account,) = overview.accounts
            shown = {job.id for job in overview.jobs}
            assert (len(overview.jobs), len(shown)) == (20, 20)
            assert account.jobs_known > account.jobs_running > 20
            assert all(f'"https://trainwave.ai/jobs/{job_id}"' in page for job_id in shown)
            # The counters wait for the GPU types of new jobs.
            assert "1 figure unknown for now" in page
            assert len(page) < 40_000


async def test_a_port_that_is_taken_is_reported_in_one_line() -> None:
    async with running({"TRAINWAVE_API_KEY": "k", "TRAINWAVE_API_URL": "http://127.0.0.1:1"}) as it:
        _, port = it.web.addresses[0]
        with pytest.raises(StartError, match=rf"^cannot listen on 127\.0\.0\.1:{port}: [^\n]+$"):
            async with running(
                {"TRAINWAVE_API_KEY": "k", "TRAINWAVE_API_URL": "http://127.0.0.1:1"},
                web__listen_address=f"127.0.0.1:{port}",
            ):
                pass
