"""What an ``Accept-Encoding`` header says about gzip."""

from __future__ import annotations


def accepts_gzip(header: str | None) -> bool:
    """Return whether gzip is accepted, and not liked less than the plain body.

    A header that makes no sense accepts nothing.
    """
    weights: dict[str, float] = {}
    for wanted in (header or "").lower().split(","):
        coding, *parameters = (part.strip() for part in wanted.split(";"))
        weights[coding] = _weight(parameters)
    gzip = weights.get("gzip", weights.get("*", 0.0))
    return 0 < gzip >= weights.get("identity", 0.0)


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
