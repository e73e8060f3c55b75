"""Recording rules: what dashboards and alerts share.

Several exporters may watch one account, each with target labels of its own, and a renamed job has
two info series for a while. Whatever is shared is therefore brought to one series for each thing
first: money and hours by their maximum, as no ledger counts too much, names by any one of them.
"""

from __future__ import annotations

from typing import Literal

from deploy.prometheus.naming import OF_ACCOUNT
from deploy.prometheus.rule import Group, Record

_OF_JOB = "project_id, job_id, job_rid, job_name, project_name, owner, gpu_type"


def _described(labels: str) -> str:
    """Return one info series for each job, with these labels.

    An exporter that starts knows a job by its id before it knows its name and GPU type. What was
    known before stays for a while, so that no alert becomes another one by that.
    """
    return f"""\
  topk by (cluster, project_id, job_id) (
    1,
    max by (cluster, {labels}) (
      last_over_time(trainwave_job_info{{gpu_type!="",job_name!=""}}[15m])
    )
  )
  or on (cluster, project_id, job_id)
  topk by (cluster, project_id, job_id) (
    1,
    max by (cluster, {labels}) (trainwave_job_info)
  )"""


# Jobs that cost nothing yet, or run on unknown GPUs, are no measure for others.
_COST_BY_GPU_TYPE = """\
  (job:trainwave_cost_dollars:max > 0)
  * on (cluster, project_id, job_id) group_left (gpu_type)
  job:trainwave_info:one{gpu_type!=""}"""

_BY_CHOICE = "sum by (cluster, project_id, owner, gpu_type)"
_UTILIZATION = "job:trainwave_gpu_utilization_ratio:avg"
_UP_TO = ("0.05", "0.2", "0.4", "0.6", "0.8", "1")
"""Upper bounds of utilization; up to the first is what the exporter takes for idle by default."""


def _no_busier_than(bound: str) -> str:
    """Return the GPUs whose job uses them no more than that: a bucket, which may be empty."""
    return f"""\
label_replace(
  {_BY_CHOICE} (
    job:trainwave_running_gpus:max
    * on (cluster, project_id, job_id) group_left () ({_UTILIZATION} <= bool {bound})
  ),
  "le", "{bound}", "", ""
)"""


# GPUs of running jobs, and how busy they are by the mean of each job's. Of ten thousand jobs that
# takes too long to be computed again for every point of a graph.
_RUNNING_GPUS = (
    Record(
        record="job:trainwave_running_gpus:max",
        expr="""\
(
  max by (cluster, project_id, job_id) (trainwave_job_gpus)
  and on (cluster, project_id, job_id)
  job:trainwave_running:max == 1
)
* on (cluster, project_id, job_id) group_left (owner, gpu_type)
job:trainwave_info:one""",
    ),
    Record(
        record="project:trainwave_running_gpus:sum",
        expr=f"{_BY_CHOICE} (job:trainwave_running_gpus:max)",
    ),
    Record(
        # Each counts for the part of it that is used; what nothing is read of is in no bucket.
        record="project:trainwave_used_gpus:sum",
        expr=f"""\
{_BY_CHOICE} (
  job:trainwave_running_gpus:max * on (cluster, project_id, job_id) group_left () {_UTILIZATION}
)""",
    ),
    Record(
        record="project:trainwave_gpus_by_utilization:bucket",
        expr="\nor\n".join(_no_busier_than(bound) for bound in _UP_TO),
    ),
)

# A job's series are known by project and job alone: where an account names no organization for a
# job, its project may.
_JOBS = Group(
    name="trainwave-jobs",
    rules=(
        Record(
            # Projects that are summed up, as others are, have no description of their own.
            record="project:trainwave_info:one",
            expr="""\
topk by (cluster, project_id) (
  1, max by (cluster, account, organization_id, project_id, project_name) (trainwave_project_info)
)
or on (cluster, project_id)
label_replace(
  1 + 0 * (
    max by (cluster, project_id) (trainwave_project_cost_dollars_total)
    or on (cluster, project_id)
    max by (cluster, project_id) (trainwave_jobs)
  ),
  "project_name", "$1", "project_id", "(.*)"
)""",
        ),
        Record(
            record="organization:trainwave_info:one",
            expr="""\
topk by (cluster, organization_id) (
  1, max by (cluster, account, organization_id, organization_name) (trainwave_organization_info)
)""",
        ),
        Record(
            record="job:trainwave_info:one",
            expr=f"""\
(
{_described(_OF_JOB)}
)
* on (cluster, project_id) group_left (account, organization_id)
topk by (cluster, project_id) (
  1,
  max by (cluster, account, organization_id, project_id) (
    last_over_time(trainwave_project_info[15m])
  )
)
or on (cluster, project_id, job_id)
(
{_described(f"organization_id, {_OF_JOB}")}
)""",
        ),
        Record(
            # What has ended does not run, whatever state the API still reports.
            record="job:trainwave_running:max",
            expr="""\
max by (cluster, project_id, job_id) (trainwave_job_state{state="RUNNING"})
unless on (cluster, project_id, job_id)
trainwave_job_finished_timestamp_seconds""",
        ),
        Record(
            record="job:trainwave_cost_dollars:max",
            expr="max by (cluster, project_id, job_id) (trainwave_job_cost_dollars)",
        ),
        Record(
            record="job:trainwave_gpu_utilization_ratio:avg",
            expr="avg by (cluster, project_id, job_id) (trainwave_job_gpu_utilization_ratio)",
        ),
        *_RUNNING_GPUS,
        Record(
            # An exporter of version 0.1.0 does not value idle hours: the job's average price does.
            # A later one says nothing where it cannot value them, and nor does this.
            record="job:trainwave_idle_dollars:max",
            expr="""\
max by (cluster, project_id, job_id) (trainwave_job_waste_dollars{reason="gpu_idle"})
or on (cluster, project_id, job_id)
max by (cluster, project_id, job_id) (
  trainwave_job_idle_gpu_hours
  and on (cluster, instance) trainwave_exporter_build_info{version=~"0[.]1[.].+"}
)
* on (cluster, project_id, job_id) job:trainwave_cost_dollars:max
/ on (cluster, project_id, job_id)
(max by (cluster, project_id, job_id) (trainwave_job_gpu_hours) > 0)""",
        ),
        Record(
            record="job:trainwave_finished_timestamp_seconds:max",
            expr="""\
max by (cluster, project_id, job_id) (trainwave_job_finished_timestamp_seconds)
* on (cluster, project_id, job_id) group_left (owner)
job:trainwave_info:one""",
        ),
        Record(
            # Only failures after which no job of the same owner in the same project succeeded.
            # Whoever cancels a job has neither failed nor succeeded.
            record="job:trainwave_failed_timestamp_seconds:max",
            expr="""\
(
  job:trainwave_finished_timestamp_seconds:max
  and on (cluster, project_id, job_id)
  trainwave_job_state{state=~"ERROR|FAILED|USER_PROCESS_FAILED|SYSTEM_TERMINATED"} == 1
)
> on (cluster, project_id, owner) group_left ()
(
  max by (cluster, project_id, owner) (
    job:trainwave_finished_timestamp_seconds:max
    and on (cluster, project_id, job_id)
    trainwave_job_state{state=~"SUCCESS|COMPLETED"} == 1
  )
  or on (cluster, project_id, owner)
  0 * max by (cluster, project_id, owner) (job:trainwave_finished_timestamp_seconds:max)
)""",
        ),
        Record(
            record="project:trainwave_job_cost_dollars:median",
            expr=f"quantile by (cluster, project_id, gpu_type) (\n  0.5,\n{_COST_BY_GPU_TYPE}\n)",
        ),
        Record(
            record="project:trainwave_job_cost_dollars:count",
            expr=f"count by (cluster, project_id, gpu_type) (\n{_COST_BY_GPU_TYPE}\n)",
        ),
    ),
)


def _high_water(record: str, counter: str, labels: str) -> Record:
    """Record a counter of several exporters as one that never falls.

    The maximum would fall when the exporter that has counted most goes away, and a counter that
    falls is taken for a restart: all that was ever spent would seem to be spent at that moment.
    """
    now = f"max by ({labels}) ({counter})"
    before = f"last_over_time({record}[1h])"
    expr = f"""\
{now} > on ({labels}) {before}
or on ({labels})
({before} and on ({labels}) {now})
or on ({labels})
{now}"""
    return Record(record=record, expr=expr)


def _of_exporter(metric: str, chosen: Literal["lowest", "latest", "in_force"]) -> str:
    """Select a metric of budgets, of exporters that are chosen for them."""
    return f"""\
  {metric}
  and on (cluster, instance, view, budget) exporter:trainwave_budget_limit_dollars:{chosen}"""


def _first(metric: str) -> str:
    """Select the highest of the budgets with the latest period; of equal ones any."""
    return f"topk by (cluster, view, budget) (\n  1,\n{_of_exporter(metric, 'latest')}\n)"


# Where exporters that see the same disagree about a budget, exactly one of them has it in force,
# and all its values come from that one: the spend of one scope or period says nothing about
# another. It has the lowest limit, of those the latest end of the period, and of those the highest
# spend, or else the highest lower bound.
_BUDGETS_IN_FORCE = (
    Record(
        record="exporter:trainwave_budget_limit_dollars:lowest",
        expr="""\
max by (cluster, instance, view, budget) (trainwave_budget_limit_dollars)
== on (cluster, view, budget) group_left ()
min by (cluster, view, budget) (trainwave_budget_limit_dollars)""",
    ),
    Record(
        record="exporter:trainwave_budget_limit_dollars:latest",
        expr=f"""\
exporter:trainwave_budget_limit_dollars:lowest
unless on (cluster, instance, view, budget)
(
  max by (cluster, instance, view, budget) (trainwave_budget_period_end_timestamp_seconds)
  < on (cluster, view, budget) group_left ()
  max by (cluster, view, budget) (
  {_of_exporter("trainwave_budget_period_end_timestamp_seconds", "lowest")}
  )
)""",
    ),
    Record(
        record="exporter:trainwave_budget_limit_dollars:in_force",
        expr=f"""\
exporter:trainwave_budget_limit_dollars:latest
and on (cluster, instance, view, budget)
(
{_first("trainwave_budget_spent_dollars")}
or on (cluster, view, budget)
{_first('trainwave_budget_spent_bound_dollars{bound="lower"}')}
or on (cluster, view, budget)
topk by (cluster, view, budget) (1, exporter:trainwave_budget_limit_dollars:latest)
)""",
    ),
)


def _in_force(metric: str, which: Literal["max", "min"] = "max") -> Record:
    """Record a metric of budgets, of the exporter whose budget is in force."""
    return Record(
        record=f"budget:{metric.replace('_budget', '')}:{which}",
        expr=f"{which} by (cluster, view, budget) (\n{_of_exporter(metric, 'in_force')}\n)",
    )


def _bound(figure: Literal["spent", "forecast"], bound: Literal["lower", "upper"]) -> Record:
    """Record a bound of a figure that the exporter whose budget is in force does not know."""
    which = "max" if bound == "lower" else "min"
    metric = f'trainwave_budget_{figure}_bound_dollars{{bound="{bound}"}}'
    return Record(
        record=f"budget:trainwave_{figure}_{bound}_dollars:{which}",
        expr=f"""\
{which} by (cluster, view, budget) (
{_of_exporter(metric, "in_force")}
)
unless on (cluster, view, budget) budget:trainwave_{figure}_dollars:max""",
    )


_MONEY = Group(
    name="trainwave-money",
    rules=(
        _high_water(
            "project:trainwave_cost_dollars:max",
            "trainwave_project_cost_dollars_total",
            "cluster, project_id, owner, gpu_type",
        ),
        _high_water(
            "project:trainwave_activity_gpu_hours:max",
            "trainwave_project_activity_gpu_hours_total",
            "cluster, project_id, owner, gpu_type, activity",
        ),
        _high_water(
            "project:trainwave_waste_dollars:max",
            "trainwave_waste_dollars_total",
            "cluster, project_id, owner, gpu_type, reason",
        ),
        Record(
            record="project:trainwave_burn_dollars_per_hour:max",
            expr="max by (cluster, project_id, owner, gpu_type) (trainwave_burn_dollars_per_hour)",
        ),
        Record(
            record="organization:trainwave_credit_balance_dollars:min",
            expr="""\
min by (cluster, organization_id) (trainwave_organization_credit_balance_dollars)""",
        ),
        Record(
            record="organization:trainwave_credit_exhaustion_timestamp_seconds:min",
            expr="""\
min by (cluster, organization_id) (trainwave_organization_credit_exhaustion_timestamp_seconds)""",
        ),
        *_BUDGETS_IN_FORCE,
        *(
            _in_force(f"trainwave_budget_{name}")
            for name in (
                "spent_dollars",
                "accrued_dollars",
                "limit_dollars",
                "forecast_dollars",
                "period_start_timestamp_seconds",
                "period_end_timestamp_seconds",
            )
        ),
        _in_force("trainwave_budget_exhaustion_timestamp_seconds", "min"),
        _bound("spent", "lower"),
        _bound("spent", "upper"),
        _bound("forecast", "lower"),
        Record(
            # What may be spent in an hour so that the limit is reached when the period ends.
            record="budget:trainwave_even_dollars_per_hour:max",
            expr="""\
budget:trainwave_limit_dollars:max
/ (
  budget:trainwave_period_end_timestamp_seconds:max
  - budget:trainwave_period_start_timestamp_seconds:max
)
* 3600""",
        ),
    ),
)

# An exporter reports its view once it has listed organizations, and never while its key is refused.
# The view that it had within a day stands in, so that labels of alerts do not change.
_EXPORTERS = Group(
    name="trainwave-exporters",
    rules=(
        Record(
            record="exporter:trainwave_view:one",
            expr="""\
1 + 0 * topk by (cluster, instance, account) (
  1,
  max by (cluster, instance, account, view) (trainwave_up{view!=""})
  or on (cluster, instance, account)
  max by (cluster, instance, account, view) (last_over_time(trainwave_up{view!=""}[1d]))
  or on (cluster, instance, account)
  max by (cluster, instance, account, view) (last_over_time(trainwave_up[1d]))
)""",
        ),
        Record(
            # A scrape that fails in between changes nothing.
            record="account:trainwave_up:max",
            expr=f"""\
max by (cluster, account, view) (
  (
    max by (cluster, instance, account) (trainwave_up)
    or
    max by (cluster, instance, account) (last_over_time(trainwave_up[5m]))
  )
  {OF_ACCOUNT}
)""",
        ),
        Record(
            record="account:trainwave_last_success_timestamp_seconds:max",
            expr=f"""\
max by (cluster, account, view) (
  max by (cluster, instance, account) (
    last_over_time(trainwave_account_last_success_timestamp_seconds[5m])
  )
  {OF_ACCOUNT}
)""",
        ),
        Record(
            # Budgets carry the views of all accounts of an exporter; without any, one account's
            # view stands for the exporter. A scrape that fails in between changes nothing.
            record="exporter:trainwave_views:one",
            expr="""\
1 + 0 * topk by (cluster, instance) (
  1,
  max by (cluster, instance, view) (trainwave_budget_limit_dollars{view!=""})
  or on (cluster, instance)
  max by (cluster, instance, view) (
    last_over_time(trainwave_budget_limit_dollars{view!=""}[5m])
  )
  or on (cluster, instance)
  max by (cluster, instance, view) (exporter:trainwave_view:one{view!=""})
)""",
        ),
        Record(
            # A scrape that fails in between changes nothing. Where the view is unknown, the figure
            # is no less so.
            record="figure:trainwave_unknown:max",
            expr="""\
max by (cluster, view, figure, name, reason) (
  last_over_time(trainwave_figure_unknown[5m])
  * on (cluster, instance) group_left (view) exporter:trainwave_views:one
  or on (cluster, instance)
  last_over_time(trainwave_figure_unknown[5m])
)""",
        ),
    ),
)

GROUPS = (_EXPORTERS, _JOBS, _MONEY)
