"""The Fleet dashboard: what is under way, at what price, and what became of what ran."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

from grafana import links, palette, panels, uids
from grafana.board import Row, board
from grafana.panels import About, Query, steps
from grafana.queries import (
    ACTIVE,
    GPUS,
    PRICE,
    chosen,
    of_jobs,
    of_organizations,
    of_projects,
    running,
)
from grafana.tables import Column, rows
from grafana.variables import FILTERS

LISTED = 500
"""How many jobs the table shows at most."""

_BURN = of_projects(chosen("project:trainwave_burn_dollars_per_hour:max"))
_ENDS = "SUCCESS|COMPLETED|ERROR|FAILED|USER_PROCESS_FAILED|SYSTEM_TERMINATED|USER_CANCELLED"


def dashboard() -> Dashboard:
    """Show the fleet."""
    return board(
        uid=uids.FLEET,
        title="Trainwave / Fleet",
        description="What is under way at Trainwave, at what price, and what became of what ran.",
        variables=FILTERS,
        rows=[
            Row("Now", _now()),
            Row("Jobs and GPUs", [_states(), _gpus(), _burn(), _utilization()]),
            Row("Launches and outcomes", [_outcomes(), _queue()]),
            Row("Jobs under way", [_jobs()]),
        ],
    )


def _now() -> list[Panel]:
    runway = of_organizations("organization:trainwave_credit_exhaustion_timestamp_seconds:min")
    balance = of_organizations("organization:trainwave_credit_balance_dollars:min")
    idle = "max by (project_id, job_id) (trainwave_job_idle_since_timestamp_seconds) > 0"
    return [
        panels.number(
            About(
                title="Running jobs",
                description="Jobs in the state RUNNING that have series of their own.",
                no_data="None",
                width=4,
                height=4,
            ),
            Query(f"count({running('job:trainwave_running:max')}) or vector(0)"),
        ),
        panels.number(
            About(
                title="GPUs in use",
                description="GPUs allocated to running jobs.",
                no_data="None",
                width=4,
                height=4,
            ),
            Query(f"sum({running(GPUS)}) or vector(0)"),
        ),
        panels.number(
            About(
                title="GPUs idle now",
                description=(
                    "GPUs of running jobs none of whose GPUs does anything. They are paid for."
                    " The dashboard GPU efficiency says which jobs they belong to."
                ),
                no_data="None",
                width=4,
                height=4,
            ),
            Query(f"sum({running(f'{GPUS} and on (project_id, job_id) {idle}')}) or vector(0)"),
            thresholds=steps(palette.GOOD, (1, palette.BAD)),
            links=[links.drill(uids.EFFICIENCY, "GPU efficiency")],
        ),
        panels.number(
            About(
                title="Burn",
                description="What an hour of all running jobs costs at their present prices.",
                unit="currencyUSD",
                decimals=2,
                no_data="Nothing runs",
                width=4,
                height=4,
            ),
            Query(f"sum({_BURN})"),
            links=[links.drill(uids.COST, "Cost")],
        ),
        panels.number(
            About(
                title="Credit left",
                description="The credit of the chosen organizations together.",
                unit="currencyUSD",
                decimals=2,
                no_data="Not told",
                width=4,
                height=4,
            ),
            Query(f"sum({balance})"),
            links=[links.drill(uids.COST, "Cost")],
        ),
        panels.number(
            About(
                title="Credit lasts",
                description=(
                    "Until the first of the chosen organizations has no credit left, if what runs"
                    " now runs on until it expires."
                ),
                unit="s",
                no_data="No end in sight",
                width=4,
                height=4,
            ),
            Query(f"min({runway}) - time()"),
            thresholds=steps(palette.BAD, (86_400, palette.WARNING), (259_200, palette.GOOD)),
            links=[links.drill(uids.COST, "Cost")],
        ),
    ]


def _states() -> Panel:
    jobs = of_projects("max by (project_id, state) (trainwave_jobs)")
    return panels.series(
        About(
            title="Jobs by state",
            description=(
                "All jobs that are known, those that finished not long ago included. Owners and GPU"
                " types cannot be told apart here."
            ),
            no_data="No job is known",
        ),
        Query(f"sum by (state) ({jobs}) > 0", "{{state}}"),
        stacked=True,
        colors=palette.STATES,
    )


def _gpus() -> Panel:
    return panels.series(
        About(
            title="GPUs in use by type",
            description="GPUs allocated to running jobs, whether or not they do anything.",
            no_data="Nothing runs",
        ),
        Query(f"sum by (gpu_type) ({running(GPUS)})", "{{gpu_type}}"),
        stacked=True,
    )


def _burn() -> Panel:
    return panels.series(
        About(
            title="Burn by project",
            description="What an hour of a project's running jobs costs at their present prices.",
            unit="currencyUSD",
            no_data="Nothing runs",
        ),
        Query(f"sum by (project_id, project_name) ({_BURN}) > 0", "{{project_name}}"),
        stacked=True,
        links=links.project(uids.COST, "Cost of this project", row=False),
    )


def _utilization() -> Panel:
    used = f"job:trainwave_gpu_utilization_ratio:avg * on (project_id, job_id) {GPUS}"
    known = f"{GPUS} and on (project_id, job_id) job:trainwave_gpu_utilization_ratio:avg"
    return panels.series(
        About(
            title="GPU utilization by type",
            description="How busy the GPUs of running jobs are on average.",
            unit="percentunit",
            no_data="Nothing runs, or nothing is read of it",
        ),
        Query(
            f"sum by (gpu_type) ({running(used)}) / sum by (gpu_type) ({running(known)})",
            "{{gpu_type}}",
        ),
        maximum=1,
    )


def _outcomes() -> Panel:
    changes = of_projects(
        "max by (project_id, from_state, to_state) (increase("
        f'trainwave_job_state_transitions_total{{to_state=~"LAUNCHING|{_ENDS}"}}'
        "[$__rate_interval]))"
    )
    return panels.series(
        About(
            title="Launches and outcomes",
            description=(
                "Jobs that began to launch, and jobs that ended, by how they did. Each bar stands"
                " for the time up to the next one, and at least five minutes."
            ),
            no_data="Nothing was launched, and nothing ended",
        ),
        Query(f"sum by (to_state) ({changes}) > 0", "{{to_state}}"),
        bars=True,
        stacked=True,
        colors=palette.STATES,
        interval="5m",
    )


def _queue() -> Panel:
    waited = of_projects(
        "max by (project_id, le) ("
        "rate(trainwave_job_queue_duration_seconds_bucket[$__rate_interval]))"
    )
    return panels.series(
        About(
            title="Time in the queue",
            description="From creation to start, of the jobs whose start was seen in that time.",
            unit="s",
            no_data="No job was seen to start",
        ),
        *(
            Query(f"histogram_quantile({share}, sum by (le) ({waited})) >= 0", name)
            for share, name in ((0.5, "half wait less"), (0.95, "95 % wait less"))
        ),
        interval="15m",
    )


def _jobs() -> Panel:
    active = f"max by (project_id, job_id) ({ACTIVE})"
    priced = f"{PRICE} and on (project_id, job_id) {active} or on (project_id, job_id) 0 * {active}"
    dearest = f"topk({LISTED}, {of_jobs(priced)})"

    def listed(expr: str) -> str:
        return f"{of_jobs(expr)} and on (project_id, job_id) {dearest}"

    return rows(
        About(
            title="Jobs under way",
            description=(
                "Jobs that wait, launch, run or upload: the name leads to all that is known of a"
                f" job. Where there are more, the {LISTED} with the highest price are shown."
            ),
            no_data="No job is under way",
            width=24,
            height=14,
        ),
        [
            Column(heading="State", expr=listed(f"{ACTIVE}"), label="state", width=120),
            Column(
                heading="Age",
                expr=listed(
                    "time() - max by (project_id, job_id) (trainwave_job_created_timestamp_seconds)"
                ),
                unit="s",
                width=100,
            ),
            Column(heading="GPUs", expr=listed(GPUS), width=80),
            Column(
                heading="GPU utilization",
                expr=listed("job:trainwave_gpu_utilization_ratio:avg"),
                unit="percentunit",
                decimals=0,
                bar=1,
                thresholds=steps(palette.BAD, (0.05, palette.WARNING), (0.5, palette.GOOD)),
                width=180,
            ),
            Column(
                heading="Cost",
                expr=listed("job:trainwave_cost_dollars:max"),
                unit="currencyUSD",
                decimals=2,
                width=110,
            ),
            Column(
                heading="Per hour", expr=listed(PRICE), unit="currencyUSD", decimals=2, width=100
            ),
            Column(
                heading="Data age",
                expr=listed(
                    "time() - max by (project_id, job_id)"
                    ' (trainwave_job_readings_timestamp_seconds{metric="job"})'
                ),
                unit="s",
                thresholds=steps(palette.GOOD, (300, palette.WARNING), (900, palette.BAD)),
                width=100,
            ),
        ],
        labels={
            "job_name": "Job",
            "project_name": "Project",
            "owner": "Owner",
            "gpu_type": "GPU type",
        },
        hidden=["project_id", "job_id"],
        sort_by="Per hour",
        links={"Job": links.JOB_OF_ROW},
    )
