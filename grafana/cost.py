"""The Cost dashboard: what was spent, on what, against which budget, and what is left."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

from grafana import links, palette, panels, uids
from grafana.board import Row, board
from grafana.panels import About, Query, steps, time_left
from grafana.queries import (
    BUDGETS,
    OF_EXPORTER,
    PRICE,
    called,
    chosen,
    of_jobs,
    of_organizations,
    of_projects,
)
from grafana.tables import Column, dollars, jobs, rows
from grafana.variables import FILTERS

LISTED = 100
"""How many jobs the table shows at most."""

_SPENT = "project:trainwave_cost_dollars:max"
_RUNWAY = "organization:trainwave_credit_exhaustion_timestamp_seconds:min"


def dashboard() -> Dashboard:
    """Show where money goes."""
    return board(
        uid=uids.COST,
        title="Trainwave / Cost",
        description="Spend by project, owner and GPU type, budgets, and credit.",
        variables=FILTERS,
        time_from="now-7d",
        rows=[
            Row("Spend", [*_periods(), _burn(), _runway()]),
            Row("Budgets", [_budgets(), _budget_use(), _unknown()]),
            Row("Breakdown", [*_spenders(), _by_project(), _by_gpu_type()]),
            Row("Jobs", [_jobs()]),
            Row("Credit", [_credit(), _difference(), _corrections()]),
        ],
    )


def _spent(window: str = "$__range") -> str:
    """Return what chosen projects spent in that time, by owner and GPU type."""
    return of_projects(f"increase({chosen(_SPENT)}[{window}])")


def _periods() -> list[Panel]:
    return [
        panels.number(
            About(
                title=f"Spend {title}",
                description=(
                    f"Spend {since}, in the time zone of the dashboard. Does not depend on its"
                    " time range."
                ),
                unit="currencyUSD",
                decimals=2,
                no_data="No spend recorded yet",
                width=4,
                height=4,
            ),
            Query(f"sum({_spent()})"),
            time_from=time_from,
        )
        for title, since, time_from in (
            ("today", "since midnight", "now/d"),
            ("this week", "since the week began", "now/w"),
            ("this month", "since the month began", "now/M"),
        )
    ] + [
        panels.number(
            About(
                title="Spend in the time range",
                description="Spend in the time range of the dashboard.",
                unit="currencyUSD",
                decimals=2,
                no_data="No spend recorded yet",
                width=4,
                height=4,
            ),
            Query(f"sum({_spent()})"),
        )
    ]


def _burn() -> Panel:
    burn = of_projects(chosen("project:trainwave_burn_dollars_per_hour:max"))
    return panels.number(
        About(
            title="Spend rate",
            description="Current spend rate of all running jobs, in dollars per hour.",
            unit="currencyUSD",
            decimals=2,
            no_data="No running jobs",
            width=4,
            height=4,
        ),
        Query(f"sum({burn})"),
    )


def _runway() -> Panel:
    return panels.number(
        About(
            title="Credit lasts",
            description=(
                "Time until the first of the chosen organizations has no credit left, if the"
                " running jobs keep running until they expire."
            ),
            unit="s",
            no_data="No end in sight",
            width=4,
            height=4,
        ),
        Query(f"clamp_min(min({of_organizations(_RUNWAY)}) - time(), 0)"),
        thresholds=time_left(86_400, 259_200),
    )


def _budget(name: str) -> str:
    return f"budget:trainwave_{name}{{{BUDGETS}}}"


_LIMIT = f"on (cluster, view, budget) ({_budget('limit_dollars:max')} > 0)"


def _share(figure: str) -> str:
    """Return the part of the limit: of the exact value, or of the lower bound without one."""
    exact, lower = _budget(f"{figure}_dollars:max"), _budget(f"{figure}_lower_dollars:max")
    return f"({exact} or on (cluster, view, budget) {lower}) / {_LIMIT}"


_SHARE = _share("spent")
_USE = steps(palette.GOOD, (0.8, palette.WARNING), (1, palette.BAD))


def _budgets() -> Panel:
    return rows(
        About(
            title="Budgets in the current period",
            description=(
                "All budgets of the chosen clusters; other variables do not apply. A view is what"
                " an exporter's accounts see; where exporters with the same view have different"
                " settings of a budget, that with the lowest limit applies, and of those that whose"
                " period ends last. The forecast is the share of the limit"
                " that will be spent by the end of the period if the running jobs keep running"
                " until they expire. Exhausted is empty if the limit will not be reached. Accrued"
                " is the part of the spend that is not billed yet. While the spend is not known"
                " exactly, Spent is empty, and Share of limit and Forecast use its lower bound."
            ),
            no_data="No budget is configured",
            width=24,
            height=6,
        ),
        [
            Column(
                heading="Limit",
                expr=_budget("limit_dollars:max"),
                unit="currencyUSD",
                decimals=2,
                width=100,
            ),
            Column(
                heading="Spent",
                expr=_budget("spent_dollars:max"),
                unit="currencyUSD",
                decimals=2,
                width=100,
            ),
            *(
                Column(
                    heading=heading, expr=_budget(name), unit="currencyUSD", decimals=2, width=100
                )
                for heading, name in (
                    ("Lower bound", "spent_lower_dollars:max"),
                    ("Upper bound", "spent_upper_dollars:min"),
                    ("Accrued", "accrued_dollars:max"),
                )
            ),
            Column(
                heading="Share of limit",
                expr=_SHARE,
                unit="percentunit",
                decimals=0,
                bar=1,
                thresholds=_USE,
                width=150,
            ),
            Column(
                heading="Forecast",
                expr=_share("forecast"),
                unit="percentunit",
                decimals=0,
                thresholds=_USE,
                width=110,
            ),
            Column(
                heading="Exhausted",
                expr=f"1000 * {_budget('exhaustion_timestamp_seconds:min')}",
                unit="dateTimeFromNow",
                width=120,
            ),
            Column(
                heading="Period ends",
                expr=f"1000 * {_budget('period_end_timestamp_seconds:max')}",
                unit="dateTimeFromNow",
                width=120,
            ),
        ],
        labels={"budget": "Budget", "view": "View", "cluster": "Cluster"},
        sort_by="Share of limit",
    )


def _budget_use() -> Panel:
    return panels.series(
        About(
            title="Budgets over time",
            description=(
                "Share of each budget's limit that was spent in its period. It falls to zero when"
                " a period begins. At 100 % the limit is reached. While the spend is not known"
                " exactly, its lower bound is shown."
            ),
            unit="percentunit",
            no_data="No budget is configured",
            width=12,
            height=6,
        ),
        Query(_SHARE, "{{budget}} {{view}}"),
        Query("vector(1)", "limit"),
        bounds="^limit$",
    )


def _unknown() -> Panel:
    return rows(
        About(
            title="Unknown figures",
            description=(
                "Figures that are absent because they are unknown, and why, of the chosen"
                " clusters; other variables do not apply. partial_view is no fault: the account"
                " watches only a part of the organization."
            ),
            no_data="All figures are known",
            width=12,
            height=6,
        ),
        [
            Column(
                heading="Reason", expr=f"figure:trainwave_unknown:max{{{BUDGETS}}}", label="reason"
            )
        ],
        labels={"figure": "Figure", "name": "Name", "view": "View", "cluster": "Cluster"},
        sort_by="Figure",
    )


def _spenders() -> list[Panel]:
    of_project = f"sum by (cluster, project_id, project_name) ({_spent()})"
    return [
        panels.ranking(
            About(
                title="Spend by project",
                description="The ten projects with the highest spend in the time range.",
                unit="currencyUSD",
                decimals=2,
                no_data="Nothing was spent",
            ),
            Query(f"sort_desc(topk(10, {of_project} > 0))", "{{project_name}}"),
            links=links.project(uids.COST, "This project alone", row=False),
        ),
        panels.ranking(
            About(
                title="Spend by owner",
                description="The ten owners with the highest spend in the time range.",
                unit="currencyUSD",
                decimals=2,
                no_data="Nothing was spent",
            ),
            Query(
                f"sort_desc({called(f'topk(10, sum by (owner) ({_spent()}) > 0)', 'owner')})",
                "{{called}}",
            ),
            links=[links.drill(uids.COST, "This owner alone", owner="${__field.labels.owner}")],
        ),
    ]


def _by_project() -> Panel:
    spent = _spent("$__rate_interval")
    return panels.series(
        About(
            title="Spend over time by project",
            description=(
                "Each bar covers the time since the previous one, at least an hour. A cost counts"
                " when the exporter sees it."
            ),
            unit="currencyUSD",
            no_data="Nothing was spent",
        ),
        Query(f"sum by (cluster, project_id, project_name) ({spent}) > 0", "{{project_name}}"),
        bars=True,
        stacked=True,
        interval="1h",
        links=links.project(uids.COST, "This project alone", row=False),
    )


def _by_gpu_type() -> Panel:
    spent = _spent("$__rate_interval")
    return panels.series(
        About(
            title="Spend over time by GPU type",
            description="Each bar covers the time since the previous one, at least an hour.",
            unit="currencyUSD",
            no_data="Nothing was spent",
        ),
        Query(f"sum by (gpu_type) ({spent}) > 0", "{{gpu_type}}"),
        bars=True,
        stacked=True,
        interval="1h",
    )


def _jobs() -> Panel:
    dearest = f"topk({LISTED}, {of_jobs('job:trainwave_cost_dollars:max')})"

    def listed(expr: str) -> str:
        return f"{of_jobs(expr)} and on (cluster, project_id, job_id) {dearest}"

    return jobs(
        About(
            title="Most expensive jobs",
            description=(
                "Running and finished jobs that an exporter still shows, by their cost so far. At"
                f" most {LISTED} are shown; older jobs are in the sums above."
            ),
            no_data="No jobs",
            width=24,
            height=10,
        ),
        [
            dollars("Cost", listed("job:trainwave_cost_dollars:max")),
            Column(
                heading="State",
                expr=listed(
                    "max by (cluster, project_id, job_id, state) (trainwave_job_state) == 1"
                ),
                label="state",
                width=170,
            ),
            dollars("Hourly price", listed(PRICE)),
            Column(
                heading="GPU hours",
                expr=listed("max by (cluster, project_id, job_id) (trainwave_job_gpu_hours)"),
                decimals=1,
                width=110,
            ),
            dollars("Wasted on idle GPUs", listed("job:trainwave_idle_dollars:max")),
        ],
        sort_by="Cost",
    )


def _credit() -> Panel:
    balance = of_organizations("organization:trainwave_credit_balance_dollars:min")
    return panels.series(
        About(
            title="Credit left",
            description="The credit of each organization. It rises when it is topped up.",
            unit="currencyUSD",
            no_data="The API reports no credit",
            width=8,
        ),
        Query(balance, "{{organization_name}}"),
        minimum=None,
    )


def _difference() -> Panel:
    difference = of_organizations(
        "max by (cluster, organization_id) (trainwave_reconciliation_difference_dollars)"
    )
    return panels.series(
        About(
            title="Credit reconciliation",
            description=(
                "By how much the credit fell beyond the cost of the jobs in the same time. Near"
                " zero, the jobs explain the whole bill; a lasting difference is a cost that no job"
                " explains."
            ),
            unit="currencyUSD",
            no_data="The API reports no credit",
            width=8,
        ),
        Query(difference, "{{organization_name}}"),
        minimum=None,
    )


def _corrections() -> Panel:
    corrections = (
        "sum by (direction) (max by (cluster, view, direction) ("
        f"increase(trainwave_cost_corrections_dollars_total{{{BUDGETS}}}[$__rate_interval])"
        f" {OF_EXPORTER}))"
    )
    return panels.series(
        About(
            title="Corrections",
            description=(
                "Cost adjustments made by the API, of all projects; no variable applies. Each bar"
                " covers the time since the previous one, at least an hour."
            ),
            unit="currencyUSD",
            no_data="No corrections",
            width=8,
        ),
        Query(corrections, "{{direction}}"),
        bars=True,
        interval="1h",
        colors={"up": palette.VERMILLION, "down": palette.BLUE},
    )
