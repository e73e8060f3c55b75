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

# Said of what is told by project alone.
_BY_PROJECT = " Chosen owners and GPU types make no difference here, as they are not told."
# Such counters come into being with what they count, where no rate can see it.
_WATCHED = (
    " Only what an exporter saw happen is counted, and of each kind of change in a project the"
    " first since the exporter's start is missing."
)


def dashboard() -> Dashboard:
    """Show the fleet."""
    return board(
        uid=uids.FLEET,
        title="Trainwave / Fleet",
        description="What is under way at Trainwave, at what price, and what became of what ran.",
        variables=FILTERS,
        rows=[
            Row("Now", _now()),
            Row("In the time shown", _meanwhile()),
            Row("Jobs, GPUs and money over time", [*_states(), _gpus(), _burn(), _utilization()]),
            Row("Starts and outcomes over time", [_starts(), _outcomes(), _queue()]),
            Row("Jobs under way", [_jobs()]),
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
            no_data="Not known",
        ),
        _answer(
            "Waiting jobs",
            "Jobs that submit their code or launch. Many for long: Trainwave has no GPUs to give,"
            " or launches hang. The table below says which they are.",
            or_zero(f"count({of_jobs(waiting)})"),
            no_data="Not known",
        ),
        _answer(
            "GPUs in use",
            "GPUs allocated to running jobs, whether or not they do anything.",
            or_zero(f"sum({_GPUS_IN_USE})"),
            no_data="Not known",
        ),
        _answer(
            "GPUs idle now",
            "GPUs of running jobs none of whose GPUs does anything. They are paid for. The"
            " dashboard GPU efficiency says whose they are.",
            or_zero(f"sum({running(f'{GPUS} and on (cluster, project_id, job_id) {idle}')})"),
            no_data="Not known",
            thresholds=steps(palette.GOOD, (1, palette.WARNING)),
            lead=links.drill(uids.EFFICIENCY, "GPU efficiency"),
        ),
        _answer(
            "Burn per hour",
            "What an hour of all running jobs costs at their present prices. Nothing is known"
            " while an account has not listed all its jobs.",
            or_zero(f"sum({_BURN})"),
            unit="currencyUSD",
            decimals=2,
            no_data="Not known",
            lead=cost,
        ),
        _answer(
            "Credit left",
            "The credit of the chosen organizations together, whatever project, owner or GPU type"
            " is chosen.",
            f"sum({balance})",
            unit="currencyUSD",
            decimals=2,
            no_data="Not told",
            lead=cost,
        ),
        _answer(
            "Credit lasts",
            "Until the first of the chosen organizations has no credit left, if what runs now runs"
            " on until it expires. Nothing is shown while all of it lasts longer than that.",
            f"clamp_min(min({runway}) - time(), 0)",
            unit="s",
            no_data="No end in sight",
            thresholds=time_left(86_400, 259_200),
            lead=cost,
        ),
        _answer(
            "Accounts up",
            "Of the chosen accounts, the part whose last list of jobs came. Below 100 %, what is"
            " shown here is old or lacks jobs; the dashboard Exporter says why.",
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
    "From creation to start, of jobs whose start was seen. It is worked out from counts up to 5 s,"
    " 15 s, 30 s and so on, so that it is about right; what takes more than six hours shows as six."
)


def _meanwhile() -> list[Panel]:
    succeeded, failed = (
        or_zero(f"sum({_ended(states, '$__range')})") for states in (_SUCCEEDED, _FAILED)
    )
    return [
        _answer(
            "Started",
            f"Jobs that were seen to start to run in the time shown.{_BY_PROJECT}",
            or_zero(f"sum({_started('$__range')})"),
            no_data="Not known",
            decimals=0,
            width=4,
        ),
        _answer(
            "Succeeded",
            f"Jobs that ended well in the time shown.{_WATCHED}{_BY_PROJECT}",
            succeeded,
            no_data="Not known",
            decimals=0,
            width=4,
        ),
        _answer(
            "Failed",
            "Jobs that failed, or that Trainwave ended, in the time shown; not those that people"
            f" cancelled.{_WATCHED}{_BY_PROJECT}",
            failed,
            no_data="Not known",
            decimals=0,
            width=4,
            thresholds=steps(palette.GOOD, (0.5, palette.WARNING)),
        ),
        _answer(
            "Failed of all that ended",
            "Failed jobs as a part of those that failed or succeeded in the time shown. Cancelled"
            f" ones count for neither.{_BY_PROJECT}",
            f"({failed}) / ((({succeeded}) + ({failed})) > 0)",
            unit="percentunit",
            decimals=0,
            no_data="None ended",
            width=4,
            thresholds=steps(palette.GOOD, (0.2, palette.WARNING), (0.5, palette.BAD)),
        ),
        *(
            _answer(
                f"{name} wait less than",
                f"{_QUEUE}{_BY_PROJECT}",
                _waited(part, "$__range"),
                unit="s",
                no_data="None started",
                width=4,
            )
            for part, name in ((0.5, "50 %"), (0.95, "95 %"))
        ),
    ]


def _states() -> list[Panel]:
    return [
        _counted(
            "Jobs under way by state",
            "Jobs that are not over, those without series of their own included.",
            f'state!~"{_ENDS}"',
            no_data="No job is under way, or not all are known",
        ),
        _counted(
            "Finished jobs by state",
            "Jobs that are over and that an exporter still shows, by how they ended. They go a day"
            " after their end, unless it is told otherwise.",
            f'state=~"{_ENDS}"',
            no_data="No job has ended lately, or not all are known",
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
            description="GPUs allocated to running jobs, whether or not they do anything.",
            no_data="Nothing runs",
            width=8,
        ),
        Query(called(f"sum by (gpu_type) ({_GPUS_IN_USE})", "gpu_type"), "{{called}}"),
        stacked=True,
    )


def _burn() -> Panel:
    return panels.series(
        About(
            title="Burn per hour by project",
            description="What an hour of a project's running jobs costs at their present prices.",
            unit="currencyUSD",
            no_data="Nothing runs, or not all that runs is known",
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
                "How busy the GPUs of running jobs are on average, each GPU alike. Jobs that"
                " nothing is read of are left out."
            ),
            unit="percentunit",
            no_data="Nothing runs, or nothing is read of it",
        ),
        Query(
            called(f"sum by (gpu_type) ({used}) / sum by (gpu_type) ({read})", "gpu_type"),
            "{{called}}",
        ),
        maximum=1,
    )


_BARS = " Each bar stands for the time since the one before it, five minutes at least."


def _starts() -> Panel:
    return panels.series(
        About(
            title="Starts",
            description=f"Jobs that were seen to start to run.{_BARS}{_BY_PROJECT}",
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
            description=f"Jobs that ended, by how they did.{_BARS}{_WATCHED}{_BY_PROJECT}",
            no_data="No job was seen to end",
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
            title="Time in the queue",
            description=(
                f"{_QUEUE} Each point stands for the time since the one before it, a quarter of an"
                f" hour at least.{_BY_PROJECT}"
            ),
            unit="s",
            no_data="No job was seen to start",
            width=8,
        ),
        Query(_waited(0.5, "$__rate_interval"), "50 % wait less"),
        Query(_waited(0.95, "$__rate_interval"), "95 % wait less"),
        interval="15m",
    )


def _jobs() -> Panel:
    active = f"max by (cluster, project_id, job_id) ({ACTIVE})"
    # Where no price is told, as of none.
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
            title="Jobs under way",
            description=(
                "Jobs that submit their code, launch, run or upload. The name leads to all that is"
                " known of a job, and to its page at Trainwave. Where there are more, the"
                f" {LISTED} with the highest price are shown. Age counts from creation; data age"
                " from when state and cost were last confirmed, which is less than a minute ago"
                " while all is well."
            ),
            no_data="No job is under way",
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
            dollars("Per hour", listed(PRICE)),
            Column(
                heading="Data age",
                expr=listed(f"time() - {confirmed}"),
                unit="s",
                thresholds=steps(palette.GOOD, (120, palette.WARNING), (300, palette.BAD)),
                width=100,
            ),
        ],
        sort_by="Per hour",
    )
