"""The GPU efficiency dashboard: what GPUs do for their money, and where they do nothing."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

from grafana import links, palette, panels, uids
from grafana.board import Row, board
from grafana.panels import About, Query, steps
from grafana.queries import GPUS, PRICE, chosen, of_jobs, of_projects, running
from grafana.tables import Column, rows
from grafana.variables import FILTERS

LISTED = 100
"""How many jobs the tables show at most."""

_BUCKETS = ("0.05", "0.2", "0.4", "0.6", "0.8", "1")
"""Upper bounds of the rows of the heat map; the first is what counts as idle."""


def _over(metric: str, matchers: str = "", window: str = "$__range") -> str:
    """Return how much a counter of chosen owners and projects rose, and name the projects."""
    return of_projects(f"increase({chosen(metric, matchers)}[{window}])")


_HOURS = "project:trainwave_activity_gpu_hours:max"
_WASTE = "project:trainwave_waste_dollars:max"
_COST = "project:trainwave_cost_dollars:max"


def dashboard() -> Dashboard:
    """Show the efficiency of GPUs."""
    return board(
        uid=uids.EFFICIENCY,
        title="Trainwave / GPU efficiency",
        description="What GPUs do for their money, and where they do nothing.",
        variables=FILTERS,
        time_from="now-7d",
        rows=[
            Row("In the time shown", _answers()),
            Row("Idle now", [_idle()]),
            Row("Hours and waste", [_activity(), _waste(), *_wasters()]),
            Row("Utilization", [_heat(), _memory(), _gpu_memory()]),
            Row("Jobs that lost most", [_losers()]),
        ],
    )


def _answers() -> list[Panel]:
    idle, busy, unknown = (
        f"sum({_over(_HOURS, matchers)})"
        for matchers in ('activity="idle"', 'activity="busy"', 'activity="unknown"')
    )
    return [
        panels.number(
            About(
                title="GPU hours idle",
                description=(
                    "GPU hours in which the job's GPUs did nothing: utilization was below the"
                    " exporter's threshold for longer than the warm-up."
                ),
                unit="none",
                decimals=1,
                no_data="None",
                width=4,
                height=4,
            ),
            Query(idle),
        ),
        panels.number(
            About(
                title="Idle share",
                description="Idle GPU hours as a part of those of which it is known.",
                unit="percentunit",
                decimals=1,
                no_data="Nothing is known",
                width=4,
                height=4,
            ),
            Query(f"{idle} / ({idle} + {busy} > 0)"),
            thresholds=steps(palette.GOOD, (0.1, palette.WARNING), (0.3, palette.BAD)),
        ),
        panels.number(
            About(
                title="Share not known",
                description=(
                    "GPU hours of which nobody can say whether they were idle, as a part of all:"
                    " there was no reading, or readings were too far apart to be believed."
                ),
                unit="percentunit",
                decimals=1,
                no_data="Nothing ran",
                width=4,
                height=4,
            ),
            Query(f"{unknown} / ({idle} + {busy} + {unknown} > 0)"),
            thresholds=steps(palette.GOOD, (0.2, palette.WARNING)),
        ),
        panels.number(
            About(
                title="Wasted",
                description=(
                    "Money that went into idle GPUs, launches that hung, and jobs billed after"
                    " their end."
                ),
                unit="currencyUSD",
                decimals=2,
                no_data="None",
                width=4,
                height=4,
            ),
            Query(f"sum({_over(_WASTE)})"),
        ),
        panels.number(
            About(
                title="Wasted of all spend",
                description="Wasted money as a part of what was spent in the same time.",
                unit="percentunit",
                decimals=1,
                no_data="Nothing was spent",
                width=4,
                height=4,
            ),
            Query(f"sum({_over(_WASTE)}) / (sum({_over(_COST)}) > 0)"),
            thresholds=steps(palette.GOOD, (0.1, palette.WARNING), (0.3, palette.BAD)),
        ),
        panels.number(
            About(
                title="Price of a busy GPU hour",
                description=(
                    "What was spent for each GPU hour that is known to be busy: what the hour"
                    " would cost if idle ones were free."
                ),
                unit="currencyUSD",
                decimals=2,
                no_data="No busy hour is known",
                width=4,
                height=4,
            ),
            Query(f"sum({_over(_COST)}) / ({busy} > 0)"),
        ),
    ]


def _activity() -> Panel:
    hours = _over(_HOURS, window="$__rate_interval")
    return panels.series(
        About(
            title="GPU hours by what the GPUs did",
            description=(
                "Together all GPU hours of running jobs. Each bar stands for the time up to the"
                " next one, and at least an hour."
            ),
            no_data="Nothing ran",
        ),
        Query(f"sum by (activity) ({hours})", "{{activity}}"),
        bars=True,
        stacked=True,
        colors=palette.ACTIVITIES,
        interval="1h",
    )


def _waste() -> Panel:
    wasted = _over(_WASTE, window="$__rate_interval")
    return panels.series(
        About(
            title="Waste by reason",
            description=(
                "gpu_idle: GPUs did nothing. stuck_launching: paid for, yet not running for too"
                " long. billed_after_finish: paid for after its end. Each bar stands for the time"
                " up to the next one, and at least an hour."
            ),
            unit="currencyUSD",
            no_data="Nothing was wasted",
        ),
        Query(f"sum by (reason) ({wasted})", "{{reason}}"),
        bars=True,
        stacked=True,
        colors=palette.REASONS,
        interval="1h",
    )


def _wasters() -> list[Panel]:
    of_project = f"sum by (project_id, project_name) ({_over(_WASTE)})"
    return [
        panels.ranking(
            About(
                title="Waste by project",
                description="The ten projects that wasted most in the time shown.",
                unit="currencyUSD",
                decimals=2,
                no_data="Nothing was wasted",
                width=12,
            ),
            Query(f"sort_desc(topk(10, {of_project} > 0))", "{{project_name}}"),
            links=links.project(uids.EFFICIENCY, "This project alone", row=False),
        ),
        panels.ranking(
            About(
                title="Waste by owner",
                description="The ten owners whose jobs wasted most in the time shown.",
                unit="currencyUSD",
                decimals=2,
                no_data="Nothing was wasted",
                width=12,
            ),
            Query(f"sort_desc(topk(10, sum by (owner) ({_over(_WASTE)}) > 0))", "{{owner}}"),
            links=[
                links.drill(uids.EFFICIENCY, "This owner alone", owner="${__field.labels.owner}")
            ],
        ),
    ]


def _heat() -> Panel:
    gpus = " or ".join(_up_to(bound) for bound in _BUCKETS)
    return panels.heat(
        About(
            title="GPUs by utilization",
            description=(
                "How many GPUs of running jobs are how busy, by the mean of each job's GPUs. The"
                " lowest row is idle. Bright is many."
            ),
            unit="percentunit",
            no_data="Nothing runs, or nothing is read of it",
            width=24,
            height=9,
        ),
        Query(gpus, "{{le}}"),
    )


def _up_to(bound: str) -> str:
    """Return the GPUs of running jobs that are no busier than that, as a bucket."""
    below = f"(job:trainwave_gpu_utilization_ratio:avg <= bool {bound})"
    gpus = running(f"{below} * on (project_id, job_id) {GPUS}")
    return f'label_replace(sum({gpus}), "le", "{bound}", "", "")'


def _memory() -> Panel:
    used = "max by (project_id, job_id, gpu) (trainwave_job_memory_used_bytes)"
    limit = "max by (project_id, job_id) (trainwave_job_memory_limit_bytes)"
    return panels.series(
        About(
            title="Memory against allocation",
            description="Memory that running jobs use, and what they are given.",
            unit="bytes",
            no_data="Nothing runs, or nothing is read of it",
        ),
        Query(f"sum({running(used)})", "used"),
        Query(f"sum({running(limit)})", "allocated"),
        bounds="allocated",
    )


def _gpu_memory() -> Panel:
    used = "max by (project_id, job_id, gpu) (trainwave_job_gpu_memory_used_bytes)"
    ratio = "max by (project_id, job_id, gpu) (trainwave_job_gpu_memory_utilization_ratio)"
    given = f"{used} / on (project_id, job_id, gpu) ({ratio} > 0)"
    return panels.series(
        About(
            title="GPU memory against allocation",
            description=(
                "GPU memory that running jobs use, and what their GPUs have. A job that uses little"
                " of it may do with a smaller GPU."
            ),
            unit="bytes",
            no_data="Nothing runs, or nothing is read of it",
        ),
        Query(f"sum({running(used)})", "used"),
        Query(f"sum({running(given)})", "allocated"),
        bounds="allocated",
    )


_LOST = "job:trainwave_idle_dollars:max"
_NAMES = {"job_name": "Job", "project_name": "Project", "owner": "Owner", "gpu_type": "GPU type"}


def _idle() -> Panel:
    since = "max by (project_id, job_id) (trainwave_job_idle_since_timestamp_seconds)"
    worst = f"topk({LISTED}, {running(f'{_LOST} and on (project_id, job_id) {since}')})"

    def listed(expr: str) -> str:
        return f"{running(expr)} and on (project_id, job_id) {worst}"

    return rows(
        About(
            title="Jobs whose GPUs are idle now",
            description=(
                "Running jobs none of whose GPUs does anything, those that lost most first. The"
                f" name leads to all that is known of a job. At most {LISTED} are shown."
            ),
            no_data="No GPU is idle",
            width=24,
            height=9,
        ),
        [
            Column(
                heading="Lost so far",
                expr=listed(_LOST),
                unit="currencyUSD",
                decimals=2,
                thresholds=steps(palette.WARNING, (50, palette.BAD)),
                width=120,
            ),
            Column(heading="Idle for", expr=listed(f"time() - {since}"), unit="s", width=110),
            Column(
                heading="Idle GPU hours",
                expr=listed("max by (project_id, job_id) (trainwave_job_idle_gpu_hours)"),
                decimals=1,
                width=130,
            ),
            Column(heading="GPUs", expr=listed(GPUS), width=80),
            Column(
                heading="Per hour", expr=listed(PRICE), unit="currencyUSD", decimals=2, width=100
            ),
        ],
        labels=_NAMES,
        hidden=["project_id", "job_id"],
        sort_by="Lost so far",
        links={"Job": links.JOB_OF_ROW},
    )


def _losers() -> Panel:
    worst = f"topk({LISTED}, {of_jobs(f'{_LOST} > 0')})"

    def listed(expr: str) -> str:
        return f"{of_jobs(expr)} and on (project_id, job_id) {worst}"

    return rows(
        About(
            title="Jobs that lost most",
            description=(
                "Jobs that have series still, running or finished, by the money that went into idle"
                f" GPUs in their whole life. At most {LISTED} are shown."
            ),
            no_data="No job has lost anything",
            width=24,
            height=9,
        ),
        [
            Column(heading="Lost", expr=listed(_LOST), unit="currencyUSD", decimals=2, width=120),
            Column(
                heading="Lost of its cost",
                expr=listed(f"{_LOST} / on (project_id, job_id) job:trainwave_cost_dollars:max"),
                unit="percentunit",
                decimals=0,
                bar=1,
                thresholds=steps(palette.GOOD, (0.1, palette.WARNING), (0.3, palette.BAD)),
                width=180,
            ),
            Column(
                heading="Cost",
                expr=listed("job:trainwave_cost_dollars:max"),
                unit="currencyUSD",
                decimals=2,
                width=110,
            ),
            Column(heading="GPUs", expr=listed(GPUS), width=80),
        ],
        labels=_NAMES,
        hidden=["project_id", "job_id"],
        sort_by="Lost",
        links={"Job": links.JOB_OF_ROW},
    )
