"""The Job dashboard: the whole life of one job."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import AnnotationQuery, Dashboard, Panel

from grafana import links, palette, panels, uids
from grafana.board import Row, board
from grafana.panels import About, Query, steps, time_left
from grafana.variables import FILTERS, JOB, SOURCE

_THIS = 'cluster=~"$cluster",project_id=~"$project",job_id="$job"'
_INFO = f"topk by (job_id) (1, job:trainwave_info:one{{{_THIS}}})"


def dashboard() -> Dashboard:
    """Show the whole life of one job."""
    return board(
        uid=uids.JOB,
        title="Trainwave / Job",
        description="One job from start to end: state, cost, readings, and their age.",
        variables=(*FILTERS, JOB),
        annotations=[
            _moment("Started", "started", palette.TEAL),
            _moment("Finished", "finished", palette.VERMILLION),
        ],
        rows=[
            Row("The job", [_names(), *_numbers(), _state()]),
            Row("Cost", [_cost(), _price(), _gpu_hours()]),
            Row("GPUs", [_gpu_utilization(), _gpu_memory()]),
            Row("CPU, memory, network and disk", [_cpu(), _memory(), _network(), _disk()]),
            Row("Data freshness", [_ages()]),
        ],
    )


def _of(metric: str, by: str = "", matchers: str = "") -> str:
    """Return a metric of the chosen job, as one exporter shows it, by further labels."""
    further = f",{matchers}" if matchers else ""
    return f"max by ({by}) ({metric}{{{_THIS}{further}}})"


def _moment(name: str, moment: str, color: str) -> AnnotationQuery:
    expr = f"1000 * {_of(f'trainwave_job_{moment}_timestamp_seconds')}"
    return AnnotationQuery(
        name=name,
        datasource=SOURCE,
        enable=True,
        icon_color=color,
        expr=expr,
        title_format=name,
        use_value_for_time=True,
    )


def _names() -> Panel:
    return panels.number(
        About(
            title="Name",
            description=("Name, owner and GPUs of the job. Links to its page at Trainwave."),
            no_data="The exporter no longer shows this job",
            width=24,
            height=3,
        ),
        Query(_INFO, "{{job_name}} · {{project_name}} · {{owner}} · {{gpu_type}}"),
        name_only=True,
        links=links.JOB_OF_SERIES,
    )


def _numbers() -> list[Panel]:
    lost = f"max by () (job:trainwave_idle_dollars:max{{{_THIS}}})"
    return [
        panels.number(
            About(
                title="Cost so far",
                description="As the API reports it.",
                unit="currencyUSD",
                decimals=2,
                no_data="Not reported",
                width=4,
                height=4,
            ),
            Query(_of("trainwave_job_cost_dollars")),
        ),
        panels.number(
            About(
                title="Wasted on idle GPUs",
                description="The part of its cost that was spent on idle GPUs.",
                unit="currencyUSD",
                decimals=2,
                no_data="Unknown",
                width=4,
                height=4,
            ),
            Query(lost),
            thresholds=steps(palette.GOOD, (1, palette.WARNING), (50, palette.BAD)),
        ),
        panels.number(
            About(
                title="Idle for",
                description="For how long all of its GPUs have been idle.",
                unit="s",
                no_data="Not idle",
                width=4,
                height=4,
            ),
            Query(f"time() - {_of('trainwave_job_idle_since_timestamp_seconds')}"),
            thresholds=steps(palette.WARNING, (1800, palette.BAD)),
        ),
        panels.number(
            About(
                title="GPUs",
                description="GPUs allocated to it.",
                no_data="Not reported",
                width=4,
                height=4,
            ),
            Query(_of("trainwave_job_gpus")),
        ),
        panels.number(
            About(
                title="Has run for",
                description="From its start until now, or until it finished.",
                unit="s",
                no_data="Not started",
                width=4,
                height=4,
            ),
            Query(
                f"({_of('trainwave_job_finished_timestamp_seconds')} or vector(time()))"
                f" - {_of('trainwave_job_started_timestamp_seconds')}"
            ),
        ),
        panels.number(
            About(
                title="Expires in",
                description="Time until Trainwave ends it.",
                unit="s",
                no_data="Never, or it has finished",
                width=4,
                height=4,
            ),
            Query(f"{_of('trainwave_job_expires_timestamp_seconds')} - time() > 0"),
            thresholds=time_left(1800, 7200),
        ),
    ]


def _state() -> Panel:
    states = ("another", *palette.STATES)
    numbered = " + ".join(
        f"{number} * {_of('trainwave_job_state', matchers=f'state={chr(34)}{state}{chr(34)}')}"
        for number, state in enumerate(palette.STATES, 1)
    )
    return panels.timeline(
        About(
            title="State",
            description="State of the job over time. Another is an undocumented one.",
            no_data="The exporter did not show this job at that time",
            width=24,
            height=4,
        ),
        Query(numbered, "state"),
        values=states,
        colors={"another": palette.NEUTRAL, **palette.STATES},
    )


def _cost() -> Panel:
    return panels.series(
        About(
            title="Cost over time",
            description="As the API reports it; it may be corrected downwards.",
            unit="currencyUSD",
            no_data="Not reported",
            width=8,
        ),
        Query(_of("trainwave_job_cost_dollars"), "cost"),
        Query(f"max by () (job:trainwave_idle_dollars:max{{{_THIS}}})", "wasted on idle GPUs"),
        colors={"cost": palette.BLUE, "wasted on idle GPUs": palette.VERMILLION},
    )


def _price() -> Panel:
    return panels.series(
        About(
            title="Hourly price",
            description="Price of the job, in dollars per hour.",
            unit="currencyUSD",
            no_data="Not reported",
            width=8,
        ),
        Query(_of("trainwave_job_hourly_cost_dollars"), "price"),
    )


def _gpu_hours() -> Panel:
    return panels.series(
        About(
            title="GPU hours",
            description="GPU hours used so far, and how many of them were idle.",
            no_data="Not reported",
            width=8,
        ),
        Query(_of("trainwave_job_gpu_hours"), "used"),
        Query(_of("trainwave_job_idle_gpu_hours"), "idle"),
        colors={"used": palette.BLUE, "idle": palette.VERMILLION},
    )


def _gpu_utilization() -> Panel:
    return panels.series(
        About(
            title="GPU utilization",
            description=(
                "Utilization of each GPU if the API reports them separately, else of all together."
            ),
            unit="percentunit",
            no_data="No readings",
        ),
        Query(_of("trainwave_job_gpu_utilization_ratio", "gpu"), "GPU {{gpu}}"),
        maximum=1,
    )


def _gpu_memory() -> Panel:
    ratio = _of("trainwave_job_gpu_memory_utilization_ratio", "gpu")
    used = _of("trainwave_job_gpu_memory_used_bytes", "gpu")
    return panels.series(
        About(
            title="GPU memory",
            description="GPU memory used of each GPU, and its size where known.",
            unit="bytes",
            no_data="No readings",
        ),
        Query(used, "GPU {{gpu}}"),
        Query(f"{used} / on (gpu) ({ratio} > 0)", "GPU {{gpu}} allocated"),
        bounds="allocated$",
    )


def _cpu() -> Panel:
    return panels.series(
        About(
            title="CPU utilization",
            description="Utilization of its CPU cores.",
            unit="percentunit",
            no_data="No readings",
        ),
        Query(_of("trainwave_job_cpu_utilization_ratio", "gpu"), "CPU {{gpu}}"),
        maximum=1,
    )


def _memory() -> Panel:
    return panels.series(
        About(
            title="Memory",
            description="Memory used and allocated.",
            unit="bytes",
            no_data="No readings",
        ),
        Query(_of("trainwave_job_memory_used_bytes", "gpu"), "used {{gpu}}"),
        Query(_of("trainwave_job_memory_limit_bytes"), "allocated"),
        bounds="^allocated$",
    )


def _network() -> Panel:
    return panels.series(
        About(
            title="Network",
            description="Network traffic, by direction where the API reports it.",
            unit="Bps",
            no_data="No readings",
        ),
        Query(
            _of("trainwave_job_network_io_bytes_per_second", "direction"), "{{direction}} traffic"
        ),
    )


def _disk() -> Panel:
    return panels.series(
        About(
            title="Disk traffic",
            description="Disk traffic, by direction where the API reports it.",
            unit="Bps",
            no_data="No readings",
        ),
        Query(_of("trainwave_job_disk_io_bytes_per_second", "direction"), "{{direction}} traffic"),
    )


def _ages() -> Panel:
    return panels.series(
        About(
            title="Age of the data",
            description=(
                "Time since each reading was confirmed; job stands for state and cost. It rises"
                " while the rate limit allows no request, and for good once the job has finished."
            ),
            unit="s",
            no_data="The exporter did not show this job at that time",
            width=24,
        ),
        Query(
            f"time() - {_of('trainwave_job_readings_timestamp_seconds', 'metric')}", "{{metric}}"
        ),
    )
