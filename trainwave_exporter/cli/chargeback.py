"""The chargeback as a table for people, as CSV for spreadsheets, and as JSON for programs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from msgspec import Struct

from trainwave_exporter.ledger.periods import Span
from trainwave_exporter.ledger.report import Row
from trainwave_exporter.ledger.units import HOUR, MICRO, dollars, gpu_hours, seconds

_AMOUNTS: Final = ("cost_dollars", "gpu_hours")
_UNCERTAIN: Final = "uncertain_dollars"
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
    uncertain: int = 0
    """Micro-dollars of the total that may belong to other periods."""
    unread: Sequence[str] = ()
    """Accounts whose history was never read as a whole."""

    @property
    def total(self) -> Row:
        """What all rows come to, said so in the first column."""
        cost, gpu = sum(row.cost for row in self.rows), sum(row.gpu for row in self.rows)
        return Row(("total", *[""] * (len(self.columns) - 1)), cost, gpu, self.uncertain)

    @property
    def doubts(self) -> Sequence[str]:
        """What is not known of the period yet, one sentence a line."""
        told = []
        if self.uncertain:
            told.append(
                f"${_cents(self.uncertain)} of the total is uncertain: when some jobs ran is not"
                " reported (yet), and part of their cost may belong to another period."
            )
        if self.unread:
            names = ", ".join(map(_printable, self.unread))
            told.append(
                f"The list of all jobs was not read to its end yet for account {names}: the total"
                " may be higher."
            )
        return told


def as_table(sheet: Sheet) -> str:
    """Return lines for people: cents, and hundredths of GPU hours.

    The amounts are rounded such that they add up to the rounded total as they stand there.
    """
    costs = _rounded([row.cost for row in sheet.rows], MICRO // 100)
    hours = _rounded([row.gpu for row in sheet.rows], HOUR // 100)
    uncertain = [row for row in (*sheet.rows, sheet.total) if row.uncertain]
    lines = [
        (*sheet.columns, *_AMOUNTS, *[_UNCERTAIN] * bool(uncertain)),
        *(
            (
                *(_printable(key) or "-" for key in row.keys),
                _decimal(cost),
                _decimal(hour),
                *[_cents(row.uncertain)] * bool(uncertain),
            )
            for row, cost, hour in zip(sheet.rows, costs, hours, strict=True)
        ),
        (
            *sheet.total.keys,
            _decimal(sum(costs)),
            _decimal(sum(hours)),
            *[_cents(sheet.uncertain)] * bool(uncertain),
        ),
    ]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    texts = len(sheet.columns)
    begin, end = _ends(sheet)
    head = f"{begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}, {sheet.zone.key}\n"
    foot = "".join(f"{line}\n" for line in sheet.doubts)
    table = "".join(
        "  ".join(
            cell.ljust(width) if place < texts else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        + "\n"
        for line in lines
    )
    return head + table + foot


def as_csv(sheet: Sheet) -> str:
    """Return comma-separated values with a head, and the total in the last row.

    A text that a spreadsheet would reckon with gets an apostrophe in front.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((*sheet.columns, *_AMOUNTS, _UNCERTAIN))
    for row in (*sheet.rows, sheet.total):
        amounts = dollars(row.cost), gpu_hours(row.gpu), dollars(row.uncertain)
        writer.writerow((*map(_inert, row.keys), *(f"{amount:.{_PLACES}f}" for amount in amounts)))
    return text.getvalue()


def as_json(sheet: Sheet) -> str:
    """Return one object: period, time zone, rows, total and accounts that were not read."""
    begin, end = _ends(sheet)
    document = {
        "period": {"begin": begin.isoformat(), "end": end.isoformat()},
        "time_zone": sheet.zone.key,
        "rows": [
            dict(zip(sheet.columns, row.keys, strict=True)) | _amounts(row) for row in sheet.rows
        ],
        "total": _amounts(sheet.total),
        "unread_accounts": list(sheet.unread),
    }
    text = json.dumps(document, indent=2, ensure_ascii=False)
    return "".join(map(_harmless, text)) + "\n"


FORMATS: Final[Mapping[str, Callable[[Sheet], str]]] = {
    "table": as_table,
    "csv": as_csv,
    "json": as_json,
}


def _amounts(row: Row) -> dict[str, float]:
    hours = round(gpu_hours(row.gpu), _PLACES)
    amounts = dollars(row.cost), hours, dollars(row.uncertain)
    return dict(zip((*_AMOUNTS, _UNCERTAIN), amounts, strict=True))


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


def _cents(micro: int) -> str:
    """Return what is uncertain, rounded up: a part of a cent is not nothing."""
    return _decimal(-(-micro // (MICRO // 100)))


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
