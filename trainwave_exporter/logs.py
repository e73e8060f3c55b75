"""Logging: one way for every line, from structlog or from a library's stdlib logger, to stderr.

A line is one event in logfmt, JSON, or for people at a console; every event passes the redaction
that the caller gives. Nothing that is logged can break a line, and no failure to write one can
break the program.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any, TextIO

import structlog
from structlog.dev import ConsoleRenderer, plain_traceback
from structlog.processors import JSONRenderer, TimeStamper, add_log_level, format_exc_info
from structlog.typing import Processor

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}

# Below warning these tell of every request, some of them with its headers and so with the key; the
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
    """Whether a line tells of trouble of ours: who sends no HTTP must not fill the log with it."""
    error = record.exc_info[1] if record.exc_info else None
    return type(error).__module__ != "aiohttp.http_exceptions"


logging.getLogger("aiohttp.server").addFilter(_of_ours)


def configure(*, level: str, form: str, redact: Processor, stream: TextIO | None = None) -> None:
    """Send everything of at least ``level`` to ``stream`` (stderr), in the given form.

    ``level`` is a key of `LEVELS`, ``form`` one of ``logfmt``, ``json`` and ``console``. ``redact``
    sees each event right before it becomes a line, when its exception is a text already. May be
    called again.
    """
    output = _Output(stream or sys.stderr)
    least = LEVELS[level]
    structlog.configure(
        processors=[
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


class _Output:
    """The end of the line: writes it whole, or drops it where nobody can read it any more."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.is_terminal = stream.isatty()

    def _write(self, line: str) -> None:
        with suppress(OSError, ValueError):  # a full disk, a broken pipe, a closed stream
            self._stream.write(f"{line}\n")
            self._stream.flush()

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
