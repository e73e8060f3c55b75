"""How alerts get the names of what they are about, and what they say of it in words.

What is watched is known by ids. The names are joined to it from the recorded info metrics, of
which there is one series for each thing.
"""

from __future__ import annotations

from deploy.prometheus.words import looked_up
from grafana import uids

_THIS_JOB = ("$labels.cluster", "$labels.project_id", "$labels.job_id")
_OF_JOB = "account, organization_id, project_name, owner, gpu_type, job_name"

OF_ACCOUNT = "* on (cluster, instance, account) group_left (view) exporter:trainwave_view:one"
"""Gives series by `cluster`, `instance` and `account` what the account's key sees."""

PROJECT = "{{ or $labels.project_name $labels.project_id }}"
"""A project in words."""

OWNER = "{{ or $labels.owner `an unknown owner` }}"
"""An owner in words."""

JOB = (
    "{{ or $labels.job_name `unnamed` }} (job {{ $labels.job_id }}) "
    f"of {OWNER} in {PROJECT}"
)
"""A job in words."""

ORGANIZATION = "{{ or $labels.organization_name $labels.organization_id }}"
"""An organization in words."""

JOB_DASHBOARD = (
    f"/d/{uids.JOB}?var-project={{{{ $labels.project_id }}}}&var-job={{{{ $labels.job_id }}}}"
)


def of_job(expr: str) -> str:
    """Give a job's series, known by `project_id` and `job_id`, the names of what it belongs to."""
    return f"""\
({expr})
* on (cluster, project_id, job_id) group_left ({_OF_JOB})
job:trainwave_info:one"""


def of_owner(expr: str) -> str:
    """Give the series of an owner's jobs, by `project_id` and `owner`, the names of the project."""
    return f"""\
({expr})
* on (cluster, project_id) group_left (account, organization_id, project_name)
topk by (cluster, project_id) (
  1, max by (cluster, account, organization_id, project_id, project_name) (job:trainwave_info:one)
)"""


def of_organization(expr: str) -> str:
    """Give an organization's series its name and account, or leave it as it is without them.

    A name is good for a quarter of an hour: an alert that is without it for a scrape would be
    another one, whose wait restarts.
    """
    return f"""\
({expr})
* on (cluster, organization_id) group_left (account, organization_name)
topk by (cluster, organization_id) (1, last_over_time(organization:trainwave_info:one[15m]))
or on (cluster, organization_id)
({expr})"""


def of_this_job(query: str, form: str, missing: str) -> str:
    """Write a template for what `query`, with a `%s` for the matchers of the job, finds."""
    matched = query % "cluster=%q,project_id=%q,job_id=%q"
    return looked_up(matched, *_THIS_JOB, form=form, missing=missing)
