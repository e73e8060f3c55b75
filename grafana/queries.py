"""How queries take what the dashboard's variables choose, and what their results are called.

Expressions are known by ids alone, one series for each thing. What is chosen and what is shown is
joined to them from the recorded info metrics, of which there is one series for each thing, too.
"""

from __future__ import annotations

_OF_ACCOUNT = 'cluster=~"$cluster",account=~"$account",organization_id=~"$organization"'
_OF_PROJECT = f'{_OF_ACCOUNT},project_id=~"$project"'
_OF_OWNER = 'owner=~"$owner",gpu_type=~"$gpu_type"'

OF_ACCOUNT = "* on (cluster, instance, account) group_left (view) exporter:trainwave_view:one"
"""Gives series of one exporter, by `cluster`, `instance` and `account`, what the account sees."""

OF_EXPORTER = (
    "* on (cluster, instance) group_left (view) topk by (cluster, instance)"
    " (1, max by (cluster, instance, view) (exporter:trainwave_view:one))"
)
"""The same for series by `cluster` and `instance`: what one of the exporter's accounts sees."""

ACCOUNTS = 'account:trainwave_up:max{cluster=~"$cluster",account=~"$account"}'
"""Whether each chosen account is up, by cluster, account and view."""

BUDGETS = 'cluster=~"$cluster"'
"""Matches the budgets of the chosen clusters."""


def _once(keys: str, selector: str) -> str:
    """Leave one of each thing: of one cluster, where several watch it."""
    return f"topk by ({keys}) (1, {selector})"


ORGANIZATIONS = _once("organization_id", f"organization:trainwave_info:one{{{_OF_ACCOUNT}}}")
"""Chosen organizations, by cluster, account, organization_id, organization_name."""

PROJECTS = _once("project_id", f"project:trainwave_info:one{{{_OF_PROJECT}}}")
"""Chosen projects, by cluster, account, organization_id, project_id, project_name."""

JOBS_OF_CLUSTERS = f"job:trainwave_info:one{{{_OF_PROJECT},{_OF_OWNER}}}"
"""Chosen jobs, by all that names them; one that several clusters watch as often as they do."""

JOBS = _once("project_id, job_id", JOBS_OF_CLUSTERS)
"""Chosen jobs, by all that names them."""

RUNNING = "job:trainwave_running:max == 1"
"""Running jobs, by cluster, project_id and job_id."""

ACTIVE = (
    "topk by (cluster, project_id, job_id) (1, max by (cluster, project_id, job_id, state)"
    ' (trainwave_job_state{state=~"SUBMIT_CODE|LAUNCHING|RUNNING|UPLOADING"}) == 1)'
)
"""Jobs under way, by cluster, project_id, job_id and the state that they are in: one, even where
two exporters differ for a moment."""

GPUS = "max by (cluster, project_id, job_id) (trainwave_job_gpus)"
"""GPUs allocated to each job."""

PRICE = "max by (cluster, project_id, job_id) (trainwave_job_hourly_cost_dollars)"
"""What an hour of each job costs now."""


def of_jobs(expr: str) -> str:
    """Leave the chosen jobs of an expression by `cluster`, `project_id`, `job_id`; name them."""
    return (
        f"({expr}) * on (cluster, project_id, job_id)"
        f" group_left (job_name, project_name, owner, gpu_type) {JOBS}"
    )


def running(expr: str) -> str:
    """Leave the chosen jobs that run, as `of_jobs` does."""
    return of_jobs(f"({expr}) and on (cluster, project_id, job_id) {RUNNING}")


def running_summed(expr: str) -> str:
    """Sum up an expression by `cluster`, `project_id`, `job_id` and more of the jobs that run.

    The same as ``sum(running(expr))``, which takes too long for every point of a graph.
    """
    chosen = (
        f"(({expr}) and on (cluster, project_id, job_id) {RUNNING})"
        f" * on (cluster, project_id, job_id) group_left () {JOBS_OF_CLUSTERS}"
    )
    return f"sum(max without (cluster) ({chosen}))"


def of_projects(expr: str) -> str:
    """Leave the chosen projects of an expression by `cluster`, `project_id` and more; name them."""
    return f"({expr}) * on (cluster, project_id) group_left (project_name) {PROJECTS}"


def of_organizations(expr: str) -> str:
    """Leave the chosen organizations of an expression by `cluster`, `organization_id`."""
    return (
        f"({expr}) * on (cluster, organization_id) group_left (organization_name) {ORGANIZATIONS}"
    )


def chosen(metric: str, matchers: str = "") -> str:
    """Select the chosen owners and GPU types of a metric that knows both."""
    return f"{metric}{{{_OF_OWNER}{',' if matchers else ''}{matchers}}}"


def or_zero(expr: str) -> str:
    """Return 0 where there is nothing to sum up or count, though all chosen accounts answer.

    Where one does not, nothing stays nothing: an error is not an empty fleet.
    """
    answer = f"min({ACCOUNTS}) == 1"
    return f"{expr} or 0 * ({answer})"


def called(expr: str, label: str) -> str:
    """Give series a label `called` to be shown by: the value of a label, and a word for none.

    The label itself stays what it is, for links.
    """
    copied = f'label_join({expr}, "called", "", "{label}")'
    return f'label_replace({copied}, "called", "not reported", "called", "")'
