"""How queries are told what the dashboard's variables choose, and what their results are called.

Expressions are known by ids alone, one series for each thing. What is chosen and what is shown is
joined to them from the recorded info metrics, of which there is one series for each thing, too.
"""

from __future__ import annotations

_OF_ACCOUNT = 'account=~"$account",organization_id=~"$organization"'
_OF_PROJECT = f'{_OF_ACCOUNT},project_id=~"$project"'
_OF_OWNER = 'owner=~"$owner",gpu_type=~"$gpu_type"'

ORGANIZATIONS = f"organization:trainwave_info:one{{{_OF_ACCOUNT}}}"
"""Chosen organizations, by account, organization_id, organization_name."""

PROJECTS = f"project:trainwave_info:one{{{_OF_PROJECT}}}"
"""Chosen projects, by account, organization_id, project_id, project_name."""

JOBS = f"job:trainwave_info:one{{{_OF_PROJECT},{_OF_OWNER}}}"
"""Chosen jobs, by all that names them."""

RUNNING = "job:trainwave_running:max == 1"
"""Running jobs, by project_id and job_id."""

ACTIVE = (
    "topk by (project_id, job_id) (1, max by (project_id, job_id, state)"
    ' (trainwave_job_state{state=~"SUBMIT_CODE|LAUNCHING|RUNNING|UPLOADING"}) == 1)'
)
"""Jobs under way, by project_id, job_id and the state that they are in: one, even where two
exporters differ for a moment."""

GPUS = "max by (project_id, job_id) (trainwave_job_gpus)"
"""GPUs allocated to each job."""

PRICE = "max by (project_id, job_id) (trainwave_job_hourly_cost_dollars)"
"""What an hour of each job costs now."""


def of_jobs(expr: str) -> str:
    """Leave the chosen jobs of an expression by `project_id` and `job_id`, and name them."""
    return (
        f"({expr}) * on (project_id, job_id)"
        f" group_left (job_name, project_name, owner, gpu_type) {JOBS}"
    )


def running(expr: str) -> str:
    """Leave the chosen running jobs of an expression by `project_id` and `job_id`; name them."""
    return of_jobs(f"({expr}) and on (project_id, job_id) {RUNNING}")


def of_projects(expr: str) -> str:
    """Leave the chosen projects of an expression by `project_id` and more, and name them."""
    return f"({expr}) * on (project_id) group_left (project_name) {PROJECTS}"


def of_organizations(expr: str) -> str:
    """Leave the chosen organizations of an expression by `organization_id`, and name them."""
    return f"({expr}) * on (organization_id) group_left (organization_name) {ORGANIZATIONS}"


def chosen(metric: str, matchers: str = "") -> str:
    """Select the chosen owners and GPU types of a metric that knows both."""
    return f"{metric}{{{_OF_OWNER}{',' if matchers else ''}{matchers}}}"


def or_zero(expr: str) -> str:
    """Return 0 where there is nothing to sum up or count, though all chosen accounts answer.

    Where one does not, nothing stays nothing: an error is not an empty fleet.
    """
    answer = 'min(max by (account) (trainwave_up{account=~"$account"})) == 1'
    return f"{expr} or 0 * ({answer})"


def called(expr: str, label: str) -> str:
    """Give series a label `called` to be shown by: the value of a label, and a word for none.

    The label itself stays what it is, for links.
    """
    copied = f'label_join({expr}, "called", "", "{label}")'
    return f'label_replace({copied}, "called", "not told", "called", "")'
