"""Alerts on the exporter itself: whether it runs, reads its accounts, and writes its ledger."""

from __future__ import annotations

from deploy.prometheus.naming import OF_ACCOUNT
from deploy.prometheus.rule import Alert, Group
from deploy.prometheus.settings import Settings
from deploy.prometheus.words import DURATION, counted, looked_up, number, own
from grafana import uids

_DASHBOARD = f"/d/{uids.EXPORTER}"
_OF_ACCOUNT = f"{_DASHBOARD}?var-account={{{{ $labels.account | urlquery }}}}"
_OF_INSTANCE = f"{_DASHBOARD}?var-instance={{{{ $labels.instance | urlquery }}}}"
_ACCOUNT = "account {{ $labels.account }}{{ with $labels.view }} ({{ . }}){{ end }}"
_EXPORTER = "the exporter {{ $labels.instance }}"
_THIS_ACCOUNT = ("$labels.cluster", "$labels.account", "$labels.view")
_LAST_SUCCESS = looked_up(
    "time() - max(last_over_time(account:trainwave_last_success_timestamp_seconds:max"
    "{cluster=%q,account=%q,view=%q}[1d]))",
    *_THIS_ACCOUNT,
    form=f'{DURATION} | printf "the last one was %s ago"',
    missing="there was none in the last day",
)
_LEDGER_WAITING = looked_up(
    "max(last_over_time(trainwave_exporter_ledger_waiting_jobs{cluster=%q,instance=%q}[5m]))",
    "$labels.cluster",
    "$labels.instance",
    form='printf "%.0f"',
    missing="an unknown number",
)


def group(settings: Settings) -> Group:
    """All alerts on the exporter itself."""
    return Group(
        name="trainwave-exporter-alerts",
        rules=(
            _down(settings),
            _instance_down(settings),
            _account_down(settings),
            _key_invalid(settings),
            _forbidden(settings),
            _data_stale(settings),
            _rate_limited(settings),
            _loop_stopped(settings),
            _readings_failing(settings),
            _unreadable(settings),
            _series_cap(settings),
            _labels_clash(settings),
            _scope_unknown(settings),
            _ledger_failing(settings),
            _ledger_lost(),
            _reload_failed(),
            _clock_skew(settings),
            _dropping(),
        ),
    )


def _down(settings: Settings) -> Alert:
    minutes = settings.exporter.down_minutes
    return Alert(
        alert="TrainwaveExporterDown",
        severity="critical",
        concern="exporter",
        # Also where Prometheus does not know of any exporter, which `up == 0` would not see.
        expr=f"""\
max by (cluster) (up{{job="{settings.scrape_job}"}}) == 0
or on () absent(up{{job="{settings.scrape_job}"}} >= 0)""",
        pending=f"{minutes}m",
        summary="No Trainwave exporter answers",
        description=(
            f"Prometheus has not scraped any exporter for {counted(minutes, 'minute')}. Jobs and "
            "their cost are not monitored, and no other alert about them is reliable. Start the "
            "exporter, or restore the connection to it; costs of the meantime are counted once it "
            "is back."
        ),
        dashboard=_DASHBOARD,
    )


def _instance_down(settings: Settings) -> Alert:
    minutes = settings.exporter.down_minutes
    return Alert(
        alert="TrainwaveExporterInstanceDown",
        severity="warning",
        concern="exporter",
        expr=f'max by (cluster, instance) (up{{job="{settings.scrape_job}"}}) == 0',
        pending=f"{minutes}m",
        summary="The exporter {{ $labels.instance }} does not answer",
        description=(
            f"Prometheus has not scraped {_EXPORTER} for {counted(minutes, 'minute')}. Others may "
            "still watch the same accounts. Start it, or remove it from the scrape configuration."
        ),
        dashboard=_OF_INSTANCE,
    )


def _account_down(settings: Settings) -> Alert:
    minutes = settings.exporter.account_down_minutes
    return Alert(
        alert="TrainwaveAccountDown",
        severity="critical",
        concern="account",
        # Nor are they listed where the exporter that saw them within a day does not answer, or was
        # replaced by one that does not, unless another one sees the same.
        expr=f"""\
account:trainwave_up:max == 0
or
0 * max by (cluster, account, view) (
  exporter:trainwave_view:one
  unless on (cluster, instance) up{{job="{settings.scrape_job}"}} == 1
  and on (cluster) up{{job="{settings.scrape_job}"}} == 0
)
unless on (cluster, account, view) account:trainwave_up:max""",
        pending=f"{minutes}m",
        summary=f"The jobs of {_ACCOUNT} cannot be listed",
        description=(
            f"For {counted(minutes, 'minute')} no exporter has listed the jobs of {_ACCOUNT}; "
            f"{_LAST_SUCCESS}. Its jobs stay on /metrics for fleet.staleness; their cost is "
            "counted once they can be listed again. See the exporter's log and Trainwave's status "
            "page."
        ),
        dashboard=_OF_ACCOUNT,
    )


def _key_invalid(settings: Settings) -> Alert:
    return Alert(
        alert="TrainwaveKeyInvalid",
        severity="critical",
        concern="key",
        expr=_refused("invalid_key", settings),
        pending="2m",
        summary=f"The API key of {_ACCOUNT} is refused as invalid",
        description=(
            f"No list of the jobs of {_ACCOUNT} succeeds, as its API key is invalid; "
            f"{_LAST_SUCCESS}. The key was revoked, it expired, or the configured text is no key. "
            "Create a new key at Trainwave and put it where the configuration says."
        ),
        dashboard=_OF_ACCOUNT,
    )


def _forbidden(settings: Settings) -> Alert:
    return Alert(
        alert="TrainwaveForbidden",
        severity="critical",
        concern="forbidden",
        expr=_refused("forbidden", settings),
        pending="2m",
        summary=f"Requests of {_ACCOUNT} are forbidden, but the key is not the reason",
        description=(
            f"No list of the jobs of {_ACCOUNT} succeeds; {_LAST_SUCCESS}. Requests are refused "
            "by something in front of the API, or by the API for a reason other than the key. "
            "Check the proxy, firewall or gateway between the exporter and the API."
        ),
        dashboard=_OF_ACCOUNT,
    )


def _refused(outcome: str, settings: Settings) -> str:
    """Select the accounts whose jobs cannot be listed, mostly with this outcome.

    The list is asked for again whatever came before, so that a refusal is seen all the time, and
    soon after a start with it. One refusal before other trouble is outnumbered by that before an
    alert fires, and an account whose jobs are listed is not meant.
    """
    minutes = settings.exporter.account_down_minutes

    def lists(matchers: str) -> str:
        return f"""\
sum by (cluster, instance, account) (
      {_requests("jobs", matchers, minutes)}
    )"""

    return f"""\
max by (cluster, account, view) (
  (
    {lists(f'outcome="{outcome}"')}
    / {lists('outcome!="ok"')}
  )
  {OF_ACCOUNT}
) > 0.5
and on (cluster, account, view) account:trainwave_up:max == 0"""


def _data_stale(settings: Settings) -> Alert:
    minutes = settings.exporter.stale_minutes
    return Alert(
        alert="TrainwaveDataStale",
        severity="warning",
        concern="account",
        expr=f"""\
time() - account:trainwave_last_success_timestamp_seconds:max > {minutes * 60}""",
        summary=f"Jobs of {_ACCOUNT} were last listed {own(DURATION)} ago",
        description=(
            f"The last successful list of the jobs of {_ACCOUNT} is {own(DURATION)} old, more "
            f"than {counted(minutes, 'minute')}, and so is what is shown of them. See the loops on "
            "the dashboard and the exporter's log."
        ),
        dashboard=_OF_ACCOUNT,
    )


def _rate_limited(settings: Settings) -> Alert:
    minutes = settings.exporter.rate_limited_minutes
    return Alert(
        alert="TrainwaveRateLimited",
        severity="warning",
        concern="rate_limit",
        # One refusal is seen for less time than it has to last, unless the API orders a longer
        # wait: then nothing is asked, and nothing can be refused, until that is over.
        expr=f"""\
max by (cluster, account, view) (
  sum by (cluster, instance, account) (
    increase(trainwave_exporter_api_requests_total{{outcome="rate_limited"}}[{_window(minutes)}m])
  )
  {OF_ACCOUNT}
) > 0
or
max by (cluster, account, view) (
  max by (cluster, instance, account) (
    last_over_time(trainwave_exporter_rate_limit_blocked_until_timestamp_seconds[5m])
  )
  {OF_ACCOUNT}
) > time()""",
        pending=f"{minutes}m",
        summary=f"Trainwave keeps rate limiting requests of {_ACCOUNT}",
        description=(
            f"For {counted(minutes, 'minute')} the API has repeatedly answered requests of "
            f"{_ACCOUNT} with 429, or has blocked them since, though the exporter stays within its "
            "share of the rate limit. Another client uses the same key, perhaps another exporter, "
            "or the limit is lower than the API reports. Give each exporter a key of its own, or "
            "lower rate_limit_share."
        ),
        dashboard=_OF_ACCOUNT,
    )


def _loop_stopped(settings: Settings) -> Alert:
    minutes = settings.exporter.loop_stopped_minutes
    return Alert(
        alert="TrainwaveLoopStopped",
        severity="critical",
        concern="loop",
        # A loop that hangs in its first run never came to an end: then it counts when it began.
        # A key that was refused for too many requests stands still for good reason until it may
        # go on, and takes its turn after that.
        expr=f"""\
time() - (
  max by (cluster, instance, account, loop) (
    last_over_time(trainwave_exporter_loop_last_finished_timestamp_seconds[5m])
  )
  or
  max by (cluster, instance, account, loop) (
    last_over_time(trainwave_exporter_loop_last_started_timestamp_seconds[5m])
  )
) > {minutes * 60}
unless on (cluster, instance, account)
max by (cluster, instance, account) (
  max_over_time(trainwave_exporter_rate_limit_blocked_until_timestamp_seconds[{minutes}m])
) > time() - {minutes * 60}""",
        summary="The loop {{ $labels.loop }} of the exporter {{ $labels.instance }} is stuck",
        description=(
            "The loop {{ $labels.loop }}{{ with $labels.account }} of account {{ . }}{{ end }} of "
            f"{_EXPORTER} has not finished a run for {own(DURATION)}, more than "
            f"{counted(minutes, 'minute')}, so its work is not done. Restart the exporter, which "
            "continues from its ledger, and report what it logged."
        ),
        dashboard=_OF_INSTANCE,
    )


def _readings_failing(settings: Settings) -> Alert:
    minutes = settings.exporter.unreadable_minutes
    failed = 'outcome!~"ok|rate_limited"'
    outcome = looked_up(
        "topk(1, sum by (outcome) ("
        f"increase({_REQUESTS}{{operation=%q,{failed}}}[{_window(minutes)}m])"
        " and on (cluster, instance, account)"
        " exporter:trainwave_view:one{cluster=%q,account=%q,view=%q}))",
        "$labels.operation",
        *_THIS_ACCOUNT,
        form='printf "mostly with the outcome %s"',
        missing="with an unknown outcome",
        shown='label "outcome"',
    )

    def answered(matchers: str) -> str:
        return f"""\
sum by (cluster, account, view, operation) (
  sum by (cluster, instance, account, operation) (
    {_requests("metrics/.+", matchers, _window(minutes))}
  )
  {OF_ACCOUNT}
) > 0"""

    return Alert(
        alert="TrainwaveReadingsFailing",
        severity="warning",
        concern="readings",
        # That readings fail does not make the loop fail that asks for them, nor the account go
        # down. A job may have none; here not one request of any exporter is answered. One failure
        # is seen for less time than it has to last.
        expr=f"""\
{answered(failed)}
unless on (cluster, account, view, operation)
{answered('outcome="ok"')}
and on (cluster, account, view) account:trainwave_up:max == 1""",
        pending=f"{minutes}m",
        labels={"endpoint": "{{ $labels.operation }}"},  # its name in version 0.1.0
        summary=(
            f"No request for {{{{ $labels.operation }}}} of {_ACCOUNT} succeeds, "
            "though its jobs are listed"
        ),
        description=(
            f"For {counted(minutes, 'minute')} all requests for {{{{ $labels.operation }}}} of "
            f"{_ACCOUNT} have failed, {outcome}. These readings are missing on /metrics, unless "
            "lists contain them; without GPU utilization no alert on idle GPUs can fire. Check "
            "whether the key may read them, and Trainwave's status page."
        ),
        dashboard=_OF_ACCOUNT,
    )


def _unreadable(settings: Settings) -> Alert:
    minutes = settings.exporter.unreadable_minutes
    return Alert(
        alert="TrainwaveReadingsUnreadable",
        severity="warning",
        concern="readings",
        # What is unreadable once is seen for less time than it has to last. An answer without any
        # reading is what a job has that just began, and some job always does.
        expr=f"""\
max by (cluster, account, view, subject, reason) (
  sum by (cluster, instance, account, subject, reason) (
    increase(trainwave_exporter_unreadable_total{{reason!="empty"}}[{_window(minutes)}m])
  )
  {OF_ACCOUNT}
) > 0""",
        pending=f"{minutes}m",
        summary=f"Answers about {{{{ $labels.subject }}}} of {_ACCOUNT} cannot be parsed",
        description=(
            f"For {counted(minutes, 'minute')} the exporter has repeatedly dropped answers about "
            f"{{{{ $labels.subject }}}} of {_ACCOUNT}: {{{{ $labels.reason }}}}. These values are "
            "missing on /metrics. The API has changed, or a unit under readings is wrong."
        ),
        dashboard=_OF_ACCOUNT,
    )


CLASHING = {
    "account": "trainwave_up",
    "view": "trainwave_up",
    "organization_id": "trainwave_job_info",
    "project_id": "trainwave_job_info",
    "job_id": "trainwave_job_info",
    "job_rid": "trainwave_job_info",
    "job_name": "trainwave_job_info",
    "project_name": "trainwave_job_info",
    "owner": "trainwave_job_info",
    "gpu_type": "trainwave_job_info",
    "gpu": "trainwave_job_gpu_utilization_ratio",
    "state": "trainwave_job_state",
    "organization_name": "trainwave_organization_info",
    "budget": "trainwave_budget_limit_dollars",
    "bound": "trainwave_budget_spent_bound_dollars",
    "figure": "trainwave_figure_unknown",
    "name": "trainwave_figure_unknown",
    "activity": "trainwave_project_activity_gpu_hours_total",
    "reason": "trainwave_waste_dollars_total",
    "direction": "trainwave_cost_corrections_dollars_total",
    "operation": "trainwave_exporter_api_requests_total",
    "outcome": "trainwave_exporter_api_requests_total",
    "subject": "trainwave_exporter_unreadable_total",
    "loop": "trainwave_exporter_loop_last_started_timestamp_seconds",
    "version": "trainwave_exporter_build_info",
}
"""Labels that rules and dashboards go by, and a metric that has each."""


def _labels_clash(settings: Settings) -> Alert:
    minutes = settings.exporter.labels_clash_minutes
    exported = "\nor\n".join(
        f"""\
label_replace(
  count by (cluster, instance) (present_over_time({metric}{{exported_{label}!=""}}[5m])),
  "label", "{label}", "", ""
)"""
        for label, metric in CLASHING.items()
    )
    return Alert(
        alert="TrainwaveLabelsClash",
        severity="warning",
        concern="labels",
        expr=exported,
        pending=f"{minutes}m",
        summary=(
            "The label {{ $labels.label }} of the exporter {{ $labels.instance }} is overwritten "
            "by one of its target"
        ),
        description=(
            f"Prometheus gives the target of {_EXPORTER} a label {{{{ $labels.label }}}}, and "
            "renames the exporter's own to exported_{{ $labels.label }}. Rules and dashboards use "
            "{{ $labels.label }}, so all series seem to have the same one. Set honor_labels: true "
            "(honorLabels in a ServiceMonitor), or give the target label another name."
        ),
        dashboard=_OF_INSTANCE,
    )


def _scope_unknown(settings: Settings) -> Alert:
    minutes = settings.exporter.scope_unknown_minutes
    return Alert(
        alert="TrainwaveScopeUnknown",
        severity="warning",
        concern="configuration",
        # The name says where it is configured: accounts[main].project: p-nope.
        expr="""\
label_replace(
  label_replace(
    max by (cluster, view, name) (figure:trainwave_unknown:max{figure="scope"}),
    "account", "$1", "name", "accounts\\\\[(.+)\\\\]\\\\.[a-z_]+: .*"
  ),
  "budget", "$1", "name", "budgets\\\\[(.+)\\\\]\\\\.[a-z_]+: .*"
) == 1""",
        pending=f"{minutes}m",
        summary="A configured name matches nothing: {{ $labels.name }}",
        description=(
            "The name in {{ $labels.name }} matches nothing that any key can see. "
            "{{ if $labels.account }}No jobs of that account are shown, and no cost is counted. "
            "{{ else }}No spend counts towards the budget by that name. {{ end }}"
            "Correct the setting; trainwave-exporter check suggests the nearest name."
        ),
        dashboard=_DASHBOARD,
    )


def _series_cap(settings: Settings) -> Alert:
    minutes = settings.exporter.series_cap_minutes
    return Alert(
        alert="TrainwaveSeriesCapReached",
        severity="warning",
        concern="series_cap",
        # A scrape that fails in between does not restart the wait.
        expr="""\
max by (cluster, instance) (last_over_time(trainwave_exporter_jobs_folded[5m])) > 0
or
max by (cluster, instance) (last_over_time(trainwave_exporter_series_cap_reached[5m])) > 0""",
        pending=f"{minutes}m",
        summary="The exporter {{ $labels.instance }} does not show everything by itself",
        description=(
            f"For {counted(minutes, 'minute')} {_EXPORTER} has had more jobs than "
            "metrics.max_jobs, or as many projects, organizations or combinations of project, "
            "owner and GPU type as metrics.max_groups. The others are summed up in series named "
            "other, and no alert can name one of them. Raise the limit if Prometheus has the "
            "capacity, or, for jobs, lower fleet.finished_retention."
        ),
        dashboard=_OF_INSTANCE,
    )


def _ledger_failing(settings: Settings) -> Alert:
    minutes = settings.exporter.ledger_failing_minutes
    outcomes = f"""\
sum by (cluster, instance) (
  increase(trainwave_exporter_ledger_writes_total{{outcome="%s"}}[{_window(minutes)}m])
) > 0"""
    return Alert(
        alert="TrainwaveLedgerFailing",
        severity="critical",
        concern="ledger",
        # The time of the last success alone says little: where nothing is seen, nothing is written.
        # One failure is seen for less time than it has to last.
        expr=f"{outcomes % 'error'}\nunless on (cluster, instance)\n{outcomes % 'ok'}",
        pending=f"{minutes}m",
        summary="The exporter {{ $labels.instance }} cannot write its ledger",
        description=(
            f"For {counted(minutes, 'minute')} {_EXPORTER} has not been able to write its ledger; "
            f"jobs waiting to be written: {_LEDGER_WAITING}. Counters of cost do not rise until it "
            "can, and idle time of the meantime is lost if the exporter stops before. Check the "
            "disk under storage.path."
        ),
        dashboard=_OF_INSTANCE,
    )


def _ledger_lost() -> Alert:
    return Alert(
        alert="TrainwaveLedgerLost",
        severity="critical",
        concern="ledger",
        # A scrape that fails in between does not end the alert.
        expr="max by (cluster, instance) (last_over_time(trainwave_exporter_ledger_lost[5m])) == 1",
        summary="The ledger of the exporter {{ $labels.instance }} was replaced or overwritten",
        description=(
            f"Another program replaced, overwrote or truncated the ledger of {_EXPORTER} while it "
            "ran. It continues in ledger.sqlite3.rescued beside it, and counters keep rising; the "
            "report command reads neither file. Find out what wrote there, and move ledger.sqlite3 "
            "with its -wal and -shm away: the rescued file then becomes the ledger."
        ),
        dashboard=_OF_INSTANCE,
    )


def _reload_failed() -> Alert:
    return Alert(
        alert="TrainwaveReloadFailed",
        severity="warning",
        concern="configuration",
        # A scrape that fails in between does not end the alert.
        expr="""\
min by (cluster, instance)
(last_over_time(trainwave_exporter_config_last_reload_successful[5m])) == 0
or min by (cluster, instance)
(last_over_time(trainwave_exporter_web_config_last_reload_successful[5m])) == 0""",
        summary="The exporter {{ $labels.instance }} could not reload its configuration",
        description=(
            "The exporter {{ $labels.instance }} rejected its new configuration and continues with "
            "the previous one. The log says which key is wrong. Fix it, or the next start fails."
        ),
        dashboard=_OF_INSTANCE,
    )


def _clock_skew(settings: Settings) -> Alert:
    seconds = settings.exporter.clock_skew_seconds
    minutes = settings.exporter.clock_skew_minutes
    return Alert(
        alert="TrainwaveClockSkew",
        severity="warning",
        concern="clock",
        # A scrape that fails in between does not restart the wait.
        expr=f"""\
max by (cluster, instance, account) (abs(last_over_time(trainwave_exporter_clock_skew_seconds[5m])))
> {number(seconds)}""",
        pending=f"{minutes}m",
        summary=(
            "The clocks of Trainwave and the exporter {{ $labels.instance }} are "
            f"{own(DURATION)} apart"
        ),
        description=(
            f"For {counted(minutes, 'minute')} the clock of {_EXPORTER} and that of the API of "
            f"account {{{{ $labels.account }}}} have differed by more than {number(seconds)} "
            f"seconds, now by {own(DURATION)}. Ages, and the times to which costs are attributed, "
            "are off by as much. Most likely the exporter's clock is wrong: check NTP."
        ),
        dashboard=_OF_INSTANCE,
    )


def _dropping() -> Alert:
    minutes, window = 15, 10
    reasons = 'reason=~"limit|displaced|accept_failed"'
    refused = f"trainwave_exporter_web_connections_dropped_total{{{reasons}}}"
    lost = "trainwave_exporter_log_lines_dropped_total"
    kinds = [
        f"""\
label_replace(
  sum by (cluster, instance) (increase({counter}[{window}m])) > 0,
  "dropped", "{dropped}", "", ""
)"""
        for dropped, counter in (("connections", refused), ("log lines", lost))
    ]
    return Alert(
        alert="TrainwaveExporterDropping",
        severity="warning",
        concern="dropping",
        # One burst of clients, or one pause of the log collector, is over before it fires.
        expr="\nor\n".join(kinds),
        pending=f"{minutes}m",
        summary="The exporter {{ $labels.instance }} drops {{ $labels.dropped }}",
        description=(
            f"For {counted(minutes, 'minute')} {_EXPORTER} has dropped {{{{ $labels.dropped }}}} "
            f"in each {counted(window, 'minute')}. Connections are dropped where there are more "
            "than it accepts, log lines when standard error is blocked. Restrict who can reach the "
            "port, or restart the log collector."
        ),
        dashboard=_OF_INSTANCE,
    )


_REQUESTS = "trainwave_exporter_api_requests_total"


def _requests(operation: str, matchers: str, minutes: int) -> str:
    """Return how many requests for an operation, a regular expression, there were.

    An exporter of version 0.1.0 calls it ``endpoint``.
    """
    now = f'{_REQUESTS}{{operation=~"{operation}",{matchers}}}'
    before = f'{_REQUESTS}{{operation="",endpoint=~"{operation}",{matchers}}}'
    window = f"[{minutes}m]"
    return (
        f"increase({now}{window})\n    or label_replace(increase({before}{window}),"
        ' "operation", "$1", "endpoint", "(.*)")'
    )


def _window(minutes: int) -> int:
    """Return over how many minutes is counted what has to last that long.

    Half of it, so that what happened once is not seen for all of it.
    """
    return (minutes + 1) // 2
