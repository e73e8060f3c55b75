"""Alerts on what a running job costs, and what its GPUs do for it."""

from __future__ import annotations

from deploy.prometheus.naming import JOB, JOB_DASHBOARD, PROJECT, of_job, of_this_job
from deploy.prometheus.rule import Alert
from deploy.prometheus.settings import Settings
from deploy.prometheus.words import DOLLARS, DURATION, PERCENTAGE, counted, looked_up, number, own

_LOST = of_this_job("job:trainwave_idle_dollars:max{%s}", DOLLARS, "an unknown amount")
_PRICE = of_this_job(
    "max(trainwave_job_hourly_cost_dollars{%s})",
    'printf "$%.2f an hour"',
    "an unknown price",
)
_SEEN_AGAIN = "5m"
"""A list may report an absurd cost once, which lasts until the next scrape; one that is there for
longer has been seen twice, also where exporters are scraped every two minutes."""

_GPU = "{{ with $labels.gpu_type }} ({{ . }}){{ end }}"


def alerts(settings: Settings) -> tuple[Alert, ...]:
    """All of these alerts."""
    return (
        _idle(settings),
        _idle_costly(settings),
        _collapsed(settings),
        _over_limit(settings),
        _costlier_than_peers(settings),
    )


def _idle(settings: Settings) -> Alert:
    seconds = settings.gpu_idle.minutes * 60
    return Alert(
        alert="TrainwaveJobGpuIdle",
        severity="warning",
        concern="gpu_idle",
        # The moment since when is exported, so that a scrape missed in between changes nothing.
        expr=of_job(f"""\
time() - max by (cluster, project_id, job_id) (trainwave_job_idle_since_timestamp_seconds)
> {seconds}
and on (cluster, project_id, job_id) job:trainwave_running:max == 1"""),
        keep_firing="5m",
        summary=f"The GPUs of {JOB} have been idle for {own(DURATION)}",
        description=(
            f"All GPUs{_GPU} of {JOB} have been idle for {own(DURATION)}. "
            f"It costs {_PRICE}; {_LOST} were wasted on idle GPUs so far. "
            "Stop it, or find out what it waits for."
        ),
        dashboard=JOB_DASHBOARD,
    )


def _idle_costly(settings: Settings) -> Alert:
    minutes, dollars = settings.gpu_idle.minutes, settings.gpu_idle.critical_dollars
    return Alert(
        alert="TrainwaveJobGpuIdleCostly",
        severity="critical",
        concern="gpu_idle",
        # Idle by the measure of the warning: a job that lost this much over weeks and pauses for a
        # moment to save its state wakes nobody.
        expr=of_job(f"""\
job:trainwave_idle_dollars:max > {number(dollars)}
and on (cluster, project_id, job_id)
time() - max by (cluster, project_id, job_id) (trainwave_job_idle_since_timestamp_seconds)
> {minutes * 60}
and on (cluster, project_id, job_id) job:trainwave_running:max == 1"""),
        keep_firing="5m",
        summary=f"{JOB} has wasted {own(DOLLARS)} on idle GPUs, and they are still idle",
        description=(
            f"{own(DOLLARS)}, more than ${number(dollars)}, were wasted on idle GPUs{_GPU} "
            f"of {JOB}, and all of them have been idle for the last "
            f"{counted(minutes, 'minute')}. It still costs {_PRICE}. Stop it now, unless its owner "
            "knows what it waits for."
        ),
        dashboard=JOB_DASHBOARD,
    )


def _collapsed(settings: Settings) -> Alert:
    bounds = settings.job_collapse
    minutes, hours = bounds.minutes, bounds.usual_hours
    before = hours * 60 + minutes
    usual = of_this_job(
        f"avg_over_time(job:trainwave_gpu_utilization_ratio:avg{{%s}}[{hours}h] offset {minutes}m)",
        PERCENTAGE,
        "much more",
    )
    return Alert(
        alert="TrainwaveJobUtilizationCollapsed",
        severity="warning",
        concern="gpu_idle",
        # A mean says something where it is one of most of its time: of the last minutes more than
        # half must be known, so that one reading after a gap does not stand for all of them, and
        # the hours before must have been seen from their beginning, so that the first steps of a
        # job that has just started are not what is usual for it.
        expr=of_job(f"""\
avg_over_time(job:trainwave_gpu_utilization_ratio:avg[{minutes}m])
  <= {number(bounds.collapsed_ratio)}
and on (cluster, project_id, job_id)
avg_over_time(job:trainwave_gpu_utilization_ratio:avg[{hours}h] offset {minutes}m)
  >= {number(bounds.usual_ratio)}
and on (cluster, project_id, job_id)
count_over_time(job:trainwave_gpu_utilization_ratio:avg[{minutes}m:1m]) > {number(minutes / 2)}
and on (cluster, project_id, job_id)
last_over_time(job:trainwave_gpu_utilization_ratio:avg[15m] offset {before}m)
and on (cluster, project_id, job_id) job:trainwave_running:max == 1"""),
        keep_firing="5m",
        summary=f"GPU utilization of {JOB} fell to {own(PERCENTAGE)}, from {usual} before",
        description=(
            f"GPU utilization{_GPU} of {JOB} was {own(PERCENTAGE)} over the "
            f"last {counted(minutes, 'minute')}, after {usual} over the "
            f"{counted(hours, 'hour')} before. It costs {_PRICE}. Read its log for what changed: "
            "a lost worker, a slow data source, a step that runs on the CPU."
        ),
        dashboard=JOB_DASHBOARD,
    )


def _over_limit(settings: Settings) -> Alert:
    limit = number(settings.job_cost.limit_dollars)
    return Alert(
        alert="TrainwaveJobOverCostLimit",
        severity="warning",
        concern="job_cost",
        expr=of_job(f"""\
job:trainwave_cost_dollars:max > {limit}
and on (cluster, project_id, job_id) job:trainwave_running:max == 1"""),
        pending=_SEEN_AGAIN,
        keep_firing="5m",
        summary=f"{JOB} has cost {own(DOLLARS)}, and is still running",
        description=(
            f"{JOB} has cost {own(DOLLARS)}, more than the limit of ${limit} for one job, and "
            f"still costs {_PRICE}. Ask its owner whether it is worth it, and stop it if not."
        ),
        dashboard=JOB_DASHBOARD,
    )


def _costlier_than_peers(settings: Settings) -> Alert:
    bounds = settings.job_cost
    factor = number(bounds.peers_factor)
    median = looked_up(
        "project:trainwave_job_cost_dollars:median{cluster=%q,project_id=%q,gpu_type=%q}",
        "$labels.cluster",
        "$labels.project_id",
        "$labels.gpu_type",
        form=DOLLARS,
        missing="much less",
    )
    return Alert(
        alert="TrainwaveJobCostlierThanPeers",
        severity="warning",
        concern="job_cost",
        # The job itself is among those counted, and not one of its own peers.
        expr=of_job(f"""\
job:trainwave_cost_dollars:max
* on (cluster, project_id, job_id) group_left (gpu_type) job:trainwave_info:one
> on (cluster, project_id, gpu_type) group_left ()
{factor} * project:trainwave_job_cost_dollars:median
and on (cluster, project_id, gpu_type) project:trainwave_job_cost_dollars:count > {bounds.peers}
and on (cluster, project_id, job_id)
job:trainwave_cost_dollars:max > {number(bounds.peers_floor_dollars)}
and on (cluster, project_id, job_id) job:trainwave_running:max == 1"""),
        pending=_SEEN_AGAIN,
        keep_firing="5m",
        summary=f"{JOB} has cost {own(DOLLARS)}, more than {factor} times the median of its peers",
        description=(
            f"{JOB} has cost {own(DOLLARS)} so far; half of the "
            f"{{{{ $labels.gpu_type }}}} jobs in {PROJECT} cost no more than {median}. It still "
            f"costs {_PRICE}. Ask its owner whether it was meant to be this big or this long, and "
            "stop it if not."
        ),
        dashboard=JOB_DASHBOARD,
    )
