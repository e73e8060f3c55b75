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
_BARS = " Each bar stands for the time since the one before it, an hour at least."
_COST = "job:trainwave_cost_dollars:max"
_LOST = "job:trainwave_idle_dollars:max"


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
            Row("Hours and money over time", [_activity(), _waste(), _idle_share(), _prices()]),
            Row("Who and what for, in the time shown", [*_wasters(), _gpu_types()]),
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
    no_data: str = "Nothing booked",
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
            "GPU hours of running jobs that are known not to have been idle.",
            shown.hours("busy"),
            unit="none",
        ),
        _answer(
            "Idle share",
            "Idle GPU hours as a part of those that are known to be idle or busy. See how large a"
            " part is not known before you trust it.",
            shown.idle_share,
            unit="percentunit",
            no_data="Nothing known",
            thresholds=_IDLE_SHARE,
        ),
        _answer(
            "Share not known",
            "GPU hours of which nobody can say whether they were idle, as a part of all: there was"
            " no reading, or readings were too far apart (--waste.reading-gap). Near 100 %, the"
            " API grants too few requests for that gap; the dashboard Exporter says more.",
            shown.unknown_share,
            unit="percentunit",
            no_data="Nothing ran",
            thresholds=steps(palette.GOOD, (0.2, palette.WARNING)),
        ),
        _answer(
            "Wasted",
            "Money that went into idle GPUs, launches that hung, and jobs billed after their end."
            " It is a part of the cost. Hours that are not known are not in it.",
            shown.waste,
            unit="currencyUSD",
        ),
        _answer(
            "Wasted of all spend",
            "Wasted money as a part of what was spent in the same time.",
            f"{shown.waste} / ({shown.cost} > 0)",
            unit="percentunit",
            no_data="Nothing spent",
            thresholds=_IDLE_SHARE,
        ),
        _answer(
            "Price of a GPU hour",
            "What was spent for each GPU hour of running jobs, idle or not. With the same GPUs"
            " always busy, a busy hour would cost no more.",
            shown.price,
            unit="currencyUSD",
            no_data="Nothing ran",
        ),
        _answer(
            "Price of a busy GPU hour",
            "What was spent for each GPU hour in which the GPU did something. Hours that are not"
            " known are taken to be as idle as the others. What it is above the price of a GPU"
            " hour is the price of idleness.",
            shown.busy_price,
            unit="currencyUSD",
            no_data="No busy hour known",
        ),
    ]


def _activity() -> Panel:
    return panels.series(
        About(
            title="GPU hours by what the GPUs did",
            description=f"Together all GPU hours of running jobs.{_BARS}",
            no_data="Nothing ran",
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
                "gpu_idle: GPUs did nothing. stuck_launching: paid for, yet not running for too"
                f" long. billed_after_finish: paid for after its end.{_BARS}"
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
                "Idle GPU hours as a part of those that are known to be idle or busy. Each point"
                " stands for the time since the one before it, an hour at least."
            ),
            unit="percentunit",
            no_data="Nothing ran, or nothing is known of it",
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
            title="Price of a GPU hour and of a busy one",
            description=(
                "What was spent for each GPU hour, idle or not, and for each in which the GPU did"
                " something. The wider the gap, the more idleness costs. Each point stands for the"
                " time since the one before it, an hour at least."
            ),
            unit="currencyUSD",
            no_data="Nothing ran",
        ),
        Query(now.price, "a GPU hour"),
        Query(now.busy_price, "a busy GPU hour"),
        colors={"a GPU hour": palette.BLUE, "a busy GPU hour": palette.VERMILLION},
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
                description=f"{many} in the time shown, the most first.",
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
            "gpu_idle: GPUs did nothing. stuck_launching: paid for, yet not running for too long."
            " billed_after_finish: paid for after its end. What each came to",
            "reason",
            "{{reason}}",
            colors=palette.REASONS,
        ),
        wasters(
            "project",
            "The ten projects that wasted most",
            "project_id, project_name",
            "{{project_name}}",
            links.project(uids.EFFICIENCY, "This project alone", row=False),
        ),
        wasters(
            "owner",
            "The ten owners whose jobs wasted most",
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
            title="What GPU types came to",
            description=(
                "Idle is a part of the hours that are known to be idle or busy, not known a part of"
                " all. A busy hour costs what was spent for each GPU hour in which the GPU did"
                " something, taking hours that are not known to be as idle as the others: compare"
                " it before you choose a dearer GPU."
            ),
            no_data="Nothing ran",
            width=24,
            height=8,
        ),
        [
            Column(heading="GPU hours", expr=listed(of_type.hours(".*")), decimals=1, width=130),
            share("Idle", listed(of_type.idle_share), _IDLE_SHARE),
            share(
                "Not known",
                listed(of_type.unknown_share),
                steps(palette.GOOD, (0.2, palette.WARNING)),
            ),
            dollars("Spent", listed(of_type.cost)),
            dollars("Wasted", listed(of_type.waste)),
            dollars("A GPU hour", listed(of_type.price)),
            dollars("A busy hour", listed(of_type.busy_price)),
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
                "How many GPUs of running jobs are how busy, by the mean of each job's GPUs; each"
                " row reaches up to its number, the lowest up to 5 %, which is idle unless the"
                " exporter is told otherwise. The scale below says how many; blank is none. Jobs"
                " that nothing is read of are left out."
            ),
            unit="percentunit",
            no_data="Nothing runs, or nothing is read of it",
            width=24,
            height=9,
        ),
        Query(f"sum by (le) ({gpus})", "{{le}}"),
    )


def _of_gpus(metric: str) -> str:
    return f"max by (cluster, project_id, job_id, gpu) ({metric})"


_GPU_MEMORY = _of_gpus("trainwave_job_gpu_memory_used_bytes")
# How much GPUs have is not told; it follows from what is used and which part of all that is.
_GPU_MEMORY_SHARE = f"({_of_gpus('trainwave_job_gpu_memory_utilization_ratio')} > 0)"
_GPU_MEMORY_GIVEN = f"{_GPU_MEMORY} / on (cluster, project_id, job_id, gpu) {_GPU_MEMORY_SHARE}"


def _gpu_memory() -> Panel:
    return _of_memory(
        "GPU memory against allocation",
        "GPU memory that running jobs use, and what their GPUs have. A job that uses little of it"
        " may do with a smaller GPU; the last table names them. GPUs whose memory is empty are"
        " left out.",
        _GPU_MEMORY,
        allocated=_GPU_MEMORY_GIVEN,
        known=f"on (cluster, project_id, job_id, gpu) {_GPU_MEMORY_SHARE}",
    )


def _memory() -> Panel:
    used = _of_gpus("trainwave_job_memory_used_bytes")
    limit = "max by (cluster, project_id, job_id) (trainwave_job_memory_limit_bytes)"
    return _of_memory(
        "Memory against allocation",
        "Main memory that running jobs use, and what they are given.",
        used,
        allocated=f"{limit} and on (cluster, project_id, job_id) {used}",
        known=f"on (cluster, project_id, job_id) {limit}",
    )


_APART = "used, allocation not told"


def _of_memory(title: str, description: str, used: str, *, allocated: str, known: str) -> Panel:
    return panels.series(
        About(
            title=title,
            description=(
                f"{description} Where what is allocated is not told, what is used is drawn apart,"
                " so that the other two can be compared. Jobs that nothing is read of are left out."
            ),
            unit="bytes",
            no_data="Nothing runs, or nothing is read of it",
        ),
        Query(running_summed(f"{used} and {known}"), "used"),
        Query(running_summed(allocated), "allocated"),
        Query(running_summed(f"{used} unless {known}"), _APART),
        bounds="^allocated$",
        colors={"used": palette.BLUE, _APART: palette.AMBER},
    )


def _idle() -> Panel:
    since = "max by (cluster, project_id, job_id) (trainwave_job_idle_since_timestamp_seconds)"
    # One that has just become idle may have lost nothing that could be told.
    job = "on (cluster, project_id, job_id)"
    lost = f"{_LOST} and {job} {since} or {job} 0 * {since}"
    worst = f"topk({LISTED}, {running(lost)})"

    def listed(expr: str) -> str:
        return f"{running(expr)} and on (cluster, project_id, job_id) {worst}"

    return jobs(
        About(
            title="Jobs whose GPUs are idle now",
            description=(
                "Running jobs none of whose GPUs does anything, those that lost most first: what"
                " went into idle GPU hours in their whole life. The name leads to all that is known"
                " of a job, and to its page at Trainwave, where it can be stopped. At most"
                f" {LISTED} are shown."
            ),
            no_data="No GPU is known to be idle",
            width=24,
            height=9,
        ),
        [
            dollars(
                "Lost so far", listed(lost), thresholds=steps(palette.WARNING, (50, palette.BAD))
            ),
            Column(heading="Idle for", expr=listed(f"time() - {since}"), unit="s", width=110),
            Column(
                heading="Idle GPU hours",
                expr=listed("max by (cluster, project_id, job_id) (trainwave_job_idle_gpu_hours)"),
                decimals=1,
                width=130,
            ),
            Column(heading="GPUs", expr=listed(GPUS), width=80),
            dollars("Per hour", listed(PRICE)),
        ],
        sort_by="Lost so far",
    )


def _losers() -> Panel:
    worst = f"topk({LISTED}, {of_jobs(f'{_LOST} > 0')})"

    def listed(expr: str) -> str:
        return f"{of_jobs(expr)} and on (cluster, project_id, job_id) {worst}"

    return jobs(
        About(
            title="Jobs that lost most",
            description=(
                "Jobs that an exporter still shows, running or finished, by the money that went"
                f" into idle GPUs in their whole life. At most {LISTED} are shown. Older jobs are"
                " in the sums above."
            ),
            no_data="No job that is still shown has lost anything",
            width=24,
            height=9,
        ),
        [
            dollars("Lost", listed(_LOST)),
            share(
                "Lost of its cost",
                listed(f"{_LOST} / on (cluster, project_id, job_id) {_COST}"),
                _IDLE_SHARE,
            ),
            dollars("Cost", listed(_COST)),
            Column(heading="GPUs", expr=listed(GPUS), width=80),
        ],
        sort_by="Lost",
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
            title="Running jobs with most GPU memory to spare",
            description=(
                "Running jobs by the GPU memory that they do not use just now, of all their GPUs"
                " together. Look at a job's whole life before you give it a smaller GPU: memory may"
                f" be needed at other times. At most {LISTED} are shown."
            ),
            no_data="Nothing runs, or nobody tells how much GPU memory it has or uses",
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
            dollars("Per hour", listed(PRICE)),
        ],
        sort_by="GPU memory unused",
    )
