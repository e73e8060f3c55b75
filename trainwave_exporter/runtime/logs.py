"""Logging: one way for every line, from structlog or from a library's stdlib logger, to stderr.

A line is one event in logfmt, JSON, or for people at a console; every event passes the redaction
that the caller gives. Nothing that is logged can break a line, no failure to write one can break
the program, and nobody waits until one is written. A line that says what one within the last ten
seconds said is counted, and one line has the count.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from collections.abc import MutableMapping
from typing import Any, Final, TextIO

import structlog
from structlog.dev import ConsoleRenderer, plain_traceback
from structlog.processors import JSONRenderer, TimeStamper, add_log_level, format_exc_info
from structlog.typing import Processor

from trainwave_exporter.runtime.log_repeats import Repeats
from trainwave_exporter.runtime.log_writer import LineWriter

FLUSH_SECONDS: Final = 1.0
"""Time that the end of the program waits for lines to be written."""

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}

FORMER_NAMES: Final = {
    "config_reload_failed": "config_not_reloaded",
    "scrape_aborted": "scrape_cut_short",
    "unknown_environment_variables": "environment_variables_not_known",
}
"""What events were called in 0.1.0. Their lines carry that name as ``formerly`` until 0.3.0."""

# Below warning these log every request, some of them with its headers and so with the key; the
# scheduler also warns of every run that is skipped, which our loops do on purpose.
_TALKATIVE = {
    "aiohttp": logging.WARNING,
    "apscheduler": logging.ERROR,
    "asyncio": logging.WARNING,
    "httpcore": logging.WARNING,
    "httpx": logging.WARNING,
}

_FIRST = ("timestamp", "level", "event")
_BARE = re.compile(r"[^\s\"=\\]+")


def _of_ours(record: logging.LogRecord) -> bool:
    """Whether a line is about trouble of ours: who sends no HTTP must not fill the log with it."""
    error = record.exc_info[1] if record.exc_info else None
    return type(error).__module__ != "aiohttp.http_exceptions"


logging.getLogger("aiohttp.server").addFilter(_of_ours)


def configure(*, level: str, form: str, redact: Processor, stream: TextIO | None = None) -> None:
    """Send everything of at least ``level`` to ``stream`` (stderr), in the given form.

    ``level`` is a key of `LEVELS`, ``form`` one of ``logfmt``, ``json`` and ``console``. ``redact``
    sees each event right before it becomes a line, when its exception is a text already. May be
    called again.
    """
    output = _Output(_lines.to(stream or sys.stderr))
    least = LEVELS[level]
    structlog.configure(
        processors=[
            _lines.repeats,
            _with_former_name,
            add_log_level,
            TimeStamper(fmt="iso", utc=True),
            format_exc_info,
            redact,
            *_renderers(form, colors=output.is_terminal),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=lambda *_names: output,
        cache_logger_on_first_use=False,  # so that configuring again reaches every module's logger
    )
    logging.basicConfig(handlers=[_Bridge()], level=least, force=True)
    for name, bearable in _TALKATIVE.items():
        logging.getLogger(name).setLevel(max(least, bearable))


def write(text: str) -> None:
    """Write a text to stderr as it is, after the lines logged so far."""
    _lines.to(sys.stderr).put(text)


def flush(seconds: float = FLUSH_SECONDS) -> None:
    """Log the sums of what was repeated, and wait until all is written, at most so long."""
    _lines.flush(seconds)


def dropped() -> int:
    """Return how many lines were dropped so far, as nobody read those before."""
    return _lines.dropped


class _Lines:
    """The one way out of the process for lines, whatever is configured how often."""

    def __init__(self) -> None:
        self.repeats = Repeats(time.monotonic)
        self._writer: LineWriter | None = None
        self._dropped_before = 0
        """Lines dropped by earlier writers."""
        self._dropped_logged = 0

    def to(self, stream: TextIO) -> LineWriter:
        """Return what writes to a stream; what is still unwritten elsewhere is written first."""
        if self._writer is None or self._writer.stream is not stream:
            if self._writer is not None:
                self._writer.flush(FLUSH_SECONDS)
                self._writer.close()
                self._dropped_before += self._writer.dropped
            self.repeats = Repeats(time.monotonic)
            self._writer = LineWriter(stream, look=self._look)
        return self._writer

    @property
    def dropped(self) -> int:
        return self._dropped_before + (0 if self._writer is None else self._writer.dropped)

    def flush(self, seconds: float) -> None:
        self._log_sums(everything=True)
        if self._writer is not None:
            self._writer.flush(seconds)

    def _look(self) -> None:
        """Log what is due; called by the writer's thread, so only while somebody reads."""
        self._log_sums(everything=False)
        if (dropped := self.dropped) > self._dropped_logged:
            lines, self._dropped_logged = dropped - self._dropped_logged, dropped
            structlog.get_logger().warning("log_lines_dropped", lines=lines)

    def _log_sums(self, *, everything: bool) -> None:
        for level, fields in self.repeats.due(everything=everything):
            getattr(structlog.get_logger(), level)(**fields)


_lines = _Lines()


class _Output:
    """The end of the line."""

    def __init__(self, writer: LineWriter) -> None:
        self._writer = writer
        self.is_terminal = not writer.stream.closed and writer.stream.isatty()

    def _write(self, line: str) -> None:
        self._writer.put(f"{line}\n")

    debug = info = warning = error = critical = _write


class _Bridge(logging.Handler):
    """Hands what libraries log through the standard library to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log the record's message as the event."""
        try:
            message = record.getMessage()
        except (KeyError, TypeError, ValueError):  # the arguments do not fit the message
            message = str(record.msg)
        level = min(max(record.levelno // 10, 1), 5) * 10  # structlog knows no levels in between
        structlog.get_logger().log(level, message, logger=record.name, exc_info=record.exc_info)


def _with_former_name(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Add what an event was called in the version before, so that searches for it still match."""
    if (former := FORMER_NAMES.get(event["event"])) is not None:
        event["formerly"] = former
    return event


def _renderers(form: str, *, colors: bool) -> list[Processor]:
    match form:
        case "json":
            return [JSONRenderer()]
        case "logfmt":
            return [_logfmt]
        case _:
            return [_printable, ConsoleRenderer(colors=colors, exception_formatter=plain_traceback)]


def _logfmt(_logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
    names = sorted(event, key=lambda name: _FIRST.index(name) if name in _FIRST else len(_FIRST))
    return " ".join(
        f"{re.sub(r'[^A-Za-z0-9_.]', '_', name)}={_word(event[name])}" for name in names
    )


def _word(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case _:
            text = str(value)
    if _BARE.fullmatch(text) and text.isprintable():
        return text
    return json.dumps(text, ensure_ascii=not text.isprintable())


def _printable(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Escape what would move a terminal's cursor; only an exception may take several lines."""
    for name, value in event.items():
        if isinstance(value, str):
            lines = value.split("\n") if name == "exception" else [value]
            event[name] = "\n".join(map(_escaped, lines))
    return event


def _escaped(text: str) -> str:
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
