"""Every query of every dashboard, asked of a Prometheus that has seen a fleet at work."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import pytest
from support.exporter import wait_for
from support.prometheus_tools import SUITES
from support.rule_set_ups import OPERATOR
from support.scraping import query
from support.stack import Stack, panel_results, stack

from grafana import build, uids
from trainwave_exporter.simulator import SimulatedDialect, Simulator
from trainwave_exporter.simulator.jobs import SimulatedJob
from trainwave_exporter.simulator.lifecycle import SimulatedState

Json: TypeAlias = dict[str, Any]

FAULTS = "5xx=0.03,unknown_state=0.03,wrong_json=0.03"
PATIENCE_SECONDS = 400
ALL = ".*"
NOTHING = "no-such-project"

ALL_IS_TOLD = "all jobs tell how much memory they have"
NO_GPU_MEMORY = "nothing tells how much memory GPUs have"
NO_LIMIT = "there are fewer series than their limits allow"
NO_START = "nothing tells when a job started"
ALL_IS_REPORTED = "the spend is known exactly, as is when jobs started and ended"
LATER = "balances are compared two minutes later, for which the other dialect waits"
EMPTY = {
    SimulatedDialect.DOCUMENTED: {
        "Budgets in the current period": ("CD", ALL_IS_REPORTED),
        "Credit reconciliation": ("A", LATER),
        "Expires in": ("A", "nothing tells when a job expires"),
        "GPU memory": ("B", NO_GPU_MEMORY),
        "GPU memory: used and allocated": ("AB", NO_GPU_MEMORY),
        "Jobs without series of their own": ("C", NO_LIMIT),
        "Memory: used and allocated": ("C", ALL_IS_TOLD),
        "Running jobs with the most unused GPU memory": ("ABCDE", NO_GPU_MEMORY),
    },
    SimulatedDialect.DEPLOYED: {
        "GPU memory: used and allocated": ("C", ALL_IS_TOLD),
        "Jobs without series of their own": ("C", NO_LIMIT),
        "Memory: used and allocated": ("C", ALL_IS_TOLD),
        "Has run for": ("A", NO_START),
        "annotation Started": ("A", NO_START),
        "annotation Finished": ("A", "nothing tells when a job was over"),
    },
}
"""Which queries of a panel yield nothing in a dialect, and why."""


WHATEVER_IS_CHOSEN = {
    "Accounts up",
    "Budgets in the current period",
    "Budgets over time",
    "Corrections",
    "Credit reconciliation",
    "Credit lasts",
    "Credit left",
    "Unknown figures",
}
"""Panels about more than projects, on dashboards that let a project be chosen."""


class Asked(NamedTuple):
    """A query, and for whom it was asked."""

    board: str
    project: str
    title: str
    letter: str


@pytest.mark.long
@pytest.mark.timeout(PATIENCE_SECONDS + 120)
@pytest.mark.parametrize(
    ("suite", "dialect"), list(zip(SUITES, SimulatedDialect, strict=True)), ids=["oldest", "newest"]
)
def test_every_query_has_data(suite: str, dialect: SimulatedDialect, tmp_path: Path) -> None:
    began = int(time.time())
    through_a_service_monitor = {**OPERATOR, "pod": "exporter-0"}
    with stack(
        suite, tmp_path, dialect=dialect, faults=FAULTS, labels=through_a_service_monitor
    ) as running:
        idle = running.idle_jobs()[0]
        project = running.id(idle.order.project)
        jobs = [running.id(job) for job in (idle, *things_happen(running, idle))]
        missing: dict[Asked, str] | None = None
        allowed = {(title, q) for title, (queries, _) in EMPTY[dialect].items() for q in queries}

        def complete() -> bool:
            nonlocal missing
            missing = dict(without_data(running, (ALL, project), jobs, began, among=missing))
            return letters(missing) <= allowed

        try:
            wait_for(complete, "data", PATIENCE_SECONDS, pause=2)
        except AssertionError:
            assert missing is not None
            lines = (f"{' · '.join(asked)}: {promql}" for asked, promql in missing.items())
            pytest.fail("no data:\n" + "\n".join(lines))
        # Those with these reasons may have data for a moment.
        sometimes = {
            (title, query)
            for title, (queries, why) in EMPTY[dialect].items()
            if why in {LATER, ALL_IS_TOLD, ALL_IS_REPORTED}
            for query in queries
        }
        assert allowed - sometimes <= letters(missing or ()), "reasons without need"
        check_choices(running, project, jobs[0], began)
        check_variables(running, project, jobs)


def letters(missing: Iterable[Asked]) -> set[tuple[str, str]]:
    return {(asked.title, asked.letter) for asked in missing}


def things_happen(running: Stack, idle: SimulatedJob) -> list[SimulatedJob]:
    """Let jobs of the idle one's project start, be cancelled, and do what no job should.

    Returns one that is going to expire, and one that was cancelled.
    """
    order = dataclasses.replace(idle.order, name="ordered", expires_after=12 * 3600)

    def ordered(number: int) -> list[SimulatedJob]:
        return running.api.do(
            lambda simulator: [simulator.world.submit(order) for _ in range(number)]
        )

    def state(job: SimulatedJob) -> SimulatedState:
        def look(simulator: Simulator) -> SimulatedState:
            simulator.world.advance()
            return job.state

        return running.api.do(look)

    def shown(selector: str) -> bool:
        return bool(query(running.prometheus, f"{selector} > 0"))

    def is_in(job: SimulatedJob, states: str) -> bool:
        labels = f'job_id="{running.id(job)}",state=~"{states}"'
        return shown(f"trainwave_job_state{{{labels}}}")

    def cancel(job: SimulatedJob) -> None:
        running.api.do(lambda simulator: simulator.world.stop(job))
        wait_for(lambda: is_in(job, "USER_CANCELLED|FAILED"), "a job to be seen cancelled")

    jobs = ordered(4)
    wait_for(lambda: is_in(jobs[0], ".+"), "orders to be seen")
    jobs += ordered(4)
    # Jobs that will seem to have started before they were created: a few, as not each will run.
    late = ordered(3)

    def put_off(simulator: Simulator) -> bool:
        simulator.world.advance()
        launched = [job for job in late if job.state is not SimulatedState.SUBMIT_CODE]
        for job in launched:
            job.created_at += 7200
            late.remove(job)
        return not late

    wait_for(lambda: running.api.do(put_off), "launches")

    # Some fail before they run, as jobs do.
    wait_for(
        lambda: {SimulatedState.SUBMIT_CODE, SimulatedState.LAUNCHING}.isdisjoint(map(state, jobs)),
        "all to be launched",
        60,
    )
    expiring, odd, *others = [job for job in jobs if state(job) is SimulatedState.RUNNING]
    wait_for(
        lambda: all(is_in(job, "RUNNING") for job in (expiring, odd, *others)),
        "jobs to be seen to run",
        60,
    )
    # A counter of changes comes into being with the first: only another one is a rise.
    for job in others[:2]:
        cancel(job)
    running.api.do(lambda _: setattr(odd, "state", SimulatedState.LAUNCHING))
    wait_for(
        lambda: shown('trainwave_exporter_illegal_transitions_total{from_state="RUNNING"}'),
        "a step backward to be seen",
    )
    running.api.do(lambda _: setattr(odd, "state", SimulatedState.RUNNING))
    return [expiring, others[0]]


def without_data(
    running: Stack,
    projects: Iterable[str],
    jobs: list[str],
    began: int,
    among: Collection[Asked] | None,
) -> Iterator[tuple[Asked, str]]:
    """Yield the queries that yield nothing; on the Job dashboard, for none of the jobs.

    Asked are those ``among`` which one is; all, if that is None.
    """
    for project, board in product(projects, boards()):
        uid = board["uid"]
        asked_now = board
        if among is not None:
            asked_now = only(board, {ask[2:] for ask in among if ask[:2] == (uid, project)})
        empty: dict[Asked, str] = {}
        full: set[Asked] = set()
        for job in jobs if uid == uids.JOB else jobs[:1]:
            for result in results(running, asked_now, began, project=project, job=job):
                asked = Asked(uid, project, result["title"], result["refId"])
                if any(not math.isnan(value) for value in values(result)):
                    full.add(asked)
                else:
                    empty[asked] = result["query"]
        yield from ((asked, promql) for asked, promql in empty.items() if asked not in full)


def only(board: Json, queries: Collection[tuple[str, str]]) -> Json:
    """Return a dashboard with these queries, by panel and letter, and no others."""
    panels = [
        {**panel, "targets": [t for t in targets if (panel["title"], t["refId"]) in queries]}
        for panel in board["panels"]
        if (targets := panel.get("targets"))
    ]
    return {**board, "panels": panels}


def check_choices(running: Stack, project: str, job: str, began: int) -> None:
    """Assert that nothing of other projects is shown where a project is chosen."""
    for board in boards():
        for result in results(running, board, began, project=project, job=job):
            for labels in (series["metric"] for series in result["result"]["result"]):
                assert labels.get("project_id", project) == project, (board["uid"], result)
        if all(variable["name"] != "project" for variable in board["templating"]["list"]):
            continue
        queries = {
            (panel["title"], target["refId"]): target["expr"]
            for panel in board["panels"]
            for target in panel.get("targets", ())
        }
        filtered = {asked for asked, promql in queries.items() if "$project" in promql}
        assert {title for title, _ in queries.keys() - filtered} <= WHATEVER_IS_CHOSEN
        # What is left of a sum when no project is there to sum up is zero, or nothing.
        for result in results(running, board, began, project=NOTHING, job=job):
            if (result["title"], result["refId"]) in filtered:
                assert {v for v in values(result) if not math.isnan(v)} <= {0.0}, (
                    board["uid"],
                    result["title"],
                    result["query"],
                )


def check_variables(running: Stack, project: str, jobs: list[str]) -> None:
    """Assert that all can be chosen that there is, and of one project only its own."""
    for board in boards():
        lists = {
            variable["name"]: variable
            for variable in board["templating"]["list"]
            if variable["type"] == "query"
        }
        for name, variable in lists.items():
            if name == "cluster":  # which only federation adds
                assert options(running, variable, ALL) == {}
            elif (
                name != "owner" or running.dialect is not SimulatedDialect.DEPLOYED
            ):  # which tells of none
                assert options(running, variable, ALL), (board["uid"], name)
                assert options(running, variable, project), (board["uid"], name)
            if "$project" in variable["query"]:
                assert options(running, variable, NOTHING) == {}, (board["uid"], name)
        if "project" in lists:
            assert project in options(running, lists["project"], ALL)
        if "job" in lists:
            found = options(running, lists["job"], project)
            assert set(jobs) <= set(found)
            assert len(found) < len(options(running, lists["job"], ALL))
            assert all(job in label for job, label in found.items())


def boards() -> Iterator[Json]:
    """Yield the dashboards, with annotations as panels of their own, as these are queries, too."""
    for text in build.files().values():
        board: Json = json.loads(text)
        moments = [
            {
                "id": 1000 + place,
                "title": f"annotation {moment['name']}",
                "type": "annotation",
                "targets": [
                    {
                        "expr": moment["expr"],
                        "refId": "A",
                        "instant": False,
                        "legendFormat": moment["titleFormat"],
                    }
                ],
            }
            for place, moment in enumerate(board["annotations"].get("list", ()))
        ]
        yield {**board, "panels": [*board["panels"], *moments]}


def results(running: Stack, board: Json, began: int, **chosen: str) -> list[Json]:
    """Ask all of a dashboard, from the beginning until now; what is not chosen is all."""
    variables = {v["name"]: ALL for v in board["templating"]["list"]} | chosen
    return panel_results(running.prometheus, board, variables, began, int(time.time()))


def values(result: Json) -> Iterator[float]:
    """Yield all values of a result, whatever time they are of."""
    for series in result["result"]["result"]:
        for _, value in series["values"] if "values" in series else [series["value"]]:
            yield float(value)


def options(running: Stack, variable: Json, project: str) -> dict[str, str]:
    """Return what a variable lets choose, as Grafana reads it: values and what is shown."""
    promql = re.sub(r"\$(\w+)", lambda m: project if m[1] == "project" else ALL, variable["query"])
    if listed := re.fullmatch(r"label_values\((.*), (\w+)\)", promql):
        return {
            sample["metric"][listed[2]]: sample["metric"][listed[2]]
            for sample in query(running.prometheus, listed[1])
            if listed[2] in sample["metric"]
        }
    asked = re.fullmatch(r"query_result\((.*)\)", promql)
    assert asked, promql
    found: dict[str, str] = {}
    for sample in query(running.prometheus, asked[1]):
        match = re.search(
            variable["regex"].strip("/").replace("(?<", "(?P<"), written(sample["metric"])
        )
        if match:
            found[match["value"]] = match.groupdict().get("text") or match["value"]
    return found


def written(labels: Mapping[str, str]) -> str:
    """Write a series as Grafana does before it looks for what a variable shows."""
    pairs = (f'{name}="{value}"' for name, value in labels.items() if name != "__name__")
    return f"{labels.get('__name__', '')}{{{','.join(pairs)}}}"
