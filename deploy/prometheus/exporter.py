"""Alerts on the exporter itself: whether it runs, sees its accounts, and keeps its books."""

from __future__ import annotations

from deploy.prometheus.rule import Alert, Group
from deploy.prometheus.settings import Settings
from deploy.prometheus.words import DURATION, counted, looked_up, number, own
from grafana import uids

_DASHBOARD = f"/d/{uids.EXPORTER}"
_OF_ACCOUNT = f"{_DASHBOARD}?var-account={{{{ $labels.account | urlquery }}}}"
_OF_INSTANCE = f"{_DASHBOARD}?var-instance={{{{ $labels.instance | urlquery }}}}"
_ACCOUNT = "account {{ $labels.account }}"
_EXPORTER = "the exporter {{ $labels.instance }}"
_SINCE_SUCCESS = looked_up(
    "time() - max(trainwave_account_last_success_timestamp_seconds{account=%q})",
    "$labels.account",
    form=DURATION,
    missing="a time that is not known",
)
_LEDGER_WAITING = looked_up(
    "max(trainwave_exporter_ledger_waiting_jobs{instance=%q})",
    "$labels.instance",
    form="humanize",
    missing="an unknown number of",
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
            _data_stale(settings),
            _rate_limited(settings),
            _loop_stopped(settings),
            _unreadable(settings),
            _series_cap(settings),
            _ledger_failing(settings),
            _reload_failed(),
            _clock_skew(settings),
        ),
    )


def _down(settings: Settings) -> Alert:
    minutes = settings.exporter.down_minutes
    return Alert(
        alert="TrainwaveExporterDown",
        severity="critical",
        concern="exporter",
        # Also where Prometheus does not know of any exporter, which `up == 0` would not see.
        expr=f'absent(up{{job="{settings.scrape_job}"}} == 1)',
        pending=f"{minutes}m",
        summary="No exporter of Trainwave's jobs answers",
        description=(
            f"Prometheus has had no answer from any exporter for {counted(minutes, 'minute')}. "
            "Nobody sees what jobs do and cost, and no other alert about them can fire. Start the "
            "exporter, or mend the way to it; what was spent meanwhile is counted once it is back."
        ),
        dashboard=_DASHBOARD,
    )


def _instance_down(settings: Settings) -> Alert:
    minutes = settings.exporter.down_minutes
    return Alert(
        alert="TrainwaveExporterInstanceDown",
        severity="warning",
        concern="exporter",
        expr=f'max by (instance) (up{{job="{settings.scrape_job}"}}) == 0',
        pending=f"{minutes}m",
        summary="The exporter {{ $labels.instance }} does not answer",
        description=(
            f"Prometheus has had no answer from {_EXPORTER} for {counted(minutes, 'minute')}. "
            "Others may still watch the same accounts. Start it, or take it out of the scrape "
            "configuration."
        ),
        dashboard=_OF_INSTANCE,
    )


def _account_down(settings: Settings) -> Alert:
    minutes = settings.exporter.account_down_minutes
    return Alert(
        alert="TrainwaveAccountDown",
        severity="critical",
        concern="account",
        # A scrape that fails in between does not begin the wait anew.
        expr="max by (account) (last_over_time(trainwave_up[5m])) == 0",
        pending=f"{minutes}m",
        summary="The jobs of account {{ $labels.account }} cannot be listed",
        description=(
            f"For {counted(minutes, 'minute')} no sweep of the jobs of {_ACCOUNT} has succeeded; "
            f"the last one was {_SINCE_SUCCESS} ago. What is shown is that old, and new spend is "
            "not seen. Look at the exporter's log and at Trainwave's status."
        ),
        dashboard=_OF_ACCOUNT,
    )


def _key_invalid(settings: Settings) -> Alert:
    minutes = settings.exporter.account_down_minutes
    refused = 'trainwave_exporter_api_requests_total{outcome="invalid_key"}'
    return Alert(
        alert="TrainwaveKeyInvalid",
        severity="critical",
        concern="key",
        # The first refusal is a series that was not there before, in which nothing increases.
        expr=f"""\
max by (account) (
  increase({refused}[{minutes}m]) > 0
  or
  {refused} unless {refused} offset {minutes}m
)
and on (account) max by (account) (last_over_time(trainwave_up[5m])) == 0""",
        pending="1m",
        summary="Trainwave refuses the API key of account {{ $labels.account }}",
        description=(
            f"The API answers that the key of {_ACCOUNT} is invalid; the last sweep that succeeded "
            f"was {_SINCE_SUCCESS} ago. It was revoked, it ran out, or a wrong one is configured. "
            "Make a new key at Trainwave and put it where the configuration says."
        ),
        dashboard=_OF_ACCOUNT,
    )


def _data_stale(settings: Settings) -> Alert:
    minutes = settings.exporter.stale_minutes
    return Alert(
        alert="TrainwaveDataStale",
        severity="warning",
        concern="account",
        expr=f"""\
time() - max by (account) (last_over_time(trainwave_account_last_success_timestamp_seconds[5m]))
> {minutes * 60}""",
        summary=f"What is shown of account {{{{ $labels.account }}}} is {own(DURATION)} old",
        description=(
            f"The last sweep of the jobs of {_ACCOUNT} that succeeded was {own(DURATION)} ago, "
            f"more than {counted(minutes, 'minute')}. States and costs are that old. Look at the "
            "loops on the dashboard and at the exporter's log."
        ),
        dashboard=_OF_ACCOUNT,
    )


def _rate_limited(settings: Settings) -> Alert:
    minutes = settings.exporter.rate_limited_minutes
    return Alert(
        alert="TrainwaveRateLimited",
        severity="warning",
        concern="rate_limit",
        # One refusal is seen for less time than it has to last.
        expr=f"""\
max by (account) (
  sum by (account, instance) (
    increase(trainwave_exporter_api_requests_total{{outcome="rate_limited"}}[{(minutes + 1) // 2}m])
  )
) > 0""",
        pending=f"{minutes}m",
        summary="Trainwave keeps refusing requests of account {{ $labels.account }} as too many",
        description=(
            f"For {counted(minutes, 'minute')} the API has refused requests of {_ACCOUNT} time and "
            "again, though the exporter keeps to its share. Others use the same key, or the limit "
            "is lower than it says. Give the exporter a key of its own, or lower rate_limit_share."
        ),
        dashboard=_OF_ACCOUNT,
    )


def _loop_stopped(settings: Settings) -> Alert:
    minutes = settings.exporter.loop_stopped_minutes
    return Alert(
        alert="TrainwaveLoopStopped",
        severity="critical",
        concern="loop",
        expr=f"""\
time() - max by (instance, account, loop)
(last_over_time(trainwave_exporter_loop_last_finished_timestamp_seconds[5m]))
> {minutes * 60}""",
        summary="The loop {{ $labels.loop }} of the exporter {{ $labels.instance }} stands still",
        description=(
            "The loop {{ $labels.loop }}{{ with $labels.account }} of account {{ . }}{{ end }} of "
            f"{_EXPORTER} last came to an end {own(DURATION)} ago, more than "
            f"{counted(minutes, 'minute')}. What it does is not done. Restart the exporter, which "
            "loses nothing, and report the log."
        ),
        dashboard=_OF_INSTANCE,
    )


def _unreadable(settings: Settings) -> Alert:
    minutes = settings.exporter.unreadable_minutes
    return Alert(
        alert="TrainwaveReadingsUnreadable",
        severity="warning",
        concern="readings",
        # What is unreadable once is seen for less time than it has to last.
        expr=f"""\
max by (account, subject, reason) (
  increase(trainwave_exporter_unreadable_total[{(minutes + 1) // 2}m])
) > 0""",
        pending=f"{minutes}m",
        summary=(
            "Answers about {{ $labels.subject }} of account {{ $labels.account }} cannot be read"
        ),
        description=(
            f"For {counted(minutes, 'minute')} the exporter has left out what Trainwave tells of "
            f"{{{{ $labels.subject }}}} of {_ACCOUNT}: {{{{ $labels.reason }}}}. It is missing on "
            "/metrics. The API has changed, or a unit is set wrongly: the log says what came."
        ),
        dashboard=_OF_ACCOUNT,
    )


def _series_cap(settings: Settings) -> Alert:
    minutes = settings.exporter.series_cap_minutes
    return Alert(
        alert="TrainwaveSeriesCapReached",
        severity="warning",
        concern="series_cap",
        expr="max by (instance) (trainwave_exporter_jobs_folded) > 0",
        pending=f"{minutes}m",
        summary="{{ $value }} jobs have no series of their own",
        description=(
            f"For {counted(minutes, 'minute')} there have been more jobs than may have series of "
            f"their own on {_EXPORTER}; {{{{ $value }}}} are summed up in job_id=other. No alert "
            "can name one of them. Raise metrics.max_jobs if Prometheus can bear it, or lower "
            "fleet.finished_retention."
        ),
        dashboard=_OF_INSTANCE,
    )


def _ledger_failing(settings: Settings) -> Alert:
    minutes = settings.exporter.ledger_failing_minutes
    return Alert(
        alert="TrainwaveLedgerFailing",
        severity="critical",
        concern="ledger",
        expr=f"""\
sum by (instance) (
  increase(trainwave_exporter_ledger_writes_total{{outcome="error"}}[{2 * minutes}m])
) > 0
unless on (instance)
time() - max by (instance) (trainwave_exporter_ledger_last_success_timestamp_seconds)
<= {minutes * 60}""",
        pending="1m",
        summary="The exporter {{ $labels.instance }} cannot write its ledger",
        description=(
            f"The exporter {{{{ $labels.instance }}}} has not been able to write its ledger for more than "
            f"{counted(minutes, 'minute')}; {_LEDGER_WAITING} jobs wait to be written down. "
            "Counters of money stand still until then, and how idle GPUs are is forgotten if the "
            "exporter stops before. See to the disk under storage.path."
        ),
        dashboard=_OF_INSTANCE,
    )


def _reload_failed() -> Alert:
    return Alert(
        alert="TrainwaveReloadFailed",
        severity="warning",
        concern="configuration",
        expr="min by (instance) (trainwave_exporter_config_last_reload_successful) == 0",
        summary="The exporter {{ $labels.instance }} refused its configuration",
        description=(
            f"The exporter {{{{ $labels.instance }}}} could not load its configuration and goes on with the one "
            "before. The log says which key is wrong. Mend it, or the next start fails."
        ),
        dashboard=_OF_INSTANCE,
    )


def _clock_skew(settings: Settings) -> Alert:
    seconds = settings.exporter.clock_skew_seconds
    return Alert(
        alert="TrainwaveClockSkew",
        severity="warning",
        concern="clock",
        expr=(
            "max by (instance, account) (abs(trainwave_exporter_clock_skew_seconds))"
            f" > {number(seconds)}"
        ),
        pending=f"{settings.exporter.clock_skew_minutes}m",
        summary=(
            f"The clocks of Trainwave and the exporter {{{{ $labels.instance }}}} are "
            f"{own(DURATION)} apart"
        ),
        description=(
            f"The clock of {_EXPORTER} and that of the API of {_ACCOUNT} differ by "
            f"{own(DURATION)}, more than {number(seconds)} seconds. Ages and the times that money is booked to are "
            "off by as much. Most likely the exporter's machine does not keep time: see to NTP."
        ),
        dashboard=_OF_INSTANCE,
    )
