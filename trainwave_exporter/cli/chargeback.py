"""The chargeback as a table for people, as CSV for spreadsheets, and as JSON for programs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from msgspec import Struct
from msgspec.structs import replace

from trainwave_exporter.ledger.billing.bounds import NOTHING, Bounds
from trainwave_exporter.ledger.billing.periods import Span
from trainwave_exporter.ledger.billing.report import Row
from trainwave_exporter.ledger.billing.units import HOUR, MICRO, dollars, gpu_hours, seconds

_AMOUNTS: Final = ("cost_dollars", "gpu_hours")
_BOUNDS: Final = ("lower_bound_dollars", "upper_bound_dollars")
_CENT: Final = MICRO // 100
_PLACES: Final = 6
"""Decimals where programs read on: to the micro-dollar."""
_FORMULA: Final = ("=", "+", "-", "@")
"""What a text begins with that a spreadsheet would take for a formula."""


class Sheet(Struct, frozen=True, kw_only=True):
    """A chargeback, and what it is about."""

    span: Span
    zone: ZoneInfo
    columns: tuple[str, ...]
    """What the keys of its rows are."""
    rows: Sequence[Row]
    sum: Row
    """What all rows come to."""
    unread: Sequence[str] = ()
    """Accounts whose history was never read as a whole: no upper bound is known."""
    unbilled: Bounds = NOTHING
    """Micro-dollars that running jobs owe and that are not billed yet."""
    implausible: int = 0
    """How many jobs report a cost that waits for a second report."""

    @property
    def total(self) -> Row:
        """What all rows come to, said so in the first column."""
        return replace(self.sum, keys=("total", *[""] * (len(self.columns) - 1)))

    def upper_bound(self, row: Row) -> int | None:
        """Return the most that a row may have cost, in micro-dollars; None: it is unknown."""
        return None if self.unread else row.cost.upper

    @property
    def exact(self) -> bool:
        """Whether all costs are exact."""
        return not self.unread and not any(row.cost.width for row in (*self.rows, self.total))

    @property
    def notes(self) -> Sequence[str]:
        """Lines on the bounds of costs that are not exact, and on what is left out."""
        return [*self._why_bounds, *self._left_out]

    @property
    def _why_bounds(self) -> Sequence[str]:
        if self.exact:
            return ()
        lower, upper = _floor(self.sum.cost.lower), self.upper_bound(self.total)
        most = "an upper bound is unknown" if upper is None else f"at most ${_ceiling(upper)}"
        notes = [f"Costs are not exact. The total is at least ${lower}; {most}."]
        if any(row.cost.width for row in (*self.rows, self.total)):
            notes.append(
                "- The API has not reported when some jobs ran. Part of their cost may belong to"
                " another period or day."
            )
        if self.unread:
            names = ", ".join(map(_printable, self.unread))
            notes.append(
                f"- The list of all jobs of account {names} has not been read to its end yet. Jobs"
                " may be missing here."
            )
        return notes

    @property
    def _left_out(self) -> Iterator[str]:
        lower, upper = _floor(self.unbilled.lower), _ceiling(self.unbilled.upper)
        if self.unbilled.upper > _CENT:
            amount = f"${lower}" if lower == upper else f"${lower} to ${upper}"
            yield f"Not included: {amount} accrued by running jobs and not billed yet."
        if self.implausible:
            jobs = "1 job" if self.implausible == 1 else f"{self.implausible} jobs"
            yield f"Not included: an implausible cost of {jobs} until it is reported again."


def as_table(sheet: Sheet) -> str:
    """Return lines for people: cents, and hundredths of GPU hours.

    The amounts are rounded such that they add up to the rounded total as they stand there. Bounds
    are rounded away from them, and are there only if some cost is not exact; it is unknown then.
    """
    costs = _rounded([row.cost.lower for row in sheet.rows], _CENT)
    hours = _rounded([row.gpu.lower for row in sheet.rows], HOUR // 100)
    amounts = zip((*costs, sum(costs)), (*hours, sum(hours)), strict=True)
    lines = [(*sheet.columns, *_AMOUNTS, *(() if sheet.exact else _BOUNDS))]
    for row, (cost, hour) in zip((*sheet.rows, sheet.total), amounts, strict=True):
        lower, upper = row.cost.lower, sheet.upper_bound(row)
        bounds = _floor(lower), "unknown" if upper is None else _ceiling(upper)
        keys = row.keys if row == sheet.total else [_printable(key) or "-" for key in row.keys]
        known = (
            "unknown" if row.cost.width else _decimal(cost),
            "unknown" if row.gpu.width else _decimal(hour),
        )
        lines.append((*keys, *known, *(() if sheet.exact else bounds)))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    texts = len(sheet.columns)
    begin, end = _ends(sheet)
    head = f"{begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}, {sheet.zone.key}\n"
    table = "".join(
        "  ".join(
            cell.ljust(width) if place < texts else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        + "\n"
        for line in lines
    )
    return head + table


def as_csv(sheet: Sheet) -> str:
    """Return comma-separated values with a head, and the total in the last row.

    A text that a spreadsheet would compute with gets an apostrophe in front.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((*sheet.columns, *_AMOUNTS, *_BOUNDS))
    for row in (*sheet.rows, sheet.total):
        amounts = (
            "" if amount is None else f"{amount:.{_PLACES}f}"
            for amount in _amounts(sheet, row).values()
        )
        writer.writerow((*map(_inert, row.keys), *amounts))
    return text.getvalue()


def as_json(sheet: Sheet) -> str:
    """Return one object: period, time zone, rows and total, and what is not in them."""
    begin, end = _ends(sheet)
    document = {
        "period": {"begin": begin.isoformat(), "end": end.isoformat()},
        "time_zone": sheet.zone.key,
        "rows": [
            dict(zip(sheet.columns, row.keys, strict=True)) | _amounts(sheet, row)
            for row in sheet.rows
        ],
        "total": _amounts(sheet, sheet.total),
        "unread_accounts": list(sheet.unread),
        "unbilled_dollars": dict(
            zip(
                _BOUNDS, (dollars(sheet.unbilled.lower), dollars(sheet.unbilled.upper)), strict=True
            )
        ),
        "implausible_jobs": sheet.implausible,
    }
    text = json.dumps(document, indent=2, ensure_ascii=False)
    return "".join(map(_harmless, text)) + "\n"


FORMATS: Final[Mapping[str, Callable[[Sheet], str]]] = {
    "table": as_table,
    "csv": as_csv,
    "json": as_json,
}


def _amounts(sheet: Sheet, row: Row) -> dict[str, float | None]:
    cost = None if row.cost.width else dollars(row.cost.lower)
    hours = None if row.gpu.width else round(gpu_hours(row.gpu.lower), _PLACES)
    upper = sheet.upper_bound(row)
    bounds = dollars(row.cost.lower), None if upper is None else dollars(upper)
    return dict(zip((*_AMOUNTS, *_BOUNDS), (cost, hours, *bounds), strict=True))


def _rounded(amounts: Sequence[int], unit: int) -> list[int]:
    """Return amounts in whole units, each rounded up or down, so that their sum is rounded, too."""
    whole = [amount // unit for amount in amounts]
    lacking = (2 * sum(amounts) + unit) // (2 * unit) - sum(whole)
    places = sorted(range(len(amounts)), key=lambda place: amounts[place] % unit, reverse=True)
    for place in places[:lacking]:
        whole[place] += 1
    return whole


def _decimal(hundredths: int) -> str:
    return f"{hundredths / 100:.2f}"


def _floor(micro: int) -> str:
    return _decimal(micro // _CENT)


def _ceiling(micro: int) -> str:
    return _decimal(-(-micro // _CENT))


def _printable(text: str) -> str:
    """Return a text of one line that does nothing to a terminal."""
    return "".join(c if c.isprintable() else " " for c in text)


def _harmless(character: str) -> str:
    """Return a character of a JSON text, escaped where a terminal might do something at it."""
    plain = character.isprintable() or character == "\n"
    return character if plain else json.dumps(character)[1:-1]


def _inert(text: str) -> str:
    """Return likewise a text that does nothing to a spreadsheet."""
    text = _printable(text)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _ends(sheet: Sheet) -> tuple[datetime, datetime]:
    begin, end = (seconds(at) for at in (sheet.span.begin, sheet.span.end))
    return datetime.fromtimestamp(begin, sheet.zone), datetime.fromtimestamp(end, sheet.zone)
