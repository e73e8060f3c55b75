"""Times, durations, money and names as the page for people writes them, in HTML."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape

NONE = '<span class="soft">&ndash;</span>'


def ago(moment: float | None, now: float) -> str:
    """Return how long ago something was, with the exact time at hand."""
    if moment is None:
        return '<span class="soft">never</span>'
    exact = datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")
    return f'<time datetime="{exact}" title="{exact}">{span(now - moment)} ago</time>'


def span(seconds: float) -> str:
    """Return a duration in its one or two largest units; a negative one counts as none."""
    whole = max(0, int(seconds))
    for unit, size, smaller, part in (("d", 86400, "h", 3600), ("h", 3600, "min", 60)):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size} {unit}" + (f" {rest} {smaller}" if rest else "")
    if whole >= 60:
        return f"{whole // 60} min"
    return f"{seconds:.1g} s" if 0 < seconds < 1 else f"{whole} s"


def dollars(amount: float | None) -> str:
    """Return an amount of money."""
    return NONE if amount is None else f"${amount:,.2f}"


def named(text: str | None) -> str:
    """Return a name that somebody else chose; whatever it is, it stays text in its place."""
    if not text:
        return NONE
    return f"<bdi>{escape(text)}</bdi>"


def counted(number: int, one: str, more: str | None = None) -> str:
    """Return ``1 job`` or ``2 jobs``."""
    return f"{number:,} {one if number == 1 else more or f'{one}s'}"
