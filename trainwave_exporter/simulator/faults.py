"""What can go wrong, how often, and how people ask for it.

A fault never changes the truth of the world: an answer that is delivered whole is right, but for
what its fault says. A request meets one fault at most.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random


class Fault(StrEnum):
    """A way in which an answer is not what it should be."""

    TOO_MANY_REQUESTS = "429"
    """429 although the limit is not used up, with or without ``Retry-After``."""
    SERVER_ERROR = "5xx"
    """500, 502, 503 or 504, as JSON, text or HTML."""
    SLOW = "slow"
    """The right answer, later than anybody waits for."""
    RESET = "reset"
    """The connection is reset when half of the answer is sent."""
    HALF_BODY = "half_body"
    """The connection ends before the body does, or the body is JSON cut in the middle."""
    WRONG_JSON = "wrong_json"
    """JSON of no form that was asked for."""
    HTML = "html"
    """A web page with status 200."""
    NULL_DATA = "null_data"
    """Status 200, and null where the data should be."""
    SUCCESS_FALSE = "success_false"
    """An error with status 200."""
    SHIFT = "shift"
    """A page of a list begins a few places too early or too late, as when lists change meanwhile.

    First pages are never shifted."""
    UNKNOWN_STATE = "unknown_state"
    """One job in the answer has a state that no source names."""
    REDIRECT = "redirect"
    """Off to another origin, where nobody should bring a key."""
    DOWN = "down"
    """The connection is reset before anything is sent."""


_SKEW = "skew"
_SLOW_FOR = "slow_for"
_ALL = "all"
_IN_ALL = tuple(fault for fault in Fault if fault is not Fault.DOWN)
_SKEW_IN_ALL = 120.0
FAULT_NAMES = (*Fault, _SKEW, _SLOW_FOR, _ALL)
"""What `parse_faults` understands."""


@dataclass(frozen=True, slots=True)
class Faults:
    """How often each fault happens: the part of the requests, from 0 to 1, in sum 1 at most.

    Raises ValueError for any other number.
    """

    rates: Mapping[Fault, float] = field(default_factory=dict)
    skew: float = 0.0
    """Seconds that the service's clock is ahead: in ``Date`` and ``X-RateLimit-Reset``."""
    slow_for: float = 30.0
    """Seconds that a slow answer takes."""

    def __post_init__(self) -> None:
        for fault, rate in self.rates.items():
            if not 0 <= rate <= 1:
                raise ValueError(f"the rate of the fault {fault} must be from 0 to 1, not {rate}")
        if sum(self.rates.values()) > 1 + 1e-9:
            raise ValueError("the rates of all faults together must not be above 1")
        if not math.isfinite(self.skew):
            raise ValueError("the clock skew must be a finite number of seconds")
        if not 0 <= self.slow_for < math.inf:
            raise ValueError("a slow answer must take a finite number of seconds")

    def draw(self, random: Random) -> Fault | None:
        """Draw what happens to one request; None, hopefully."""
        lot = random.random()
        for fault, rate in self.rates.items():
            lot -= rate
            if lot < 0:
                return fault
        return None


def parse_faults(text: str) -> Faults:
    """Read a text such as ``5xx=0.1,slow=0.05,slow_for=20s,skew=-2m,down``.

    A name alone has rate 1. ``all=0.35`` spreads a rate evenly over all faults but ``down`` that
    are not named otherwise, and skews the clock by two minutes. Raises ValueError, with the valid
    names where one is unknown.
    """
    given: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = (side.strip() for side in part.partition("="))
        if name not in FAULT_NAMES:
            raise ValueError(f"unknown fault {name!r}; there are {', '.join(FAULT_NAMES)}")
        if name in given:
            raise ValueError(f"the fault {name} is given twice")
        given[name] = value
    rates: dict[Fault, float] = {}
    skew = 0.0
    if _ALL in given:
        spread = _rate(_ALL, given[_ALL] or "1")
        rates = dict.fromkeys(_IN_ALL, spread / len(_IN_ALL))
        skew = _SKEW_IN_ALL
    rates |= {
        Fault(name): _rate(name, value or "1")
        for name, value in given.items()
        if name not in {_ALL, _SKEW, _SLOW_FOR}
    }
    if _SKEW in given:
        skew = _seconds(_SKEW, given[_SKEW])
    if _SLOW_FOR in given:
        return Faults(rates, skew, _seconds(_SLOW_FOR, given[_SLOW_FOR]))
    return Faults(rates, skew)


def _rate(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{name}: expected a rate from 0 to 1, got {text!r}") from None


_UNITS = {"s": 1, "m": 60, "h": 3600}


def _seconds(name: str, text: str) -> float:
    """Read ``90``, ``90s``, ``1.5m`` or ``-2h``."""
    unit = _UNITS.get(text[-1:])
    try:
        return float(text) if unit is None else float(text[:-1]) * unit
    except ValueError:
        raise ValueError(f"{name}: expected a time such as 90s or 2m, got {text!r}") from None
