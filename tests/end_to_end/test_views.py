"""Two teams and two exporters of one account, all names left at their defaults."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest
from support.exporter import Exporter, Metrics
from support.simulated import serving

from trainwave_exporter.simulator import SimulatedDialect, SimulatedWorld, Simulator

BUDGETS = "budgets:\n  - {name: all, limit_dollars: 5000, period: month, time_zone: UTC}\n"
KEY = "view-key-1f2e3d"


def view_of(metrics: Metrics, name: str) -> str:
    """Return the view of the only series of that name."""
    [(labels, _)] = metrics.all(name)
    return labels.get("view", "")


def complete(metrics: Metrics) -> bool:
    return metrics.get("trainwave_up") == 1 and bool(metrics.all("trainwave_budget_limit_dollars"))


@pytest.mark.timeout(180)
@pytest.mark.parametrize("dialect", SimulatedDialect)
def test_exporters_have_the_view_of_what_their_key_sees(
    dialect: SimulatedDialect, tmp_path: Path
) -> None:
    settings = tmp_path / "exporter.yml"
    settings.write_text(BUDGETS)
    views: dict[str, set[str]] = {}
    with ExitStack() as stack:
        for team, seed in {"north": 1, "south": 2}.items():
            simulator = Simulator(
                SimulatedWorld(seed=seed, jobs=5), dialect=dialect, keys=[KEY], rate_limit=10_000
            )
            api = stack.enter_context(serving(simulator))
            for _ in range(2):
                exporter = stack.enter_context(
                    Exporter(
                        f"--config.file={settings}",
                        f"--trainwave.api-url={api}",
                        "--trainwave.initial-rate-limit=10000",
                        "--storage.write-interval=1s",
                        env={"TRAINWAVE_API_KEY": KEY},
                    )
                )
                metrics = exporter.wait(complete, "accounts and budgets", 60)
                view = view_of(metrics, "trainwave_up")
                assert view == view_of(metrics, "trainwave_budget_limit_dollars") != ""
                organizations = metrics.by("organization_id", "trainwave_organization_info")
                assert view == ",".join(sorted(organizations)) or view.startswith("sha256:")
                views.setdefault(team, set()).add(view)
    assert [len(each) for each in views.values()] == [1, 1]
    assert views["north"] != views["south"]
