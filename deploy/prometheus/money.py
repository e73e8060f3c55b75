"""Alerts on budgets, credit and its reconciliation with the bills."""

from __future__ import annotations

from typing import Literal

from deploy.prometheus.naming import ORGANIZATION, of_organization
from deploy.prometheus.rule import Alert, Group, Severity
from deploy.prometheus.settings import Settings
from deploy.prometheus.words import DOLLARS, DURATION, MOMENT, counted, looked_up, number, own
from grafana import uids

_DASHBOARD = f"/d/{uids.COST}"
_ORGANIZATION_DASHBOARD = (
    f"{_DASHBOARD}?var-organization={{{{ $labels.organization_id | urlquery }}}}"
)
_BUDGET = "{{ $labels.budget }}"
_VIEW = "{{ or $labels.view `unknown` }}"
_MATCHED = "cluster=%q,view=%q,budget=%q"
_THIS = ("$labels.cluster", "$labels.view", "$labels.budget")
_LIMIT, _SPENT, _EVEN = (
    looked_up(f"{metric}{{{_MATCHED}}}", *_THIS, form=DOLLARS, missing="an unknown amount")
    for metric in (
        "budget:trainwave_limit_dollars:max",
        "budget:trainwave_spent_dollars:max",
        "budget:trainwave_even_dollars_per_hour:max",
    )
)
_PERIOD_END = looked_up(
    f"budget:trainwave_period_end_timestamp_seconds:max{{{_MATCHED}}}",
    *_THIS,
    form=MOMENT,
    missing="the end of the period",
)
_BALANCE = looked_up(
    "organization:trainwave_credit_balance_dollars:min{cluster=%q,organization_id=%q}",
    "$labels.cluster",
    "$labels.organization_id",
    form=DOLLARS,
    missing="an unknown amount",
)


def group(settings: Settings) -> Group:
    """All alerts on money."""
    return Group(
        name="trainwave-money-alerts",
        rules=(
            _burn_fast(settings),
            _burn_slow(settings),
            _forecast_exceeded(settings),
            _exhausted(),
            _unknown(settings),
            _figure_unknown(settings),
            _partial_view(),
            _settings_differ(settings),
            _runway_critical(settings),
            _runway_short(settings),
            _drift(settings),
        ),
    )


def _burn_fast(settings: Settings) -> Alert:
    factor = settings.budget.fast_factor
    return _burn("TrainwaveBudgetBurnFast", "critical", factor, hours=1, confirmed="10m")


def _burn_slow(settings: Settings) -> Alert:
    factor = settings.budget.slow_factor
    return _burn("TrainwaveBudgetBurnSlow", "warning", factor, hours=6, confirmed="1h")


def _burn(
    name: str,
    severity: Severity,
    factor: float,
    *,
    hours: int,
    confirmed: Literal["10m", "1h"],
) -> Alert:
    times = number(factor)
    an_hour = {"10m": "* 6", "1h": "* 1"}[confirmed]
    left = looked_up(
        f"(budget:trainwave_limit_dollars:max{{{_MATCHED}}} - budget:trainwave_spent_dollars:max"
        f"{{{_MATCHED}}}) / %f * 3600",
        *_THIS,
        *_THIS,
        "$value",
        form=DURATION,
        missing="a while",
    )
    return Alert(
        alert=name,
        severity=severity,
        concern="budget",
        # The long window says that it matters, the short one that it still goes on, and the same
        # one before it that this is a pace: a correction, or what was spent during an outage, comes
        # in one leap. Deltas are negative where a period turns over and where a correction takes
        # something back. Whatever was not known when the long window began is new, and may still be
        # taking in what was spent before it came.
        expr=f"""\
(
  delta(budget:trainwave_spent_dollars:max[{hours}h])
  and last_over_time(budget:trainwave_spent_dollars:max[15m] offset {hours}h)
) / {hours}
> {times} * budget:trainwave_even_dollars_per_hour:max
and on (cluster, view, budget)
delta(budget:trainwave_spent_dollars:max[{confirmed}]) {an_hour}
> {times} * budget:trainwave_even_dollars_per_hour:max
and on (cluster, view, budget)
delta(budget:trainwave_spent_dollars:max[{confirmed}] offset {confirmed}) {an_hour}
> {times} * budget:trainwave_even_dollars_per_hour:max
and on (cluster, view, budget)
delta(budget:trainwave_spent_dollars:max[{hours}h]) / {hours}
* (budget:trainwave_period_end_timestamp_seconds:max - time()) / 3600
> budget:trainwave_limit_dollars:max - budget:trainwave_spent_dollars:max
and on (cluster, view, budget)
budget:trainwave_spent_dollars:max < budget:trainwave_limit_dollars:max""",
        keep_firing="15m",
        summary=(
            f"The budget {_BUDGET} is spent at {own(DOLLARS)} an hour, "
            f"more than {times} times the even pace"
        ),
        description=(
            f"Over the last {'hour' if hours == 1 else counted(hours, 'hour')}, "
            f"{own(DOLLARS)} an hour were spent of the budget {_BUDGET}; "
            f"{_EVEN} an hour would make it last. {_SPENT} of {_LIMIT} are spent, and at this pace "
            f"the rest lasts for {left}, and not until {_PERIOD_END}. Find the most expensive "
            "jobs, and stop those that can wait."
        ),
        dashboard=_DASHBOARD,
    )


def _forecast_exceeded(settings: Settings) -> Alert:
    hours = settings.budget.forecast_hours
    reached = looked_up(
        f"budget:trainwave_exhaustion_timestamp_seconds:min{{{_MATCHED}}}",
        *_THIS,
        form=f'{MOMENT} | printf "on %s"',
        missing="before the period ends",
    )
    return Alert(
        alert="TrainwaveBudgetForecastExceeded",
        severity="warning",
        concern="budget",
        # The last values stay for a while, so that neither a scrape that failed nor an exporter
        # that starts and does not know yet what runs restarts the wait.
        expr=_reached("forecast", ">"),
        pending=f"{hours}h",
        summary=(
            f"The budget {_BUDGET} is forecast to be exceeded: {_at_least('forecast')}"
            f"{own(DOLLARS)} of {_LIMIT}"
        ),
        description=(
            f"If the running jobs keep running, {_at_least('forecast')}{own(DOLLARS)} of the "
            f"budget {_BUDGET} will be spent by {_PERIOD_END}; its limit of {_LIMIT} is reached "
            f"{reached}. This has been the forecast for {counted(hours, 'hour')}. Stop jobs, let "
            "them expire sooner, or raise the limit."
        ),
        dashboard=_DASHBOARD,
    )


def _exhausted() -> Alert:
    return Alert(
        alert="TrainwaveBudgetExhausted",
        severity="critical",
        concern="budget",
        # The last values stay while an exporter that starts waits for all accounts.
        expr=_reached("spent", ">="),
        summary=(
            f"The budget {_BUDGET} is exhausted: {_at_least('spent')}{own(DOLLARS)} of {_LIMIT}"
            " are spent"
        ),
        description=(
            f"Spent: {_at_least('spent')}{own(DOLLARS)}. The limit of the budget {_BUDGET} is "
            f"{_LIMIT} until {_PERIOD_END}. Nothing stops by itself: stop running jobs, or raise "
            "the limit."
        ),
        dashboard=_DASHBOARD,
    )


def _reached(figure: Literal["spent", "forecast"], compared: str) -> str:
    """Compare the exact value of a figure with the limit, or its lower bound while there is none.

    A budget that is surely exceeded is so however little else is known of it. The bound may lack
    what an exporter that starts does not know yet: for a while, the exact value outlives it.
    """
    limit = "on (cluster, view, budget) last_over_time(budget:trainwave_limit_dollars:max[15m])"
    exact, lower = f"budget:trainwave_{figure}_dollars:max", f"trainwave_{figure}_lower_dollars:max"
    return f"""\
last_over_time({exact}[15m])
{compared} {limit}
or on (cluster, view, budget)
last_over_time(budget:{lower}[15m])
{compared} {limit}
unless on (cluster, view, budget) {exact}"""


def _at_least(figure: Literal["spent", "forecast"]) -> str:
    """Write a template that is empty where the figure is known exactly."""
    given = " ".join([f"`budget:trainwave_{figure}_lower_dollars:max{{{_MATCHED}}}`", *_THIS])
    return f"{{{{ with printf {given} | query }}}}at least {{{{ end }}}}"


def _unknown(settings: Settings) -> Alert:
    bounds = settings.budget
    others = 'figure="budget",reason!="scope_matches_nothing"'
    ago = bounds.unknown_hours * 60 - bounds.unknown_name_minutes
    return Alert(
        alert="TrainwaveBudgetUnknown",
        severity="warning",
        concern="budget_unknown",
        # A name that matches nothing stays so; history and accounts may still come, and are given
        # more time: what was unknown that long ago, and still is. What one exporter does not know
        # yet, another one with the same settings may.
        expr=f"""\
max by (cluster, view, budget, reason) (
  label_replace(
    {_UNKNOWN}{{figure="budget",reason="scope_matches_nothing"}}
    or
    {_UNKNOWN}{{{others}}}
    and
    {_UNKNOWN}{{{others}}} offset {ago}m,
    "budget", "$1", "name", "(.*)"
  )
) == 1
unless on (cluster, view, budget)
budget:trainwave_spent_dollars:max""",
        pending=f"{bounds.unknown_name_minutes}m",
        summary=f"The spend of the budget {_BUDGET} is unknown: {_REASON}",
        description=(
            f"The spend of the budget {_BUDGET} is not known exactly: {_REASON}. "
            "{{ if eq $labels.reason `scope_matches_nothing` }}"
            "Its metrics are absent, so that no other alert on it can fire. Correct its settings; "
            "trainwave-exporter check suggests the nearest name."
            "{{ else }}"
            "Alerts on its burn rate cannot fire; those on its limit fire once the lower bound "
            "exceeds it. The runbook says what to do for each reason."
            "{{ end }}"
        ),
        dashboard=_DASHBOARD,
    )


_UNKNOWN = "figure:trainwave_unknown:max"
REASONS = {
    "scope_matches_nothing": "a name in its settings, or in those of an account, matches nothing",
    "implausible_amount": "a reported cost is far too high for any known price",
    "history_incomplete": "the history of its period is incomplete",
    "account_down": "an account that counts towards it is down",
    "ledger_catching_up": "not all lists have been read since the start",
    "ledger_failing": "the ledger cannot be written",
    "ledger_unavailable": "the ledger can only be read",
    "price_unknown": "the price of a running job is unknown",
    "balance_unconfirmed": "the balance fell by more than was billed",
    "balances_not_settled": "no two balances can be compared with the bills yet",
}
"""All but ``partial_view``, of which there is an alert of its own."""

_REASON = (
    "{{ if "
    + "{{ else if ".join(
        f"eq $labels.reason `{reason}` }}}}{text}" for reason, text in REASONS.items()
    )
    + "{{ else }}{{ $labels.reason }}{{ end }}"
)
"""Why a figure is unknown, in words."""


def _figure_unknown(settings: Settings) -> Alert:
    hours = settings.figures.unknown_hours

    def named(matchers: str, label: str, besides: str = "") -> str:
        """Select figures; what each is of goes into a label that other alerts have, too."""
        return f"""\
label_replace(
  {_UNKNOWN}{{{matchers}}}{besides},
  "{label}", "$1", "name", "(.*)"
)"""

    forecast = f'\n  unless on (cluster, view, name) {_UNKNOWN}{{figure="budget"}}'
    return Alert(
        alert="TrainwaveFigureUnknown",
        severity="warning",
        concern="figure_unknown",
        # Which part of an organization is watched is a setting, and no fault: that, and a budget
        # whose spend is unknown, have alerts of their own.
        expr="\nor on (cluster, view, figure, name, reason)\n".join(
            (
                named('figure=~"credit_.+",reason!="partial_view"', "organization_id"),
                named('figure=~"spend|burn|waste|cost"', "account"),
                named('figure="budget_forecast"', "budget", forecast),
                f'{_UNKNOWN}{{figure!~"budget.*|scope|spend|burn|waste|cost|credit_.+"}}',
            )
        ),
        pending=f"{hours}h",
        summary=f"Unknown: {_FIGURE} of {{{{ $labels.name }}}}, because {_REASON}",
        description=(
            f"For {counted(hours, 'hour')}, {_FIGURE} of {{{{ $labels.name }}}} has been unknown, "
            f"because {_REASON}. Its metrics are absent, so no alert on them can fire. The runbook "
            "says what to do for each reason."
        ),
        dashboard=_DASHBOARD,
    )


def _partial_view() -> Alert:
    return Alert(
        alert="TrainwavePartialView",
        severity="info",
        concern="partial_view",
        # It lasts for as long as the setting does, and can be seen by anyone.
        expr=f"""\
label_replace(
  {_UNKNOWN}{{reason="partial_view"}},
  "organization_id", "$1", "name", "(.*)"
)""",
        pending="15m",
        summary=(
            f"Unknown: {_FIGURE} of {{{{ $labels.name }}}}, because only some of its jobs "
            "are watched"
        ),
        description=(
            f"Exporters with the view {_VIEW} do not see all jobs of {{{{ $labels.name }}}}, so "
            f"{_FIGURE} is unknown: its metrics are absent, and no alert on them can fire. To have "
            "it, watch the organization as a whole; otherwise there is nothing to do."
        ),
        dashboard=_DASHBOARD,
    )


_FIGURE = (
    "{{ if eq $labels.figure `credit_runway` }}the credit runway"
    "{{ else if eq $labels.figure `credit_reconciliation` }}the credit reconciliation"
    "{{ else if eq $labels.figure `spend` }}the spend"
    "{{ else if eq $labels.figure `burn` }}the spend rate"
    "{{ else if eq $labels.figure `waste` }}the idle waste"
    "{{ else if eq $labels.figure `cost` }}the newest cost of a job"
    "{{ else if eq $labels.figure `budget_forecast` }}the forecast of the budget"
    "{{ else }}{{ $labels.figure }}{{ end }}"
)


def _settings_differ(settings: Settings) -> Alert:
    hours = settings.budget.differs_hours
    differs = """\
max by (cluster, view, budget) (trainwave_budget_%s)
> min by (cluster, view, budget) (trainwave_budget_%s)"""
    settings_compared = (
        "limit_dollars",
        "period_start_timestamp_seconds",
        "period_end_timestamp_seconds",
    )
    ratio = number(settings.budget.differs_ratio)
    return Alert(
        alert="TrainwaveBudgetSettingsDiffer",
        severity="warning",
        concern="budget_settings",
        # The scope is no metric; spend that differs for long shows that it is another one.
        expr="\nor on (cluster, view, budget)\n".join(
            (
                *(differs % (one, one) for one in settings_compared),
                f"""\
max by (cluster, view, budget) (trainwave_budget_spent_dollars)
- min by (cluster, view, budget) (trainwave_budget_spent_dollars)
> {ratio} * max by (cluster, view, budget) (trainwave_budget_limit_dollars)""",
            )
        ),
        pending=f"{hours}h",
        summary=f"Exporters with the same view have different settings of the budget {_BUDGET}",
        description=(
            f"For {counted(hours, 'hour')}, exporters with the same view ({_VIEW}) have had "
            f"different limits, periods or spend of the budget {_BUDGET}. One of them applies: "
            f"{_SPENT} of {_LIMIT} spent, until {_PERIOD_END}. It has the lowest limit, of those "
            "the latest end of the period, and of those the highest spend. Give all exporters the "
            "same settings, or the budgets different names."
        ),
        dashboard=_DASHBOARD,
    )


def _runway_critical(settings: Settings) -> Alert:
    hours = settings.credit.critical_hours
    return _runway("TrainwaveCreditRunwayCritical", "critical", hours)


def _runway_short(settings: Settings) -> Alert:
    hours = settings.credit.warning_hours
    return _runway("TrainwaveCreditRunwayShort", "warning", hours)


def _runway(name: str, severity: Severity, hours: int) -> Alert:
    return Alert(
        alert=name,
        severity=severity,
        concern="credit",
        # One that had no credit all the time does not run out of it: others pay, or nobody does.
        expr=of_organization(f"""\
clamp_min(organization:trainwave_credit_exhaustion_timestamp_seconds:min - time(), 0)
< {hours * 3600}
and on (cluster, organization_id)
max_over_time(organization:trainwave_credit_balance_dollars:min[{hours}h]) > 0"""),
        keep_firing="15m",
        summary=f"The credit of {ORGANIZATION} lasts for another {own(DURATION)}",
        description=(
            f"{ORGANIZATION} has {_BALANCE} of credit left, and its running jobs use it up in "
            f"{own(DURATION)}, which is less than {counted(hours, 'hour')}. Trainwave may end all "
            "of them then. Top up the credit, or stop jobs that can wait."
        ),
        dashboard=_ORGANIZATION_DASHBOARD,
    )


def _drift(settings: Settings) -> Alert:
    bounds = settings.reconciliation
    difference, hours = number(bounds.difference_dollars), bounds.hours
    amount = '{{ $value | printf "$%.2f" | reReplaceAll "-" "" }}'
    direction = "{{ if gt $value 0.0 }}more{{ else }}less{{ end }}"
    return Alert(
        alert="TrainwaveReconciliationDrift",
        severity="warning",
        concern="books",
        # A cost that is corrected seconds after a balance moves the difference until the next
        # balance. What lasts was paid for no job, or costs what no credit paid. The last
        # values stay for a while, so that a scrape that failed does not restart the wait.
        expr=of_organization(f"""\
max by (cluster, organization_id) (
  last_over_time(trainwave_reconciliation_difference_dollars[15m])
) > {difference}
or on (cluster, organization_id)
min by (cluster, organization_id) (
  last_over_time(trainwave_reconciliation_difference_dollars[15m])
) < -{difference}"""),
        pending=f"{hours}h",
        summary=f"The credit of {ORGANIZATION} fell by {amount} {direction} than its jobs cost",
        description=(
            f"Over 24 hours, the credit of {ORGANIZATION} fell by {amount} {direction} than what "
            f"its jobs cost; for {counted(hours, 'hour')} the difference has been more than "
            f"${difference}. The credit left is {_BALANCE}. Compare Trainwave's bill with the "
            "report by job, and ask Trainwave about what no job explains."
        ),
        dashboard=_ORGANIZATION_DASHBOARD,
    )
