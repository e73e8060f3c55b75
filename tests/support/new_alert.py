"""Begins an alert: ``make new-alert NAME=TrainwaveSomething AREA=exporter``.

Writes the file of its cases and the heading of its runbook, both to be filled in, and says what is
left to write by hand. CONTRIBUTING.md has the whole checklist.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from support.documentation import ROOT

AREAS = {
    "jobs": ("Jobs", "trainwave-jobs, trainwave-jobs-alerts"),
    "money": (
        "Money",
        "trainwave-jobs, trainwave-money, trainwave-money-alerts",
    ),
    "exporter": ("Exporter", "trainwave-exporters, trainwave-exporter-alerts"),
}
"""What alerts are about: the part of the runbooks, and the groups of rules in which they are."""

_CASES = """\
rule_files: [../rules/recording.yml, ../rules/alerts.yml]
evaluation_interval: 1m
group_eval_order: [{groups}]

tests:
  - name: {name} fires about the one of two that …, and resolves
    interval: 1m
    input_series:
      - series: trainwave_…{{instance="a",job="trainwave"}}
        values: 0x9 1x20 0x20
      - series: trainwave_…{{instance="b",job="trainwave"}}
        values: 0x50
    alert_rule_test:
      - {{alertname: {name}, eval_time: 9m, exp_alerts: []}}
      - alertname: {name}
        eval_time: 20m
        exp_alerts:
          - exp_labels: {{severity: warning, concern: …, instance: a}}
            exp_annotations:
              summary: …
              description: …
              dashboard_url: …
              runbook_url: https://runbooks.example.com/trainwave#{anchor}
      - {{alertname: {name}, eval_time: 50m, exp_alerts: []}}

  - name: {name} is silent about …
    interval: 1m
    input_series:
      - series: trainwave_…{{instance="a",job="trainwave"}}
        values: 0x50
    alert_rule_test:
      - {{alertname: {name}, eval_time: 50m, exp_alerts: []}}
"""
_RUNBOOK = """\
### {name}

**Means:** ….

**Check:** …

**Do:** …

**Silence:** on `instance`, while ….

"""


def begin(name: str, area: str, root: Path = ROOT) -> Path:
    """Write what an alert begins with; return the file of its cases. ValueError says why not."""
    if not re.fullmatch(r"Trainwave(?:[A-Z][a-z]+)+", name):
        raise ValueError(f"NAME: expected one such as TrainwaveJobGpuIdle, got {name!r}")
    if area not in AREAS:
        raise ValueError(f"AREA: expected one of {', '.join(AREAS)}, got {area!r}")
    part, groups = AREAS[area]
    runbooks = root / "docs" / "runbooks.md"
    text = runbooks.read_text(encoding="utf-8")
    stem = re.sub(r"(?<!^)([A-Z])", r"_\1", name.removeprefix("Trainwave")).lower()
    cases = root / "deploy" / "prometheus" / "tests" / f"{stem}.yml"
    if cases.exists() or f"### {name}\n" in text:
        raise ValueError(f"NAME: there is an alert {name} already")
    before, heading, rest = text.partition(f"## {part}\n")
    section, following, after = rest.partition("\n## ")
    runbook = _RUNBOOK.format(name=name)
    ended = f"{section.rstrip()}\n\n{runbook}".rstrip() + "\n"
    runbooks.write_text(f"{before}{heading}{ended}{following}{after}", encoding="utf-8")
    cases.write_text(_CASES.format(name=name, anchor=name.lower(), groups=groups), encoding="utf-8")
    return cases


def main(arguments: Sequence[str]) -> int:
    """Begin an alert by its name and area; return the exit status."""
    try:
        name, area = arguments
        cases = begin(name, area)
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(
        f"Fill in {cases.relative_to(ROOT)} and the runbook in docs/runbooks.md, write the alert in"
        " deploy/prometheus and a line in CHANGELOG.md, then run `make docs generated`.\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
