"""Which coding an ``Accept-Encoding`` header asks for."""

from __future__ import annotations

from enum import StrEnum


class Coding(StrEnum):
    """How an answer is packed, the one that is ready first."""

    GZIP = "gzip"
    ZSTD = "zstd"
    IDENTITY = "identity"


def preferred(header: str | None, *, zstd: bool = True) -> Coding:
    """Return the coding that is liked most, among equals the one that costs least.

    ``zstd``: whether that one is to be had. A header that makes no sense accepts nothing but the
    plain answer.
    """
    weights: dict[str, float] = {}
    for wanted in (header or "").lower().split(","):
        name, *parameters = (part.strip() for part in wanted.split(";"))
        weights[name] = _weight(parameters)
    packed = {
        Coding.GZIP: weights.get("gzip", weights.get("*", 0.0)),
        # By name only: it is packed for the one who asks.
        Coding.ZSTD: weights.get("zstd", 0.0) if zstd else 0.0,
    }
    best = max(packed, key=packed.__getitem__)
    return best if 0 < packed[best] >= weights.get("identity", 0.0) else Coding.IDENTITY


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
