"""Lenient parsing of single JSON values: what cannot be parsed is reported, never guessed.

Every converter takes one JSON value (never ``None``), returns it in units of the model, and raises
`Misread` for anything else. `Fields` applies them to the fields of one object, so that a bad field
spoils that field alone.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias, TypeVar
from unicodedata import category

from msgspec import Struct

from trainwave_exporter.model import Fact, Unreadable

T = TypeVar("T")

ABSURD = 1e15
"""No amount, size or count of a job comes near it."""

MOST_GPUS = 10_000
"""No job has more GPUs; 65,535 is how some services report "unknown"."""

_SENTINELS = frozenset(float(2**bits - 1) for bits in (31, 32, 63, 64))
"""The largest numbers that integers of a machine hold: how some services report "unknown"."""
_DECIMAL = re.compile(r"\s*[+-]?[0-9]{1,30}(?:\.[0-9]{1,30})?(?:[eE][+-]?[0-9]{1,3})?\s*", re.ASCII)
_EARLIEST, _LATEST = 1_000_000_000.0, 4_102_444_800.0  # 2001-09-09 and 2100-01-01
_NOT_SEGMENTS = frozenset({".", ".."})
_LONGEST_ID: Final = 128
"""Characters of an id. One that is longer is no id: cut, it might be another's."""
_JOINERS: Final = "\u200c\u200d"
"""Format characters that some scripts, and emoji, are written with."""
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Categories of characters that are not seen, but may change how others are."""

Redact: TypeAlias = Callable[[str], str]
"""Removes the API key from text."""


class Misread(ValueError):  # noqa: N818 - says what happened
    """A value that cannot be parsed; ``reason`` is of a closed set."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def text(value: object) -> str | None:
    """Return a string without surrounding space; ``None`` if nothing remains of it."""
    if not isinstance(value, str):
        raise Misread("not_text")
    if not value.isascii():  # half of a surrogate pair cannot be encoded later on
        value = value.encode("utf-8", "replace").decode("utf-8")
    return value.strip() or None


def identifier(value: object) -> str | None:
    """Return an id: a string or a whole number.

    Raises `Misread` for one that changes a path, is too long, or has invisible characters: once
    changed, it would name something else.
    """
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < ABSURD:
        return str(value)
    found = text(value)
    if found is None:
        return None
    if len(found) > _LONGEST_ID:
        raise Misread("too_long")
    if found in _NOT_SEGMENTS or not (found.isprintable() or _visible(found)):
        raise Misread("not_an_id")
    return found


def reference(value: object) -> str | None:
    """Return the id of something else, reported as such or as an object with an id."""
    if isinstance(value, dict):
        value = value.get("id")
        if value is None:
            raise Misread("no_id")
    found = identifier(value)
    return found and sys.intern(found)


class FieldNames(Struct, frozen=True):
    """A kind of text that describes: how it is read, and how many characters of it are kept."""

    read: Callable[[Any], str | None]
    longest: int
    shared: bool = False
    """Many objects have the same, which is kept in memory once."""


RID: Final = FieldNames(text, 128)
STATE: Final = FieldNames(text, 64, shared=True)
NAME: Final = FieldNames(text, 256)
SHARED_NAME: Final = FieldNames(text, 256, shared=True)


def escaped(found: str) -> str:
    r"""Return a text with invisible characters as ``\x1b`` or ``\u202e``."""
    if found.isprintable():
        return found
    return "".join(c if _visible(c) else c.encode("unicode_escape").decode() for c in found)


def _visible(found: str) -> bool:
    """Whether no character controls how others are shown, or is not shown itself."""
    return found.isprintable() or all(
        c.isprintable() or c in _JOINERS or category(c) not in _UNSEEN for c in found
    )


def _shortened(found: str, longest: int) -> str:
    return found if len(found) <= longest else f"{found[: longest - 1]}…"


def _as_it_is(found: str) -> str:
    return found


def number(value: object) -> float:
    """Return a finite number, also from a decimal string such as ``"25.50"``."""
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Misread("not_a_number")
    try:
        found = float(value)
    except OverflowError:
        found = math.inf
    if not math.isfinite(found):
        raise Misread("not_a_number")
    return found


def reported(value: float) -> float:
    """Return a number; ``None`` for one that stands for "unknown"."""
    if value in _SENTINELS:
        raise Misread("out_of_range")
    return value


def balance(value: object) -> float:
    """Return an amount that may be below zero."""
    found = reported(number(value))
    if abs(found) >= ABSURD:
        raise Misread("out_of_range")
    return found


def amount(value: object) -> float:
    """Return an amount, count or size."""
    found = balance(value)
    if found < 0:
        raise Misread("out_of_range")
    return found


def gpu_count(value: object) -> float:
    """Return how many GPUs a job has."""
    found = amount(value)
    if found > MOST_GPUS:
        raise Misread("out_of_range")
    return found


def size(value: object) -> float | None:
    """Return the size of something that every machine has; zero stands for "unknown"."""
    return amount(value) or None


def megabytes(value: object) -> float | None:
    """Return such a size in bytes, reported in units of 10^6 of them."""
    return _scaled(value, 1e6)


def gigabytes(value: object) -> float | None:
    """Return such a size in bytes, reported in units of 10^9 of them."""
    return _scaled(value, 1e9)


def moment(value: object) -> float:
    """Return a time as Unix seconds, reported as ISO 8601 (UTC if without zone), Unix s or Unix ms.

    Only the years 2001 to 2099 are accepted: all else is a placeholder or no time.
    """
    if isinstance(value, str) and not _DECIMAL.fullmatch(value):
        try:
            found = datetime.fromisoformat(value.strip())
            seconds = (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            raise Misread("not_a_time") from None
    else:
        seconds = number(value)
        if seconds >= _EARLIEST * 1000:
            seconds /= 1000
    if not _EARLIEST <= seconds < _LATEST:
        raise Misread("not_a_time")
    return seconds


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Misread("not_an_object")
    return value


def _scaled(value: object, factor: float) -> float | None:
    found = size(value)
    return found and found * factor


class Fields:
    """The fields of one JSON object; notes an `Unreadable` for each that cannot be read.

    No text leaves them that is too long, or that holds the API key.
    """

    __slots__ = ("_account", "_notes", "_redact", "_subject", "raw")

    def __init__(
        self,
        raw: Mapping[str, Any],
        *,
        account: str,
        subject: str,
        notes: list[Fact],
        redact: Redact = _as_it_is,
    ) -> None:
        self.raw = raw
        self._account = account
        self._subject = subject
        self._notes = notes
        self._redact = redact

    def get(self, name: str, convert: Callable[[Any], T | None]) -> T | None:
        """Return a field's converted value; ``None`` if it is absent, null or unreadable."""
        value = self.raw.get(name)
        if value is None:
            return None
        try:
            return convert(value)
        except Misread as misread:
            self.complain(f"long_{name}" if misread.reason == "too_long" else f"bad_{name}")
            return None

    def get_id(self, name: str, convert: Callable[[Any], str | None]) -> str | None:
        """Return an id; ``None`` also for one that holds the key: redacted it names nothing."""
        found = self.get(name, convert)
        if found is not None and self._redact(found) != found:
            self.complain(f"key_in_{name}")
            return None
        return found

    def get_text(self, name: str, wording: FieldNames) -> str | None:
        """Return what a field describes, as it may be kept and shown.

        The key goes first: cut or escaped before, a piece of it might remain.
        """
        found = self.get(name, wording.read)
        if found is None:
            return None
        redacted = self._redact(found)
        if redacted != found:
            self.complain(f"key_in_{name}")
        if len(redacted) > wording.longest:
            self.complain(f"long_{name}")
            redacted = _shortened(redacted, wording.longest)
        if not redacted.isprintable():
            redacted = _shortened(escaped(redacted), wording.longest)
        return sys.intern(redacted) if wording.shared else redacted

    def nested(self, name: str) -> Fields:
        """Return the fields of an object within; none if there is no such object."""
        return self._like(self.get(name, _object) or {}, self._subject)

    def about(self, subject: str) -> Fields:
        """Return the same fields, with complaints about another subject."""
        return self._like(self.raw, subject)

    def complain(self, reason: str) -> None:
        """Note that something could not be read."""
        self._notes.append(Unreadable(account=self._account, subject=self._subject, reason=reason))

    def _like(self, raw: Mapping[str, Any], subject: str) -> Fields:
        return Fields(
            raw,
            account=self._account,
            subject=subject,
            notes=self._notes,
            redact=self._redact,
        )


def first(convert: Callable[[Any], T | None], *places: tuple[Fields, str]) -> T | None:
    """Return the first value that can be read of several places that may report the same."""
    for fields, name in places:
        if (found := fields.get(name, convert)) is not None:
            return found
    return None


def first_id(*places: tuple[Fields, str]) -> str | None:
    """Return the first reference that can be read; see `first`."""
    for fields, name in places:
        if (found := fields.get_id(name, reference)) is not None:
            return found
    return None


def first_text(wording: FieldNames, *places: tuple[Fields, str]) -> str | None:
    """Return the first text that can be read; see `first`."""
    for fields, name in places:
        if (found := fields.get_text(name, wording)) is not None:
            return found
    return None
