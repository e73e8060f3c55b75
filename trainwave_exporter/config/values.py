"""The types of settings that are more than a number or a text, each with its parser.

Every type has ``expected``, the words in which an error asks for it, and ``parse``, which turns a
text into it or raises `ValueError`.
"""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import ClassVar, Final, Protocol, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

IN_MEMORY: Final = ":memory:"
"""Stands for a store that is in no file."""


class Parsed(Protocol):
    """What all these types have in common."""

    expected: ClassVar[str]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the value that ``text`` spells; raise `ValueError` where it spells none."""
        ...


_SECONDS = {"y": 31_536_000, "w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1, "ms": 0.001}
_DURATION = re.compile("".join(rf"(?:(?P<{unit}>[0-9]{{1,9}}){unit})?" for unit in _SECONDS))


class Duration(float):
    """A length of time in seconds, spelled as Prometheus spells it: ``30s``, ``1h30m``, ``0``."""

    __slots__ = ()

    expected: ClassVar[str] = "a duration such as 30s"
    shortest: ClassVar[float] = 0.0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the units in falling order, each at most once; a lone ``0`` needs none."""
        match = _DURATION.fullmatch("0s" if text == "0" else text)
        if match is None or not text:
            raise ValueError(cls.expected)
        counts = match.groupdict("0").items()
        seconds = sum(int(count) * _SECONDS[unit] for unit, count in counts)
        if seconds < cls.shortest:
            raise ValueError(cls.expected)
        return cls(seconds)

    def __str__(self) -> str:
        """Spell it in the largest whole units, to the millisecond."""
        milliseconds = round(self * 1000)
        parts = []
        for unit, seconds in _SECONDS.items():
            count, milliseconds = divmod(milliseconds, round(seconds * 1000))
            if count:
                parts.append(f"{count}{unit}")
        return "".join(parts) or "0s"


class Interval(Duration):
    """A duration that something waits for, so that zero would be a busy loop."""

    __slots__ = ()

    expected: ClassVar[str] = "a duration of 100ms or more, such as 30s"
    shortest: ClassVar[float] = 0.1


class RetentionDuration(Duration):
    """How long detail is kept: never less than the longest period of a budget; 0 for ever."""

    __slots__ = ()

    expected: ClassVar[str] = "a duration of 32d or more, such as 2y, or 0 for no end"
    least: ClassVar[float] = 32 * 86_400

    @classmethod
    def parse(cls, text: str) -> Self:
        """Check that it outlasts a month, where it ends at all."""
        retention = super().parse(text)
        if 0 < retention < cls.least:
            raise ValueError(cls.expected)
        return retention


class _Text(str):
    """A text of a certain form."""

    __slots__ = ()

    expected: ClassVar[str]
    form: ClassVar[re.Pattern[str]]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Check the form; what it stands for is not looked at."""
        if not cls.form.fullmatch(text):
            raise ValueError(cls.expected)
        return cls(text)


class ApiUrl(_Text):
    """The API's base URL, without the slash at its end."""

    __slots__ = ()

    expected: ClassVar[str] = (
        "an http or https URL without user name, query or fragment,"
        " such as https://backend.trainwave.ai/api/v1"
    )
    form: ClassVar[re.Pattern[str]] = re.compile(r"(?i:https?)://[^\s?#@\\\x00-\x20\x7f]+")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Check that there is a host, and a port only in its range."""
        url = urlsplit(super().parse(text))
        if not url.hostname or url.port == 0:
            raise ValueError(cls.expected)
        return cls(text.rstrip("/"))


class ListenAddress(_Text):
    """``host:port``, ``[address]:port``, ``:port`` for every interface, or ``unix:/path``.

    Port 0 takes any.
    """

    __slots__ = ()

    expected: ClassVar[str] = (
        "an address such as :9877, 127.0.0.1:9877, [::1]:9877 or unix:/run/exporter.sock"
    )
    form: ClassVar[re.Pattern[str]] = re.compile(
        r"(\[[0-9A-Fa-f:.]+(%[A-Za-z0-9]+)?\]|[A-Za-z0-9._-]*):[0-9]{1,5}|unix:/[^\s,\x00-\x20\x7f]+"
    )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Check the form and the range of the port."""
        address = super().parse(text)
        if not address.startswith("unix:/") and int(address.rpartition(":")[2]) > 65535:
            raise ValueError(cls.expected)
        return address


class HostName(_Text):
    """A name or an address by which the exporter is asked for, without a port; in lower case."""

    __slots__ = ()

    expected: ClassVar[str] = "hosts such as exporter.example.org, 10.0.0.7 or ::1, without a port"
    form: ClassVar[re.Pattern[str]] = re.compile(r"[A-Za-z0-9._-]{1,253}|[0-9A-Fa-f:.]{2,45}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Check the form; case makes no difference."""
        return super().parse(text.lower())


class TelemetryPath(_Text):
    """Where metrics are served: apart from the landing page ``/`` and from ``/-/…``.

    Only plain segments, so that the path means the same in every client.
    """

    __slots__ = ()

    expected: ClassVar[str] = 'a path such as /metrics, not "/" and not below "/-/"'
    form: ClassVar[re.Pattern[str]] = re.compile(r"(/[A-Za-z0-9_~][A-Za-z0-9._~-]*)+")


class AccountName(_Text):
    """A name that is at home in a metric label, a query and a log line alike."""

    __slots__ = ()

    expected: ClassVar[str] = (
        "a name of up to 63 letters, digits, dots, hyphens and underscores, such as research"
    )
    form: ClassVar[re.Pattern[str]] = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class Identifier(_Text):
    """The id, or readable id, of an object of the API."""

    __slots__ = ()

    expected: ClassVar[str] = "an id such as p-abc123"
    form: ClassVar[re.Pattern[str]] = re.compile(r"[^\s\x00-\x20\x7f]+")


class MetricPattern(_Text):
    """Names of metrics, as a shell would match them."""

    __slots__ = ()

    expected: ClassVar[str] = "names of metrics, with * for any text"
    form: ClassVar[re.Pattern[str]] = re.compile(r"[A-Za-z0-9_:*]+")


class FilePath(_Text):
    """The path of a file; in the file of settings it counts from that file's folder."""

    __slots__ = ()

    expected: ClassVar[str] = "the path of a file"
    form: ClassVar[re.Pattern[str]] = re.compile(r"[^\x00]+")

    def counted_from(self, folder: Path) -> Self:
        """Return the path as it is for who stands in the folder; an absolute one stays."""
        return type(self)(folder / self)


class StoragePath(FilePath):
    """The folder of the ledger, or ``:memory:`` for none."""

    __slots__ = ()

    expected: ClassVar[str] = f"the path of a folder, or {IN_MEMORY}"

    def counted_from(self, folder: Path) -> Self:
        """Return the path likewise; what is in no file is in no folder."""
        return self if self == IN_MEMORY else super().counted_from(folder)


class LabelText(_Text):
    """What a label of a metric says, such as a user name or a type of GPU."""

    __slots__ = ()

    expected: ClassVar[str] = "names or ids, as the labels of metrics show them"
    form: ClassVar[re.Pattern[str]] = re.compile(r"(?!\s)[^\x00-\x1f\x7f]+(?<!\s)")


class TimeZone(_Text):
    """The name of a time zone, which says when a day begins."""

    __slots__ = ()

    expected: ClassVar[str] = "a time zone of the IANA database, such as UTC or Europe/Berlin"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Look it up."""
        try:
            ZoneInfo(text)
        except (KeyError, ValueError, OSError):  # names none, no path below the database, a folder
            raise ValueError(cls.expected) from None
        return cls(text)


class Variable(_Text):
    """The name of an environment variable."""

    __slots__ = ()

    expected: ClassVar[str] = "the name of an environment variable, such as TRAINWAVE_API_KEY"
    form: ClassVar[re.Pattern[str]] = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class BudgetPeriod(StrEnum):
    """What a budget is for."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class LogLevel(StrEnum):
    """Severities, in rising order."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """Forms of a log line."""

    LOGFMT = "logfmt"
    JSON = "json"
    CONSOLE = "console"
