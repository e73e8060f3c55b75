"""Alerts on how jobs begin and end."""

from __future__ import annotations

from deploy.prometheus.naming import (
    JOB,
    JOB_DASHBOARD,
    OWNER,
    PROJECT,
    of_job,
    of_owner,
    of_this_job,
)
from deploy.prometheus.rule import Alert
from deploy.prometheus.settings import Settings
from deploy.prometheus.words import DOLLARS, DURATION, counted, looked_up, own
from grafana import uids

_COST = of_this_job("job:trainwave_cost_dollars:max{%s}", DOLLARS, "an unknown amount")


def alerts(settings: Settings) -> tuple[Alert, ...]:
    """All of these alerts."""
    return (_stuck(settings), _failing(settings), _expiring(settings))


def _stuck(settings: Settings) -> Alert:
    minutes = settings.job_launch.stuck_minutes
    return Alert(
        alert="TrainwaveJobStuckLaunching",
        severity="warning",
        concern="job_launch",
        # Counted from the creation that the API reports: since when a state lasts is known to the
        # exporter only from its own start.
        expr=of_job(f"""\
time() - max by (cluster, project_id, job_id) (trainwave_job_created_timestamp_seconds)
> {minutes * 60}
and on (cluster, project_id, job_id)
max by (cluster, project_id, job_id) (trainwave_job_state{{state=~"SUBMIT_CODE|LAUNCHING"}}) == 1
unless on (cluster, project_id, job_id) trainwave_job_started_timestamp_seconds
unless on (cluster, project_id, job_id) trainwave_job_finished_timestamp_seconds"""),
        keep_firing="5m",
        summary=f"{JOB} has not started for {own(DURATION)}",
        description=(
            f"{JOB} was created {own(DURATION)} ago and is still launching, for more than "
            f"{counted(minutes, 'minute')}. It has cost {_COST} so far. Cancel it and launch it "
            "again, with another GPU type if{{ with $labels.gpu_type }} {{ . }}{{ else }} this one"
            "{{ end }} is not available."
        ),
        dashboard=JOB_DASHBOARD,
    )


def _failing(settings: Settings) -> Alert:
    hours = settings.job_failures.within_hours
    who = ("$labels.cluster", "$labels.project_id", "$labels.owner")
    recent = (
        "job:trainwave_failed_timestamp_seconds:max{cluster=%q,project_id=%q,owner=%q}"
        f" > time() - {hours * 3600}"
    )
    cost = looked_up(
        f"sum(job:trainwave_cost_dollars:max and on (cluster, project_id, job_id) ({recent}))",
        *who,
        form=DOLLARS,
        missing="an unknown amount",
    )
    last = looked_up(
        f"topk(1, {recent})"
        " * on (cluster, project_id, job_id) group_left (job_name) job:trainwave_info:one",
        *who,
        shown='label "job_name"',
        form='printf "%s"',
        missing="unknown",
    )
    return Alert(
        alert="TrainwaveJobsFailingInARow",
        severity="warning",
        concern="job_failures",
        expr=of_owner(f"""\
count by (cluster, project_id, owner) (
  job:trainwave_failed_timestamp_seconds:max > time() - {hours * 3600}
) >= {settings.job_failures.in_a_row}"""),
        # An exporter that starts shows jobs as the API lists them, page after page, and of the
        # end of a job up to two minutes after its failure: a success may come last.
        pending="5m",
        keep_firing="5m",
        summary=f"{{{{ $value }}}} jobs of {OWNER} in {PROJECT} have failed in a row",
        description=(
            f"The last {{{{ $value }}}} jobs of {OWNER} in {PROJECT} that ended within "
            f"{counted(hours, 'hour')} have failed, and none has succeeded since. They have "
            f"cost {cost}; the last was {last}. Read its log before launching another."
        ),
        dashboard=(
            f"/d/{uids.FLEET}?var-project={{{{ $labels.project_id }}}}"
            "&var-owner={{ $labels.owner | urlquery }}"
        ),
    )


def _expiring(settings: Settings) -> Alert:
    minutes = settings.job_expiry.minutes
    return Alert(
        alert="TrainwaveJobExpiringSoon",
        severity="warning",
        concern="job_expiry",
        # A job that outlives its time is not about to be ended any more.
        expr=of_job(f"""\
max by (cluster, project_id, job_id) (trainwave_job_expires_timestamp_seconds) - time()
< {minutes * 60} > 0
and on (cluster, project_id, job_id) job:trainwave_running:max == 1"""),
        keep_firing="5m",
        summary=f"{JOB} expires in {own(DURATION)}",
        description=(
            f"{JOB} expires in {own(DURATION)}, and Trainwave will then end it; it has cost "
            f"{_COST} so far. Save its state, or extend its time at Trainwave, if its result is "
            "still needed."
        ),
        dashboard=JOB_DASHBOARD,
    )
