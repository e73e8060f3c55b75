"""The GPU efficiency dashboard: what GPUs do for their money, and where they do nothing."""

from __future__ import annotations

from collections.abc import Sequence

from grafana_foundation_sdk.models.dashboard import Dashboard, DashboardLink, Panel, Threshold

from grafana import links, palette, panels, uids
from grafana.board import Row, board
from grafana.panels import About, Query, steps
from grafana.queries import (
    GPUS,
    PRICE,
    called,
    chosen,
    of_jobs,
    of_projects,
    running,
    running_summed,
)
from grafana.tables import Column, dollars, jobs, rows, share
from grafana.variables import FILTERS

LISTED = 100
"""How many jobs a table shows at most."""

_IDLE_SHARE = steps(palette.GOOD, (0.1, palette.WARNING), (0.3, palette.BAD))
_BARS = " Each bar covers the time since the previous one, at least an hour."
_COST = "job:trainwave_cost_dollars:max"
_LOST = "job:trainwave_idle_dollars:max"


def dashboard() -> Dashboard:
    """Show the efficiency of GPUs."""
    return board(
        uid=uids.EFFICIENCY,
        title="Trainwave / GPU efficiency",
        description="How well GPUs are used, and what idle GPUs cost.",
        variables=FILTERS,
        time_from="now-7d",
        rows=[
            Row("In the time range", _answers()),
            Row("GPU hours and spend over time", [_activity(), _waste(), _idle_share(), _prices()]),
            Row("Breakdown, in the time range", [*_wasters(), _gpu_types()]),
            Row("Utilization over time", [_heat(), _gpu_memory(), _memory()]),
            Row("Jobs", [_idle(), _losers(), _spare()]),
        ],
    )


class _In:
    """What chosen projects, owners and GPU types came to in a time, by those and more.

    `by` are the labels that sums are by: none for one sum of all.
    """

    def __init__(self, window: str, by: str = "") -> None:
        self._window, self._by = window, f" by ({by})" if by else ""

    def hours(self, activity: str) -> str:
        """Return the GPU hours of activities, a regular expression."""
        return self._sum("project:trainwave_activity_gpu_hours:max", f'activity=~"{activity}"')

    @property
    def waste(self) -> str:
        return self._sum("project:trainwave_waste_dollars:max")

    @property
    def cost(self) -> str:
        return self._sum("project:trainwave_cost_dollars:max")

    @property
    def idle_share(self) -> str:
        """Idle hours as a part of those of which it is known."""
        return f"{self.hours('idle')} / ({self.hours('idle|busy')} > 0)"

    @property
    def unknown_share(self) -> str:
        return f"{self.hours('unknown')} / ({self.hours('.*')} > 0)"

    @property
    def price(self) -> str:
        """What was spent for each GPU hour, whatever the GPU did in it."""
        return f"{self.cost} / ({self.hours('.*')} > 0)"

    @property
    def busy_price(self) -> str:
        """What was spent for each busy GPU hour, taking unknown hours to be like the known."""
        return f"{self.price} * {self.hours('idle|busy')} / ({self.hours('busy')} > 0)"

    def _sum(self, metric: str, matchers: str = "") -> str:
        rise = of_projects(f"increase({chosen(metric, matchers)}[{self._window}])")
        return f"sum{self._by} ({rise})"


def _answer(
    title: str,
    description: str,
    expr: str,
    *,
    unit: str,
    no_data: str = "Nothing recorded",
    thresholds: Sequence[Threshold] = (),
) -> Panel:
    """Show one number of the row at the top."""
    return panels.number(
        About(
            title=title,
            description=description,
            unit=unit,
            decimals=2 if unit == "currencyUSD" else 1,
            no_data=no_data,
            width=6,
            height=4,
        ),
        Query(expr),
        thresholds=thresholds,
    )


def _answers() -> list[Panel]:
    shown = _In("$__range")
    return [
        _answer(
            "Idle GPU hours",
            "GPU hours of running jobs in which none of the job's GPUs did anything: utilization"
            " was below the exporter's threshold (--waste.idle-threshold), and the warm-up was"
            " over.",
            shown.hours("idle"),
            unit="none",
        ),
        _answer(
            "Busy GPU hours",
            "GPU hours of running jobs that were observed to be busy.",
            shown.hours("busy"),
            unit="none",
        ),
        _answer(
            "Idle share",
            "Idle GPU hours as a share of the idle and busy ones. Check the unknown share before"
            " you trust it.",
            shown.idle_share,
            unit="percentunit",
            no_data="Unknown",
            thresholds=_IDLE_SHARE,
        ),
        _answer(
            "Unknown share",
            "GPU hours that are neither known to be idle nor busy, as a share of all: there was"
            " no reading, or readings were too far apart (--waste.reading-gap). Near 100 %, the"
            " API grants too few requests for that gap; the dashboard Exporter says more.",
            shown.unknown_share,
            unit="percentunit",
            no_data="No jobs ran",
            thresholds=steps(palette.GOOD, (0.2, palette.WARNING)),
        ),
        _answer(
            "Wasted",
            "Dollars spent on idle GPUs, stuck launches, and jobs billed after their end. They are"
            " a part of the spend. Unknown hours are not included.",
            shown.waste,
            unit="currencyUSD",
        ),
        _answer(
            "Waste share",
            "Waste as a share of the spend in the same time.",
            f"{shown.waste} / ({shown.cost} > 0)",
            unit="percentunit",
            no_data="Nothing was spent",
            thresholds=_IDLE_SHARE,
        ),
        _answer(
            "Effective price per GPU hour",
            "Spend divided by all GPU hours of running jobs, idle or busy.",
            shown.price,
            unit="currencyUSD",
            no_data="No jobs ran",
        ),
        _answer(
            "Effective price per busy GPU hour",
            "Spend divided by busy GPU hours. Unknown hours are assumed to be as idle as the"
            " others. The difference to the price per GPU hour is the cost of idle time.",
            shown.busy_price,
            unit="currencyUSD",
            no_data="No busy hours",
        ),
    ]


def _activity() -> Panel:
    return panels.series(
        About(
            title="GPU hours by activity",
            description=f"All GPU hours of running jobs: busy, idle and unknown.{_BARS}",
            no_data="No jobs ran",
        ),
        Query(_In("$__rate_interval", "activity").hours(".*"), "{{activity}}"),
        bars=True,
        stacked=True,
        colors=palette.ACTIVITIES,
        interval="1h",
    )


def _waste() -> Panel:
    return panels.series(
        About(
            title="Waste by reason over time",
            description=(
                "gpu_idle: idle GPUs. stuck_launching: billed, but not running for too"
                f" long. billed_after_finish: billed after its end.{_BARS}"
            ),
            unit="currencyUSD",
            no_data="Nothing was wasted",
        ),
        Query(_In("$__rate_interval", "reason").waste, "{{reason}}"),
        bars=True,
        stacked=True,
        colors=palette.REASONS,
        interval="1h",
    )


def _idle_share() -> Panel:
    return panels.series(
        About(
            title="Idle share by GPU type",
            description=(
                "Idle GPU hours as a share of the idle and busy ones. Each point covers the time"
                " since the previous one, at least an hour."
            ),
            unit="percentunit",
            no_data="No jobs ran, or no readings",
        ),
        Query(
            called(_In("$__rate_interval", "gpu_type").idle_share, "gpu_type"),
            "{{called}}",
        ),
        maximum=1,
        interval="1h",
    )


def _prices() -> Panel:
    now = _In("$__rate_interval")
    return panels.series(
        About(
            title="Effective price per GPU hour and per busy GPU hour",
            description=(
                "Spend divided by all GPU hours, and by busy GPU hours. The wider the gap, the"
                " more idle GPUs cost. Each point covers the time since the previous one, at least"
                " an hour."
            ),
            unit="currencyUSD",
            no_data="No jobs ran",
        ),
        Query(now.price, "per GPU hour"),
        Query(now.busy_price, "per busy GPU hour"),
        colors={"per GPU hour": palette.BLUE, "per busy GPU hour": palette.VERMILLION},
        interval="1h",
    )


def _wasters() -> list[Panel]:
    def wasters(
        what: str,
        many: str,
        by: str,
        legend: str,
        ways: Sequence[DashboardLink] = (),
        colors: dict[str, str] | None = None,
    ) -> Panel:
        most = f"topk(10, {_In('$__range', by).waste} > 0)"
        named = called(most, "owner") if by == "owner" else most
        return panels.ranking(
            About(
                title=f"Waste by {what}",
                description=f"{many} in the time range, the most first.",
                unit="currencyUSD",
                decimals=2,
                no_data="Nothing was wasted",
                width=8,
            ),
            Query(f"sort_desc({named})", legend),
            colors=colors,
            links=ways,
        )

    return [
        wasters(
            "reason",
            "gpu_idle: idle GPUs. stuck_launching: billed, but not running for too long."
            " billed_after_finish: billed after its end. Each reason's waste",
            "reason",
            "{{reason}}",
            colors=palette.REASONS,
        ),
        wasters(
            "project",
            "The ten projects with the most waste",
            "project_id, project_name",
            "{{project_name}}",
            links.project(uids.EFFICIENCY, "This project alone", row=False),
        ),
        wasters(
            "owner",
            "The ten owners with the most waste",
            "owner",
            "{{called}}",
            [links.drill(uids.EFFICIENCY, "This owner alone", owner="${__field.labels.owner}")],
        ),
    ]


def _gpu_types() -> Panel:
    of_type = _In("$__range", "gpu_type")

    def listed(expr: str) -> str:
        return called(expr, "gpu_type")

    return rows(
        About(
            title="Cost by GPU type",
            description=(
                "Idle is a share of the idle and busy hours, Unknown a share of all. The price of"
                " a busy hour is the spend divided by busy GPU hours, assuming that unknown hours"
                " are as idle as the others: compare it before you choose a more expensive GPU."
            ),
            no_data="No jobs ran",
            width=24,
            height=8,
        ),
        [
            Column(heading="GPU hours", expr=listed(of_type.hours(".*")), decimals=1, width=130),
            share("Idle", listed(of_type.idle_share), _IDLE_SHARE),
            share(
                "Unknown",
                listed(of_type.unknown_share),
                steps(palette.GOOD, (0.2, palette.WARNING)),
            ),
            dollars("Spent", listed(of_type.cost)),
            dollars("Wasted", listed(of_type.waste)),
            dollars("Per GPU hour", listed(of_type.price)),
            dollars("Per busy GPU hour", listed(of_type.busy_price)),
        ],
        labels={"called": "GPU type"},
        sort_by="Wasted",
    )


def _heat() -> Panel:
    gpus = of_projects(chosen("project:trainwave_gpus_by_utilization:bucket"))
    return panels.heat(
        About(
            title="GPUs by utilization",
            description=(
                "Number of GPUs of running jobs by utilization, as the mean of each job's GPUs."
                " Each row reaches up to its label; the lowest, up to 5 %, is idle by default. The"
                " scale below shows the number; blank is none. Jobs without readings are left out."
            ),
            unit="percentunit",
            no_data="No running jobs, or no readings",
            width=24,
            height=9,
        ),
        Query(f"sum by (le) ({gpus})", "{{le}}"),
    )


def _of_gpus(metric: str) -> str:
    return f"max by (cluster, project_id, job_id, gpu) ({metric})"


_GPU_MEMORY = _of_gpus("trainwave_job_gpu_memory_used_bytes")
# How much memory GPUs have is not reported; it follows from the bytes and the ratio in use.
_GPU_MEMORY_SHARE = f"({_of_gpus('trainwave_job_gpu_memory_utilization_ratio')} > 0)"
_GPU_MEMORY_GIVEN = f"{_GPU_MEMORY} / on (cluster, project_id, job_id, gpu) {_GPU_MEMORY_SHARE}"


def _gpu_memory() -> Panel:
    return _of_memory(
        "GPU memory: used and allocated",
        "GPU memory that running jobs use, and what their GPUs have. A job that uses little of it"
        " may need only a smaller GPU; the last table lists such jobs. GPUs whose memory is empty"
        " are left out.",
        _GPU_MEMORY,
        allocated=_GPU_MEMORY_GIVEN,
        known=f"on (cluster, project_id, job_id, gpu) {_GPU_MEMORY_SHARE}",
    )


def _memory() -> Panel:
    used = _of_gpus("trainwave_job_memory_used_bytes")
    limit = "max by (cluster, project_id, job_id) (trainwave_job_memory_limit_bytes)"
    return _of_memory(
        "Memory: used and allocated",
        "Main memory that running jobs use, and what is allocated to them.",
        used,
        allocated=f"{limit} and on (cluster, project_id, job_id) {used}",
        known=f"on (cluster, project_id, job_id) {limit}",
    )


_APART = "used, allocation not reported"


def _of_memory(title: str, description: str, used: str, *, allocated: str, known: str) -> Panel:
    return panels.series(
        About(
            title=title,
            description=(
                f"{description} Where the allocation is not reported, the use is a line of its"
                " own, so that the other two are comparable. Jobs without readings are left out."
            ),
            unit="bytes",
            no_data="No running jobs, or no readings",
        ),
        Query(running_summed(f"{used} and {known}"), "used"),
        Query(running_summed(allocated), "allocated"),
        Query(running_summed(f"{used} unless {known}"), _APART),
        bounds="^allocated$",
        colors={"used": palette.BLUE, _APART: palette.AMBER},
    )


def _idle() -> Panel:
    since = "max by (cluster, project_id, job_id) (trainwave_job_idle_since_timestamp_seconds)"
    # One that has just become idle may have lost nothing that could be shown.
    job = "on (cluster, project_id, job_id)"
    lost = f"{_LOST} and {job} {since} or {job} 0 * {since}"
    worst = f"topk({LISTED}, {running(lost)})"

    def listed(expr: str) -> str:
        return f"{running(expr)} and on (cluster, project_id, job_id) {worst}"

    return jobs(
        About(
            title="Jobs whose GPUs are idle now",
            description=(
                "Running jobs all of whose GPUs are idle, by the dollars that they have wasted on"
                " idle GPUs since their start. The name links to the job's dashboard, and to its"
                f" page at Trainwave, where it can be stopped. At most {LISTED} are shown."
            ),
            no_data="No idle GPUs",
            width=24,
            height=9,
        ),
        [
            dollars(
                "Wasted so far", listed(lost), thresholds=steps(palette.WARNING, (50, palette.BAD))
            ),
            Column(heading="Idle for", expr=listed(f"time() - {since}"), unit="s", width=110),
            Column(
                heading="Idle GPU hours",
                expr=listed("max by (cluster, project_id, job_id) (trainwave_job_idle_gpu_hours)"),
                decimals=1,
                width=130,
            ),
            Column(heading="GPUs", expr=listed(GPUS), width=80),
            dollars("Hourly price", listed(PRICE)),
        ],
        sort_by="Wasted so far",
    )


def _losers() -> Panel:
    worst = f"topk({LISTED}, {of_jobs(f'{_LOST} > 0')})"

    def listed(expr: str) -> str:
        return f"{of_jobs(expr)} and on (cluster, project_id, job_id) {worst}"

    return jobs(
        About(
            title="Most wasteful jobs",
            description=(
                "Running and finished jobs that an exporter still shows, by the dollars that they"
                f" have wasted on idle GPUs since their start. At most {LISTED} are shown; older"
                " jobs are in the sums above."
            ),
            no_data="No job that is still shown has wasted anything",
            width=24,
            height=9,
        ),
        [
            dollars("Wasted", listed(_LOST)),
            share(
                "Share of its cost",
                listed(f"{_LOST} / on (cluster, project_id, job_id) {_COST}"),
                _IDLE_SHARE,
            ),
            dollars("Cost", listed(_COST)),
            Column(heading="GPUs", expr=listed(GPUS), width=80),
        ],
        sort_by="Wasted",
    )


def _spare() -> Panel:
    spare = f"sum by (cluster, project_id, job_id) ({_GPU_MEMORY_GIVEN} - {_GPU_MEMORY})"
    most = f"topk({LISTED}, {running(spare)})"

    def listed(expr: str) -> str:
        return f"{running(expr)} and on (cluster, project_id, job_id) {most}"

    def used(metric: str) -> str:
        return f"avg by (cluster, project_id, job_id) ({metric})"

    fill = steps(palette.WARNING, (0.25, palette.GOOD))
    return jobs(
        About(
            title="Running jobs with the most unused GPU memory",
            description=(
                "Running jobs by the GPU memory that they do not use now, of all their GPUs"
                " together. Look at a job's whole run before you choose a smaller GPU: it may need"
                f" the memory at other times. At most {LISTED} are shown."
            ),
            no_data="No running jobs, or their GPU memory is not reported",
            width=24,
            height=9,
        ),
        [
            Column(heading="GPU memory unused", expr=listed(spare), unit="bytes", width=200),
            share(
                "GPU memory used",
                listed(used("trainwave_job_gpu_memory_utilization_ratio")),
                fill,
            ),
            share("Memory used", listed(used("trainwave_job_memory_utilization_ratio")), fill),
            Column(heading="GPUs", expr=listed(GPUS), width=80),
            dollars("Hourly price", listed(PRICE)),
        ],
        sort_by="GPU memory unused",
    )
