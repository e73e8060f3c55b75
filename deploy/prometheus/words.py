"""How alerts are worded: numbers as people write them, and values that are not the alert's own."""

from __future__ import annotations

DOLLARS = 'printf "$%.2f"'
DURATION = "humanizeDuration"
PERCENTAGE = "humanizePercentage"
MOMENT = "humanizeTimestamp"


def number(value: float) -> str:
    """Write a number for people and for PromQL alike: no `.0`, and no exponent below 10^15."""
    return f"{value:.15g}"


def counted(count: int, noun: str) -> str:
    """Write how many there are of something."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def own(form: str) -> str:
    """Write a template for the value of the alert itself."""
    return f"{{{{ $value | {form} }}}}"


def looked_up(query: str, *filled: str, form: str, missing: str, shown: str = "value") -> str:
    """Write a template for what `query` finds at the time of the alert.

    Each `filled`, say `$labels.owner`, takes the place of one `%q` in the query, which quotes
    whatever people call things. Of the first series that is found, its value or a label is `shown`;
    `missing` stands where there is none, so that a sentence stays one.
    """
    given = " ".join([f"`{query}`", *filled])
    return (
        f"{{{{ with printf {given} | query }}}}{{{{ . | first | {shown} | {form} }}}}"
        f"{{{{ else }}}}{missing}{{{{ end }}}}"
    )
