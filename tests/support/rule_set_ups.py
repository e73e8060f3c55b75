"""Cases of rules as they are in other set-ups: scraped otherwise, by other labels, and restarted.

A case says what happens minute by minute. Here it is scraped at another interval, through targets
that carry other labels, and what it expects is given the time that slow scrapes take.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, TypeAlias

from support.rule_files import seconds

Labels: TypeAlias = dict[str, str]
Value: TypeAlias = float | str | None
"""``stale`` ends a series; None is no sample."""

OPERATOR = {
    "namespace": "ml",
    "service": "trainwave-exporter",
    "container": "exporter",
    "endpoint": "metrics",
}
"""What a ServiceMonitor gives every target, beside its pod and instance."""

CLASHING = {"account": "gpu-team", "owner": "ops", "project_id": "p-of-target"}
"""Labels of a target that the exporter's own series have, too."""


@dataclass(frozen=True)
class Judges:
    """Rules of an earlier version."""

    alerts: frozenset[str]
    without: frozenset[str] = frozenset()
    """Labels that their alerts have not."""
    sooner: frozenset[str] = frozenset()
    """Alerts that wait for less time."""
    wrong: frozenset[str] = frozenset()
    """Names of cases that they judge wrongly, or that are about something else."""


@dataclass(frozen=True)
class SetUp:
    """How exporters are scraped."""

    name: str
    interval: int = 60
    """Seconds."""
    operator: bool = False
    clashing: bool = False
    """With ``honor_labels``."""
    restarted: bool = False
    """Another pod, at another address, takes over in the middle."""

    earlier: bool = False
    """An exporter of version 0.1.0, which has neither operations nor views."""

    judged: Judges | None = None
    """By rules of another version; None is by those of now."""

    @property
    def slack(self) -> int:
        """How many seconds later alerts may come and go; they may go a scrape sooner, too."""
        return 60 * math.ceil(2 * self.interval / 60)

    def cases(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Return cases in this set-up."""
        tests = [self._case(case) for case in document["tests"]]
        return {**document, "tests": [case for case in tests if case]}

    def _case(self, case: Mapping[str, Any]) -> dict[str, Any] | None:
        if self.earlier and any(_is_new(each["series"]) for each in case["input_series"]):
            return None  # it is about what that version does not have
        if self.judged:
            if case["name"] in self.judged.wrong:
                return None
            case = _as_judged(case, self.judged)
        checks = list(self._checks(case))
        if not checks:
            return None
        step = seconds(case["interval"])
        restart = self._restart(case)
        given = case["input_series"]
        if self.earlier:
            known = [each for each in given if _read(each["series"])[0] not in _BESIDES]
            given = [*known, *_of_then(case)]
        series = [
            {"series": _written(name, labels), "values": _compressed(values)}
            for each in given
            for name, labels, values in self._scraped(
                *_read(each["series"]), _expanded(each["values"]), step, restart
            )
        ]
        return {
            "name": case["name"],
            "interval": f"{self.interval}s",
            "input_series": series,
            "promql_expr_test": checks,
        }

    # What is scraped

    def _scraped(
        self, name: str, labels: Labels, values: Sequence[Value], step: int, restart: int
    ) -> Iterator[tuple[str, Labels, list[Value]]]:
        sampled = _sampled(values, step, self.interval)
        if not self.restarted:
            yield name, self._labelled(labels, labels.get("instance", "")), sampled
            return
        first = restart // self.interval
        after = [value if place >= first else None for place, value in enumerate(sampled)]
        yield name, self._labelled(labels, labels.get("instance", "")), [*sampled[:first], "stale"]
        yield name, self._labelled(labels, f"{labels.get('instance', '')}-2"), after

    def _labelled(self, labels: Labels, instance: str) -> Labels:
        target = {"instance": instance}
        if self.operator:
            target |= {**OPERATOR, "pod": f"exporter-{instance}"}
        if self.clashing:
            return {**target, **CLASHING, **{k: v for k, v in labels.items() if k != "instance"}}
        new = {"instance", "operation"} if self.earlier else {"instance"}
        own = {k: v for k, v in labels.items() if k not in new}
        return {**{f"exported_{k}" if k in target else k: v for k, v in own.items()}, **target}

    def _restart(self, case: Mapping[str, Any]) -> int:
        """Return the second of a restart, at which a scrape is due.

        It is a minute before the first alert, so that it must go on, or in the middle.
        """
        checks = [*case.get("alert_rule_test", []), *case.get("promql_expr_test", [])]
        moments = [seconds(check["eval_time"]) for check in checks]
        fired = [seconds(check["eval_time"]) for check in checks if check.get("exp_alerts")]
        moment = max(0, min(fired) - 60) if fired else max(moments, default=0) // 2
        return moment // self.interval * self.interval

    # What is expected

    def _checks(self, case: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        expected = case.get("alert_rule_test", [])
        restart = self._restart(case)
        for alert in sorted({check["alertname"] for check in expected}):
            moments = sorted(
                (seconds(check["eval_time"]), check["exp_alerts"])
                for check in expected
                if check["alertname"] == alert
            )
            yield from self._silence(alert, moments, restart)
            for moment, alerts in moments:
                for labels in self._of_one_address(alert, alerts):
                    window = f"[{self.interval + self.slack + 1}s]"
                    found = f"count(count_over_time({labels}{window})) > bool 0"
                    yield _check(found, moment + self.slack)
        if case["name"] not in _OF_ONE_ADDRESS or not self.restarted:
            for check in case.get("promql_expr_test", []):
                yield self._value(check, restart)

    def _silence(
        self, alert: str, moments: Sequence[tuple[int, Sequence[Mapping[str, Any]]]], restart: int
    ) -> Iterator[dict[str, Any]]:
        """Yield that it has not fired before it is to, and does not once it is not to any more.

        However slowly exporters are scraped, nothing fires sooner. An alert of one exporter begins
        anew with a restart, which may be sooner than it was without.
        """
        firing = f'ALERTS{{alertname="{alert}",alertstate="firing"}}'
        fired = [moment for moment, alerts in moments if alerts]
        silent = [moment for moment, alerts in moments if not alerts]
        before = [moment for moment in silent if moment < min(fired, default=math.inf)]
        if before:
            first, last = 0 if fired else before[0], before[-1]
            if self.judged and fired and alert in self.judged.sooner:
                last = first
            if self.restarted and any("instance" in a["exp_labels"] for _, b in moments for a in b):
                last = min(last, restart - 1)
            meanwhile = f"{firing}[{last - first + 1}s]"
            yield _check(f"count(count_over_time({meanwhile}))", last, found=False)
        for moment in silent[len(before) :]:
            again = min((each for each in fired if each > moment), default=math.inf)
            if moment + self.slack < again:
                yield _check(f"count({firing})", moment + self.slack, found=False)

    def _value(self, check: Mapping[str, Any], restart: int) -> dict[str, Any]:
        """Return what a query is to find at the next scrape."""
        moment = math.ceil(seconds(check["eval_time"]) / self.interval) * self.interval
        samples = []
        for sample in check["exp_samples"]:
            name, labels = _read(sample["labels"])
            if self.restarted and moment >= restart and "instance" in labels:
                labels["instance"] += "-2"
            samples.append({"labels": _written(name, labels), "value": sample["value"]})
        return {"expr": check["expr"], "eval_time": f"{moment}s", "exp_samples": samples}

    def _of_one_address(self, alert: str, alerts: Sequence[Mapping[str, Any]]) -> Iterator[str]:
        """Yield selectors of what fires; of one exporter it does not go on after a restart."""
        for each in alerts:
            labels = {"alertname": alert, "alertstate": "firing", **each["exp_labels"]}
            if not (self.restarted and "instance" in labels):
                yield _written("ALERTS", labels)


def _as_judged(case: Mapping[str, Any], judges: Judges) -> Mapping[str, Any]:
    """Return a case with what it says of alerts that others have, too."""
    checks = [
        {
            **check,
            "exp_alerts": [
                {"exp_labels": {k: v for k, v in labels.items() if k not in judges.without}}
                for labels in (each["exp_labels"] for each in check["exp_alerts"])
            ],
        }
        for check in case.get("alert_rule_test", [])
        if check["alertname"] in judges.alerts
    ]
    return {**case, "alert_rule_test": checks, "promql_expr_test": []}


_OF_ONE_ADDRESS = {"The view of an exporter outlives an outage of its API and a restart"}
"""Cases whose values hold only while an exporter keeps its address."""

_BESIDES = {"trainwave_job_waste_dollars"}
"""Metrics that version 0.1.0 has not, and in whose place rules use others of its."""

_NEW = (
    "trainwave_exporter_build_info",
    "trainwave_figure_unknown",
    "trainwave_exporter_ledger_lost",
    "trainwave_exporter_series_cap_reached",
    "trainwave_budget_spent_bound_dollars",
    "trainwave_budget_forecast_bound_dollars",
)
"""Metrics that version 0.1.0 has not, and that alerts need."""


def _of_then(case: Mapping[str, Any]) -> Iterator[Mapping[str, str]]:
    """Yield what tells that all exporters of a case are of version 0.1.0."""
    exporters = [_read(each["series"])[1] for each in case["input_series"]]
    for instance in sorted({labels["instance"] for labels in exporters if "instance" in labels}):
        labels = {"version": "0.1.0", "instance": instance, "job": "trainwave"}
        yield {"series": _written("trainwave_exporter_build_info", labels), "values": "1x1500"}


def _is_new(series: str) -> bool:
    name, labels = _read(series)
    return "view" in labels or name in _NEW or any(k.startswith("exported_") for k in labels)


def _check(expr: str, moment: int, *, found: bool = True) -> dict[str, Any]:
    samples = [{"labels": "{}", "value": 1}] if found else []
    return {"expr": expr, "eval_time": f"{moment}s", "exp_samples": samples}


def _read(series: str) -> tuple[str, Labels]:
    name, _, rest = series.partition("{")
    return name, dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', rest))


def _written(name: str, labels: Labels) -> str:
    pairs = ",".join(f'{label}="{value}"' for label, value in labels.items() if value)
    return f"{name}{{{pairs}}}"


_RUN = re.compile(r"(-?[\d.e]+)(?:([+-][\d.e]+))?x(\d+)$")


def _expanded(text: str) -> list[Value]:
    values: list[Value] = []
    for word in text.split():
        if word == "stale":
            values.append(word)
        elif word.startswith("_"):
            values += [None] * int(word.partition("x")[2] or 1)
        elif run := _RUN.match(word):
            start, rise, times = float(run[1]), float(run[2] or 0), int(run[3])
            values += [start + rise * number for number in range(times + 1)]
        else:
            values.append(float(word))
    return values


def _sampled(values: Sequence[Value], step: int, interval: int) -> list[Value]:
    """Return what scrapes at another interval find; what lasts lasts until the next value."""
    found: list[Value] = []
    before = -1
    for moment in range(0, len(values) * step + interval, interval):
        place = moment // step
        passed = values[before + 1 : place + 1]
        now = values[place] if place < len(values) else None
        found.append("stale" if now is None and "stale" in passed else now)
        before = place
    return found


def _compressed(values: Sequence[Value]) -> str:
    words = []
    for value, run in groupby(values):
        times = len(list(run))
        if value == "stale":
            words += ["stale"] * times
        else:
            word = "_" if value is None else f"{value:.15g}"
            words.append(f"{word}x{times if value is None else times - 1}" if times > 1 else word)
    return " ".join(words)
