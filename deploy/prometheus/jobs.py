"""Alerts on jobs: GPUs that do nothing, costs that run away, launches and ends that go wrong."""

from __future__ import annotations

from deploy.prometheus.rule import Alert, Group
from deploy.prometheus.settings import Settings
from grafana import uids

NAMED = "account, organization_id, project_name, owner, gpu_type, job_name"
"""What a job's alert carries besides `project_id` and `job_id`."""

WHOSE = (
    "{{ $labels.job_name }} (job {{ $labels.job_id }}) "
    "of {{ $labels.owner }} in {{ $labels.project_name }}"
)
"""A job in words."""

DASHBOARD = (
    f"/d/{uids.JOB}?var-project={{{{ $labels.project_id }}}}&var-job={{{{ $labels.job_id }}}}"
)


def of_job(expr: str) -> str:
    """Give a job's series, known by `project_id` and `job_id`, the names of what it belongs to."""
    return f"({expr})\n* on (project_id, job_id) group_left ({NAMED})\njob:trainwave_info:one"


def looked_up(query: str, form: str) -> str:
    """Write a template for the value of `query`, whose two `%s` are the alert's project and job."""
    return (
        f"{{{{ with printf `{query}` $labels.project_id $labels.job_id | query }}}}"
        f"{{{{ . | first | value | {form} }}}}{{{{ end }}}}"
    )


_OF_THIS = 'project_id="%s",job_id="%s"'
LOST = looked_up(f"job:trainwave_idle_dollars:max{{{_OF_THIS}}}", 'printf "$%.2f"')
PRICE = looked_up(f"max(trainwave_job_hourly_cost_dollars{{{_OF_THIS}}})", 'printf "$%.2f an hour"')


def group(settings: Settings) -> Group:
    """All alerts on jobs."""
    return Group(name="trainwave-jobs-alerts", rules=(_idle(settings),))


def _idle(settings: Settings) -> Alert:
    seconds = settings.gpu_idle.minutes * 60
    return Alert(
        alert="TrainwaveJobGpuIdle",
        severity="warning",
        concern="gpu_idle",
        # The moment since when is exported, so that a scrape missed in between changes nothing.
        expr=of_job(f"""\
time() - max by (project_id, job_id) (trainwave_job_idle_since_timestamp_seconds) > {seconds}
and on (project_id, job_id) job:trainwave_running:max == 1"""),
        keep_firing="5m",
        summary=f"{WHOSE} has left its GPUs idle for {{{{ $value | humanizeDuration }}}}",
        description=(
            f"No GPU ({{{{ $labels.gpu_type }}}}) of {WHOSE} has done anything for "
            f"{{{{ $value | humanizeDuration }}}}. It costs {PRICE}; {LOST} went into idle GPUs "
            "so far. Stop it, or find out what it waits for."
        ),
        dashboard=DASHBOARD,
    )
