"""The two text formats of the exposition, and which of them a scraper asks for."""

from __future__ import annotations

from enum import Enum


class Format(Enum):
    """A format; the value is the ``Content-Type`` it is served with."""

    TEXT = "text/plain; version=0.0.4; charset=utf-8"
    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def negotiate(accept: str | None) -> Format:
    """Return the format that an ``Accept`` header prefers; text where it does not say.

    OpenMetrics is chosen only where it is named, in version 1.0.0 or without a version, with a
    weight that is not below that of the text format. A header that makes no sense asks for nothing.
    """
    weights = {Format.TEXT: 0.0, Format.OPENMETRICS: 0.0}
    for wanted in (accept or "").split(","):
        media_type, *rest = (part.strip().lower() for part in wanted.split(";"))
        parameters = dict(part.split("=", 1) for part in rest if "=" in part)
        match media_type, parameters.get("version", "").strip('"'):
            case "application/openmetrics-text", "" | "1.0.0":
                fits = Format.OPENMETRICS
            case (("text/plain" | "text/*" | "*/*"), _):
                fits = Format.TEXT
            case _:
                continue
        weights[fits] = max(weights[fits], _weight(parameters.get("q", "1")))
    openmetrics = weights[Format.OPENMETRICS]
    return Format.OPENMETRICS if 0 < openmetrics >= weights[Format.TEXT] else Format.TEXT


def _weight(text: str) -> float:
    """Return a quality value from 0 to 1; 0 for what is none."""
    try:
        weight = float(text)
    except ValueError:
        return 0.0
    return weight if 0 <= weight <= 1 else 0.0
