"""What a dashboard's queries yield, asked as Grafana would ask them."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

_POINTS = 500
"""Points that a panel shows at most."""
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def answers(
    url: str,
    dashboard: Mapping[str, Any],
    variables: Mapping[str, str],
    start: int,
    end: int,
    scrape_interval: int,
) -> list[dict[str, Any]]:
    """Ask a Prometheus all queries of a dashboard, over the time from ``start`` to ``end``.

    ``variables`` are what stands for each variable in a query.
    """
    found = []
    for panel in dashboard["panels"]:
        shown_from = _beginning(panel.get("timeFrom"), end) or start
        finest = max(_seconds(panel.get("interval") or "0s"), scrape_interval)
        step = _round(max((end - shown_from) / _POINTS, finest))
        built_in = {
            "__range": f"{end - shown_from}s",
            "__interval": f"{step}s",
            "__rate_interval": f"{max(step + scrape_interval, 4 * scrape_interval)}s",
        }
        for target in panel.get("targets", ()):
            query = _filled(target["expr"], {**built_in, **variables})
            if target["instant"]:
                path, time = "query", {"time": end}
            else:
                # On multiples of the step, so that points stay where they are as time goes on.
                time = {"start": shown_from - shown_from % step, "end": end, "step": step}
                path = "query_range"
            result = ask(url, path, {"query": query, **time})
            found.append(
                {"panel": panel["id"], "refId": target["refId"], "query": query, "result": result}
            )
    return found


def ask(url: str, path: str, parameters: Mapping[str, object]) -> dict[str, Any]:
    """Return the data of an answer of Prometheus' API."""
    body = urllib.parse.urlencode(parameters).encode()
    try:
        with urllib.request.urlopen(f"{url}/api/v1/{path}", body, timeout=60) as answer:
            data: dict[str, Any] = json.load(answer)["data"]
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{error.read().decode()}: {parameters}") from error
    return data


def _filled(expr: str, variables: Mapping[str, str]) -> str:
    # `$1` is a group of what `label_replace` matched.
    return re.sub(r"\$\{?([a-zA-Z_]\w*)\}?", lambda found: variables[found[1]], expr)


def _beginning(time_from: str | None, end: int) -> int | None:
    """Return when the day, week or month of ``end`` began, if that is what is shown."""
    if time_from is None:
        return None
    day = datetime.fromtimestamp(end, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    # Grafana's weeks begin on Sunday, unless it is told otherwise.
    began = {
        "now/d": day,
        "now/w": day - timedelta(days=(day.weekday() + 1) % 7),
        "now/M": day.replace(day=1),
    }[time_from]
    return int(began.timestamp())


def _seconds(text: str) -> int:
    return int(text[:-1]) * _UNITS[text[-1]]


def _round(seconds: float) -> int:
    """Return the next of the intervals that are easy to read."""
    easy = (15, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400)
    return next(interval for interval in easy if interval >= seconds)
