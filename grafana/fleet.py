"""The Fleet dashboard: what runs now, at what price, and what became of what ran."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

from grafana import links, palette, panels, uids
from grafana.board import Row, board
from grafana.panels import About, Query, steps
from grafana.queries import chosen, of_projects, running
from grafana.tables import Column, rows
from grafana.variables import FILTERS


def dashboard() -> Dashboard:
    """Show the fleet."""
    return board(
        uid=uids.FLEET,
        title="Trainwave / Fleet",
        description="What runs on Trainwave now, at what price, and what became of what ran.",
        variables=FILTERS,
        rows=[Row("Now", [_burn()]), Row("Running jobs", [_jobs()])],
    )


def _burn() -> Panel:
    burn = of_projects(chosen("project:trainwave_burn_dollars_per_hour:max"))
    return panels.number(
        About(
            title="Burn",
            description="What an hour of all running jobs costs at their present prices.",
            unit="currencyUSD",
            decimals=2,
            no_data="Nothing runs",
            width=4,
            height=4,
        ),
        Query(f"sum({burn})"),
    )


def _jobs() -> Panel:
    utilization = steps(palette.BAD, (0.05, palette.WARNING), (0.5, palette.GOOD))
    return rows(
        About(
            title="Running jobs",
            description="All running jobs. Their names lead to all that is known of them.",
            no_data="No job runs",
            width=24,
            height=12,
        ),
        [
            Column(
                heading="Utilization",
                expr=running("job:trainwave_gpu_utilization_ratio:avg"),
                unit="percentunit",
                bar=1,
                thresholds=utilization,
            ),
            Column(
                heading="Cost",
                expr=running("job:trainwave_cost_dollars:max"),
                unit="currencyUSD",
            ),
        ],
        labels={
            "job_name": "Job",
            "project_name": "Project",
            "owner": "Owner",
            "gpu_type": "GPU type",
        },
        hidden=["project_id", "job_id"],
        sort_by="Cost",
        links={"Job": links.JOB_OF_ROW},
    )
