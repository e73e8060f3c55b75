"""The Fleet dashboard: what is under way, at what price, and what became of what ran."""

from __future__ import annotations

from collections.abc import Sequence

from grafana_foundation_sdk.models.dashboard import Dashboard, DashboardLink, Panel, Threshold

from grafana import links, palette, panels, uids
from grafana.board import Row, board
from grafana.panels import About, Query, steps, time_left
from grafana.queries import (
    ACCOUNTS,
    ACTIVE,
    GPUS,
    PRICE,
    called,
    chosen,
    of_jobs,
    of_organizations,
    of_projects,
    or_zero,
    running,
)
from grafana.tables import Column, dollars, jobs, share
from grafana.variables import FILTERS

LISTED = 500
"""How many jobs the table shows at most."""

_FAILED = "ERROR|FAILED|USER_PROCESS_FAILED|SYSTEM_TERMINATED"
_SUCCEEDED = "SUCCESS|COMPLETED"
_ENDS = f"{_SUCCEEDED}|{_FAILED}|USER_CANCELLED"

_BURN = of_projects(chosen("project:trainwave_burn_dollars_per_hour:max"))
_GPUS_IN_USE = of_projects(chosen("project:trainwave_running_gpus:sum"))
_UTILIZATION = "job:trainwave_gpu_utilization_ratio:avg"

# Of metrics by project alone.
_BY_PROJECT = " The chosen owners and GPU types do not apply here: these counts have neither."
# Such counters come into being with what they count, where no rate can see it.
_WATCHED = (
    " Only changes that an exporter observed are counted; the first of each kind in a project"
    " since the exporter's start is missing."
)


def dashboard() -> Dashboard:
    """Show the fleet."""
    return board(
        uid=uids.FLEET,
        title="Trainwave / Fleet",
        description="Active jobs at Trainwave, their price, and how jobs ended.",
        variables=FILTERS,
        rows=[
            Row("Now", _now()),
            Row("In the time range", _meanwhile()),
            Row("Jobs, GPUs and spend over time", [*_states(), _gpus(), _burn(), _utilization()]),
            Row("Starts and outcomes over time", [_starts(), _outcomes(), _queue()]),
            Row("Active jobs", [_jobs()]),
        ],
    )


def _answer(
    title: str,
    description: str,
    expr: str,
    *,
    no_data: str,
    unit: str = "none",
    decimals: int | None = None,
    width: int = 3,
    thresholds: Sequence[Threshold] = (),
    texts: dict[str, str] | None = None,
    lead: DashboardLink | None = None,
) -> Panel:
    """Show one number of the rows at the top."""
    return panels.number(
        About(
            title=title,
            description=description,
            unit=unit,
            decimals=decimals,
            no_data=no_data,
            width=width,
            height=4,
        ),
        Query(expr),
        thresholds=thresholds,
        texts=texts,
        links=[lead] if lead else [],
    )


def _now() -> list[Panel]:
    cost = links.drill(uids.COST, "Cost")
    waiting = (
        "max by (cluster, project_id, job_id)"
        ' (trainwave_job_state{state=~"SUBMIT_CODE|LAUNCHING"}) == 1'
    )
    idle = "max by (cluster, project_id, job_id) (trainwave_job_idle_since_timestamp_seconds)"
    runway = of_organizations("organization:trainwave_credit_exhaustion_timestamp_seconds:min")
    balance = of_organizations("organization:trainwave_credit_balance_dollars:min")
    return [
        _answer(
            "Running jobs",
            "Jobs in the state RUNNING. Where an exporter has more jobs than it may show"
            " (--metrics.max-jobs), only those it shows.",
            or_zero(f"count({running('job:trainwave_running:max')})"),
            no_data="Unknown",
        ),
        _answer(
            "Waiting jobs",
            "Jobs that submit their code or launch. If there are many for long, Trainwave has no"
            " GPUs available, or launches hang. The table below lists them.",
            or_zero(f"count({of_jobs(waiting)})"),
            no_data="Unknown",
        ),
        _answer(
            "GPUs in use",
            "GPUs allocated to running jobs, idle or busy.",
            or_zero(f"sum({_GPUS_IN_USE})"),
            no_data="Unknown",
        ),
        _answer(
            "GPUs idle now",
            "GPUs of running jobs all of whose GPUs are idle. They are billed. The dashboard GPU"
            " efficiency lists the jobs.",
            or_zero(f"sum({running(f'{GPUS} and on (cluster, project_id, job_id) {idle}')})"),
            no_data="Unknown",
            thresholds=steps(palette.GOOD, (1, palette.WARNING)),
            lead=links.drill(uids.EFFICIENCY, "GPU efficiency"),
        ),
        _answer(
            "Spend rate",
            "Current spend rate of all running jobs, in dollars per hour. Unknown while not all"
            " jobs of an account are listed.",
            or_zero(f"sum({_BURN})"),
            unit="currencyUSD",
            decimals=2,
            no_data="Unknown",
            lead=cost,
        ),
        _answer(
            "Credit left",
            "Total credit of the chosen organizations; the chosen project, owner and GPU type do"
            " not apply.",
            f"sum({balance})",
            unit="currencyUSD",
            decimals=2,
            no_data="Not reported",
            lead=cost,
        ),
        _answer(
            "Credit lasts",
            "Time until the first of the chosen organizations has no credit left, if the running"
            " jobs keep running until they expire. Empty while the credit lasts longer than that.",
            f"clamp_min(min({runway}) - time(), 0)",
            unit="s",
            no_data="No end in sight",
            thresholds=time_left(86_400, 259_200),
            lead=cost,
        ),
        _answer(
            "Accounts up",
            "Share of the chosen accounts whose last list of jobs succeeded. Below 100 %, data is"
            " stale or jobs are missing; the dashboard Exporter says why.",
            f"avg({ACCOUNTS})",
            unit="percentunit",
            decimals=0,
            no_data="No exporter",
            thresholds=steps(palette.BAD, (1, palette.GOOD)),
            lead=links.drill(uids.EXPORTER, "Exporter"),
        ),
    ]


def _started(window: str) -> str:
    """Return how many jobs started, by project: each of them ended its time in the queue."""
    return of_projects(
        "max by (cluster, project_id)"
        f" (increase(trainwave_job_queue_duration_seconds_count[{window}]))"
    )


def _ended(states: str, window: str) -> str:
    """Return how many jobs came into these states, by project and what they came from and to."""
    return of_projects(
        "max by (cluster, project_id, from_state, to_state) (increase("
        f'trainwave_job_state_transitions_total{{to_state=~"{states}"}}[{window}]))'
    )


def _waited(part: float, window: str) -> str:
    """Return how long that part of the jobs waited at most."""
    waited = of_projects(
        "max by (cluster, project_id, le)"
        f" (rate(trainwave_job_queue_duration_seconds_bucket[{window}]))"
    )
    # Of no jobs at all it is not a number.
    return f"histogram_quantile({part}, sum by (le) ({waited})) >= 0"


_QUEUE = (
    "From creation to start, of jobs whose start was observed. Estimated from histogram buckets of"
    " 5 s, 15 s, 30 s and so on; more than six hours show as six."
)


def _meanwhile() -> list[Panel]:
    succeeded, failed = (
        or_zero(f"sum({_ended(states, '$__range')})") for states in (_SUCCEEDED, _FAILED)
    )
    return [
        _answer(
            "Started",
            f"Jobs whose start was observed in the time range.{_BY_PROJECT}",
            or_zero(f"sum({_started('$__range')})"),
            no_data="Unknown",
            decimals=0,
            width=4,
        ),
        _answer(
            "Succeeded",
            f"Jobs that succeeded in the time range.{_WATCHED}{_BY_PROJECT}",
            succeeded,
            no_data="Unknown",
            decimals=0,
            width=4,
        ),
        _answer(
            "Failed",
            "Jobs that failed, or that Trainwave ended, in the time range; not those that users"
            f" cancelled.{_WATCHED}{_BY_PROJECT}",
            failed,
            no_data="Unknown",
            decimals=0,
            width=4,
            thresholds=steps(palette.GOOD, (0.5, palette.WARNING)),
        ),
        _answer(
            "Failure rate",
            "Failed jobs as a share of those that failed or succeeded in the time range. Cancelled"
            f" ones are ignored.{_BY_PROJECT}",
            f"({failed}) / ((({succeeded}) + ({failed})) > 0)",
            unit="percentunit",
            decimals=0,
            no_data="No job ended",
            width=4,
            thresholds=steps(palette.GOOD, (0.2, palette.WARNING), (0.5, palette.BAD)),
        ),
        *(
            _answer(
                f"Queue time ({name})",
                f"{_QUEUE}{_BY_PROJECT}",
                _waited(part, "$__range"),
                unit="s",
                no_data="No job started",
                width=4,
            )
            for part, name in ((0.5, "p50"), (0.95, "p95"))
        ),
    ]


def _states() -> list[Panel]:
    return [
        _counted(
            "Active jobs by state",
            "Jobs that have not finished, including those without series of their own.",
            f'state!~"{_ENDS}"',
            no_data="No active jobs, or not all are known",
        ),
        _counted(
            "Finished jobs by state",
            "Finished jobs that an exporter still shows, by final state. By default they disappear"
            " a day after their end.",
            f'state=~"{_ENDS}"',
            no_data="No recently finished jobs, or not all are known",
        ),
    ]


def _counted(title: str, description: str, states: str, *, no_data: str) -> Panel:
    known = of_projects(f"max by (cluster, project_id, state) (trainwave_jobs{{{states}}})")
    return panels.series(
        About(title=title, description=f"{description}{_BY_PROJECT}", no_data=no_data, width=8),
        Query(f"sum by (state) ({known}) > 0", "{{state}}"),
        stacked=True,
        colors=palette.STATES,
    )


def _gpus() -> Panel:
    return panels.series(
        About(
            title="GPUs in use by type",
            description="GPUs allocated to running jobs, idle or busy.",
            no_data="No running jobs",
            width=8,
        ),
        Query(called(f"sum by (gpu_type) ({_GPUS_IN_USE})", "gpu_type"), "{{called}}"),
        stacked=True,
    )


def _burn() -> Panel:
    return panels.series(
        About(
            title="Spend rate by project",
            description="Current spend rate of each project's running jobs, in dollars per hour.",
            unit="currencyUSD",
            no_data="No running jobs, or not all are known",
        ),
        Query(f"sum by (cluster, project_id, project_name) ({_BURN}) > 0", "{{project_name}}"),
        stacked=True,
        links=links.project(uids.COST, "Cost of this project", row=False),
    )


def _utilization() -> Panel:
    used = of_projects(chosen("project:trainwave_used_gpus:sum"))
    read = of_projects(chosen("project:trainwave_gpus_by_utilization:bucket", 'le="1"'))
    return panels.series(
        About(
            title="GPU utilization by type",
            description=(
                "Mean utilization of the GPUs of running jobs. Jobs without readings are left out."
            ),
            unit="percentunit",
            no_data="No running jobs, or no readings",
        ),
        Query(
            called(f"sum by (gpu_type) ({used}) / sum by (gpu_type) ({read})", "gpu_type"),
            "{{called}}",
        ),
        maximum=1,
    )


_BARS = " Each bar covers the time since the previous one, at least five minutes."


def _starts() -> Panel:
    return panels.series(
        About(
            title="Starts",
            description=f"Jobs whose start was observed.{_BARS}{_BY_PROJECT}",
            no_data="No project is known yet",
            width=8,
        ),
        Query(f"sum({_started('$__rate_interval')})", "started"),
        bars=True,
        colors={"started": palette.STATES["RUNNING"]},
        interval="5m",
    )


def _outcomes() -> Panel:
    ended = _ended(_ENDS, "$__rate_interval")
    return panels.series(
        About(
            title="Outcomes",
            description=f"Jobs that ended, by final state.{_BARS}{_WATCHED}{_BY_PROJECT}",
            no_data="No job ended",
            width=8,
        ),
        Query(f"sum by (to_state) ({ended}) > 0", "{{to_state}}"),
        bars=True,
        stacked=True,
        colors=palette.STATES,
        interval="5m",
    )


def _queue() -> Panel:
    return panels.series(
        About(
            title="Queue time",
            description=(
                f"{_QUEUE} Each point covers the time since the previous one, at least a quarter of"
                f" an hour.{_BY_PROJECT}"
            ),
            unit="s",
            no_data="No job started",
            width=8,
        ),
        Query(_waited(0.5, "$__rate_interval"), "p50"),
        Query(_waited(0.95, "$__rate_interval"), "p95"),
        interval="15m",
    )


def _jobs() -> Panel:
    active = f"max by (cluster, project_id, job_id) ({ACTIVE})"
    # Where no price is reported, as if there were none.
    job = "on (cluster, project_id, job_id)"
    priced = f"{PRICE} and {job} {active} or {job} 0 * {active}"
    dearest = f"topk({LISTED}, {of_jobs(priced)})"

    def listed(expr: str) -> str:
        return f"{of_jobs(expr)} and on (cluster, project_id, job_id) {dearest}"

    created = "max by (cluster, project_id, job_id) (trainwave_job_created_timestamp_seconds)"
    confirmed = (
        "max by (cluster, project_id, job_id)"
        ' (trainwave_job_readings_timestamp_seconds{metric="job"})'
    )
    return jobs(
        About(
            title="Active jobs",
            description=(
                "Jobs that submit their code, launch, run or upload. The name links to the job's"
                " dashboard, and to its page at Trainwave. If there are more, the"
                f" {LISTED} with the highest price are shown. Age counts from creation; data age"
                " from when state and cost were last confirmed, normally less than a minute ago."
            ),
            no_data="No active jobs",
            width=24,
            height=14,
        ),
        [
            Column(heading="State", expr=listed(ACTIVE), label="state", width=120),
            Column(heading="Age", expr=listed(f"time() - {created}"), unit="s", width=100),
            Column(heading="GPUs", expr=listed(GPUS), width=80),
            share(
                "GPU utilization",
                listed(_UTILIZATION),
                steps(palette.BAD, (0.05, palette.WARNING), (0.5, palette.GOOD)),
            ),
            dollars("Cost", listed("job:trainwave_cost_dollars:max")),
            dollars("Hourly price", listed(PRICE)),
            Column(
                heading="Data age",
                expr=listed(f"time() - {confirmed}"),
                unit="s",
                thresholds=steps(palette.GOOD, (120, palette.WARNING), (300, palette.BAD)),
                width=100,
            ),
        ],
        sort_by="Hourly price",
    )
