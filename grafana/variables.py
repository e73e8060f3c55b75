"""What can be chosen on a dashboard: each list depends on those before it.

Lists show names and yield ids. All comes from recorded info metrics, by which panels are joined.
"""

from __future__ import annotations

from grafana_foundation_sdk.models.common import DataSourceRef
from grafana_foundation_sdk.models.dashboard import (
    VariableModel,
    VariableOption,
    VariableRefresh,
    VariableSort,
    VariableType,
)

from grafana import queries

SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")

DATASOURCE = VariableModel(
    type_val=VariableType.DATASOURCE,
    name="datasource",
    label="Data source",
    query="prometheus",
    current=VariableOption(text="default", value="default", selected=True),
)


def _listed(name: str, label: str, query: str, regex: str = "") -> VariableModel:
    return VariableModel(
        name=name,
        label=label,
        query=query,
        definition=query,
        datasource=SOURCE,
        regex=regex,
        refresh=VariableRefresh.ON_TIME_RANGE_CHANGED,
        sort=VariableSort.ALPHABETICAL_CASE_INSENSITIVE_ASC,
        multi=True,
        include_all=True,
        all_value=".*",
        current=VariableOption(text=["All"], value=["$__all"], selected=True),
    )


# Only where federation or remote write adds it; else nothing is listed, and all is chosen.
CLUSTER = _listed("cluster", "Cluster", "label_values(trainwave_up, cluster)")

ACCOUNT = _listed("account", "Account", 'label_values(trainwave_up{cluster=~"$cluster"}, account)')

ORGANIZATION = _listed(
    "organization",
    "Organization",
    "query_result(max by (organization_id, organization_name)"
    ' (organization:trainwave_info:one{cluster=~"$cluster",account=~"$account"}))',
    r'/organization_id="(?<value>[^"]*)",\s*organization_name="(?<text>[^"]*)"/',
)

PROJECT = _listed(
    "project",
    "Project",
    "query_result(max by (cluster, project_id, project_name) (project:trainwave_info:one"
    '{cluster=~"$cluster",account=~"$account",organization_id=~"$organization"}))',
    r'/project_id="(?<value>[^"]*)",\s*project_name="(?<text>[^"]*)"/',
)

# Owners and GPU types of money, so that those whose jobs are gone can be chosen, too.
_MONEY = (
    "project:trainwave_cost_dollars:max"
    f" * on (cluster, project_id) group_left () {queries.PROJECTS}"
)

OWNER = _listed(
    "owner",
    "Owner",
    f"query_result(max by (owner) ({_MONEY}))",
    r'/owner="(?<value>[^"]*)"/',
)

GPU_TYPE = _listed(
    "gpu_type",
    "GPU type",
    f"query_result(max by (gpu_type) ({_MONEY}))",
    r'/gpu_type="(?<value>[^"]*)"/',
)

JOB = _listed(
    "job",
    "Job",
    "query_result(max by (job_id, job_label) (label_join("
    f'{queries.JOBS}, "job_label", " · ", "job_name", "job_id")))',
    r'/job_id="(?<value>[^"]*)",\s*job_label="(?<text>[^"]*)"/',
)
# One job at a time, of which the first is shown until one is chosen.
JOB.multi = False
JOB.include_all = False
JOB.all_value = None
JOB.current = None

INSTANCE = _listed(
    "instance",
    "Exporter",
    'label_values(trainwave_exporter_build_info{cluster=~"$cluster"}, instance)',
)

FILTERS = (DATASOURCE, CLUSTER, ACCOUNT, ORGANIZATION, PROJECT, OWNER, GPU_TYPE)
"""What all dashboards about jobs and money let choose."""
