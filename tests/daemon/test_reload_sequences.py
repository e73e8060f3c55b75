"""Whatever was loaded in between, good or bad: it is as if begun with the last good settings."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from daemon.test_daemon import get
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from support.simulated import serving

from trainwave_exporter.cli.commands import CommandLineConfiguration
from trainwave_exporter.cli.options import new_parser
from trainwave_exporter.config import ConfigError
from trainwave_exporter.daemon import Daemon
from trainwave_exporter.daemon import daemon as daemon_module
from trainwave_exporter.simulator import SimulatedWorld, Simulator

NAMES = ("first", "second")
KEYS = {"KEY_FIRST": "first-key", "KEY_SECOND": "second-key"}
SETTINGS: Mapping[str, tuple[Any, ...]] = {
    "polling": (
        {},
        {"running_interval": "7s"},
        {"readings_interval": "2m", "sweep_interval": "5m"},
    ),
    "fleet": ({}, {"staleness": "20m"}, {"finished_retention": "2h", "vanish_after_sweeps": 2}),
    "storage": ({}, {"write_interval": "3s"}, {"retention": "40d"}),
    "metrics": ({}, {"deny": ["trainwave_job_*_limit_bytes"]}, {"max_jobs": 1000}),
    "budgets": (
        [],
        [{"name": "all", "period": "month", "limit_dollars": 5000, "time_zone": "UTC"}],
    ),
    "waste": ({}, {"idle_threshold": 0.2}),
}
BAD: tuple[Mapping[str, Any], ...] = (
    {"polling": {"running_interval": "soon"}},
    {"metrics": {"allow": ["no_such_metric"]}},
    {"web": {"telemetry_path": "/elsewhere"}},
    {"accounts": [{"name": "third", "api_key_env": "NOBODY_HAS_IT"}]},
    {"nonsense": True},
)
good = st.fixed_dictionaries(
    {
        "accounts": st.sets(st.sampled_from(NAMES), min_size=1),
        "share": st.sampled_from([0.5, 0.8]),
        "swapped": st.booleans(),
        **{name: st.sampled_from(choices) for name, choices in SETTINGS.items()},
    }
)


@pytest.fixture(scope="module")
def api_urls() -> Iterator[Mapping[str, str]]:
    """Two services whose worlds stand still, so that whoever looks sees the same."""
    one, two = (
        Simulator(
            SimulatedWorld(seed=seed, jobs=6, history=3, clock=lambda: 0.0),
            keys=KEYS.values(),
            rate_limit=6000,
            dialect=dialect,
        )
        for seed, dialect in ((5, "documented"), (6, "deployed"))
    )
    with serving(one) as first, serving(two) as second:
        yield dict(zip(NAMES, (first, second), strict=True))


def document(chosen: Mapping[str, Any], api_urls: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the settings as the file has them."""
    if chosen in BAD:
        return {"trainwave": {"api_key_env": "KEY_FIRST"}, **chosen}
    places = NAMES[::-1] if chosen["swapped"] else NAMES
    url = {name: api_urls[place] for name, place in zip(NAMES, places, strict=True)}
    accounts = [
        {"name": name, "api_url": url[name], "api_key_env": f"KEY_{name.upper()}"}
        for name in sorted(chosen["accounts"])
    ]
    rest = {name: chosen[name] for name in SETTINGS if chosen[name]}
    return {"trainwave": {"rate_limit_share": chosen["share"]}, "accounts": accounts, **rest}


def begun(file: Path) -> Daemon:
    """Return a daemon that goes by a file, and can load it again."""
    flags = ["--web.listen-address=127.0.0.1:0", "--storage.path=:memory:"]
    options = new_parser().read([f"--config.file={file}", *flags])
    configuration = CommandLineConfiguration(options, KEYS)
    return Daemon(*configuration.load(), configuration=configuration)


KEPT = (
    r"trainwave_(up|job_(?!waste)|jobs|account_|organization_info|project_info"
    r"|budget_limit_dollars)"
)
COUNTERS = re.compile(r"^(trainwave_\w+_total(?:{.*})?) (\S+)$", re.MULTILINE)
PASSING = re.compile("timestamp|_idle_")


def shown(text: str) -> dict[str, str | None]:
    """Return what is known of the fleet, by series; of what goes with time only that it is there.

    What was spent or wasted is left out: it is counted from the beginning on, which is another for
    each. So is what is nought: of projects that nobody watches any more the tallies stay, at that.
    """
    series = re.findall(rf"^({KEPT}[a-z_]*(?:{{.*}})?) (\S+)$", text, re.MULTILINE)
    return {
        name: None if PASSING.search(name) else value for name, _, value in series if value != "0"
    }


def rules(daemon: Daemon) -> tuple[object, ...]:
    """Return what it goes by: how often loops run, what accounts may ask for, what is kept."""
    return (
        {(loop.account, loop.name): loop.interval for loop in daemon.loops},
        {account.name: account.allowance for account in daemon.overview().accounts},
        daemon._fleet._policy,
    )


async def lived(
    sequence: Sequence[Mapping[str, Any]],
    last: Mapping[str, Any],
    write: Callable[[Mapping[str, Any]], Path],
) -> None:
    """Let one daemon load all of them and another begin with the last; compare the two."""
    file = write(sequence[0])
    went = set(NAMES) - set.intersection(
        *(chosen["accounts"] for chosen in [*sequence, last] if chosen not in BAD)
    )
    async with running(begun(file)) as worn, scraped_all_the_while(worn, went):
        for chosen in [*sequence[1:], last]:
            write(chosen)
            if chosen in BAD:
                with pytest.raises(ConfigError):
                    await worn.reload()
            else:
                await worn.reload()
        async with running(begun(file)) as fresh:
            await alike(worn, fresh)


async def alike(worn: Daemon, fresh: Daemon) -> None:
    """Wait until both show the same, and assert that they go by the same rules."""
    difference: object = None
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        ready = not (worn.unready_reasons() or fresh.unready_reasons())
        one, other = [shown((await get(it, "/metrics"))[1]) for it in (worn, fresh)]
        difference = set(one.items()) ^ set(other.items())
        if ready and len(one) > 100 and not difference:
            break
    else:
        pytest.fail(f"differs from a fresh start: {difference}")
    assert rules(worn) == rules(fresh)


@asynccontextmanager
async def running(daemon: Daemon) -> AsyncIterator[Daemon]:
    """Run a daemon from when it listens until the context ends."""
    task = asyncio.create_task(daemon.run())
    await daemon.listening.wait()
    try:
        yield daemon
    finally:
        daemon.stop()
        await task


@asynccontextmanager
async def scraped_all_the_while(daemon: Daemon, went: Collection[str]) -> AsyncIterator[None]:
    """Scrape without a pause: every scrape is answered, and no counter is less than before.

    But for those of accounts that ``went`` at times, which begin anew.
    """
    ending = asyncio.Event()

    async def scrape() -> None:
        counted: dict[str, float] = {}
        while not ending.is_set():
            status, text = await get(daemon, "/metrics")
            assert status == 200
            assert "trainwave_up{" in text
            now = {name: float(value) for name, value in COUNTERS.findall(text)}
            fell = {name: now[name] for name in counted.keys() & now if now[name] < counted[name]}
            assert not [name for name in fell if not any(f'account="{it}"' in name for it in went)]
            counted |= now

    async with asyncio.TaskGroup() as group:
        group.create_task(scrape())
        try:
            yield
        finally:
            ending.set()


def test_a_sequence_of_reloads_leaves_no_trace(
    api_urls: Mapping[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon_module, "PUBLICATION_SECONDS", 0.05)
    monkeypatch.setattr(daemon_module, "HOUSEKEEPING_SECONDS", 0.2)

    def write(chosen: Mapping[str, Any]) -> Path:
        file = tmp_path / "exporter.yml"
        file.write_text(json.dumps(document(chosen, api_urls)))
        return file

    @settings(max_examples=10, deadline=None, phases=[Phase.generate])
    @given(first=good, between=st.lists(good | st.sampled_from(BAD), max_size=4), last=good)
    def holds(
        first: Mapping[str, Any], between: Sequence[Mapping[str, Any]], last: Mapping[str, Any]
    ) -> None:
        asyncio.run(lived([first, *between], last, write))

    holds()
