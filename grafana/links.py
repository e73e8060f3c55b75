"""Ways from one dashboard to another, and out to Trainwave."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import DashboardLink, DashboardLinkType

from grafana import uids

_KEPT = ("datasource", "cluster", "account", "organization", "project", "owner", "gpu_type")


def drill(uid: str, title: str, **chosen: str) -> DashboardLink:
    """Link to a dashboard, keeping time range and variables but for what is `chosen`.

    A chosen value is a template, say `${__data.fields.job_id}`.
    """
    kept = [f"${{{name}:queryparam}}" for name in _KEPT if name not in chosen]
    parameters = [f"var-{name}={value}" for name, value in chosen.items()]
    query = "&".join([*parameters, *kept, "${__url_time_range}"])
    return DashboardLink(title=title, type_val=DashboardLinkType.LINK, url=f"/d/{uid}?{query}")


def outside(title: str, url: str) -> DashboardLink:
    """Link to a page outside, in a new tab."""
    return DashboardLink(title=title, type_val=DashboardLinkType.LINK, url=url, target_blank=True)


# Tables carry ids as fields, other panels as labels of their series.
_FIELDS, _LABELS = "${__data.fields.%s}", "${__field.labels.%s}"


def _job(form: str) -> tuple[DashboardLink, ...]:
    job_id = form % "job_id"
    return (
        drill(uids.JOB, "This job", job=job_id, project=form % "project_id"),
        outside("The job at Trainwave", f"https://trainwave.ai/jobs/{job_id}"),
    )


JOB_OF_ROW, JOB_OF_SERIES = _job(_FIELDS), _job(_LABELS)
"""To a job: its dashboard, and its page at Trainwave."""


def project(uid: str, title: str, *, row: bool) -> tuple[DashboardLink, ...]:
    """Link to a dashboard for one project, and to the project's page at Trainwave."""
    project_id = (_FIELDS if row else _LABELS) % "project_id"
    return (
        drill(uid, title, project=project_id),
        outside("The project at Trainwave", f"https://trainwave.ai/projects/{project_id}"),
    )
