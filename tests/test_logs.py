"""Every line of the log is one line, complete, and free of keys."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from trainwave_exporter import logs
from trainwave_exporter.config import Account, key_source, redactor
from trainwave_exporter.config.values import Name, Variable

KEY = "tw-0123456789abcdef"
HOSTILE = 'a "b"\n c=d \\ \r\x1b[31m\u2028\x00 ü'


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield io.StringIO()
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def configure(stream: io.StringIO, *, form: str, level: str = "info") -> None:
    source = key_source(Account(name=Name("a"), api_key_env=Variable("KEY")), {"KEY": KEY})
    logs.configure(level=level, form=form, redact=redactor([source]), stream=stream)


def fail(text: str) -> None:
    raise ValueError(text)


def test_a_logfmt_line_begins_with_time_level_and_event(stream: io.StringIO) -> None:
    configure(stream, form="logfmt")
    structlog.get_logger().info("sweep_failed", account="research", jobs=3, ok=False, why=None)
    time, *rest = stream.getvalue().split(" ")
    assert time.startswith("timestamp=20")
    assert time.endswith("Z")
    assert rest == [
        "level=info",
        "event=sweep_failed",
        "account=research",
        "jobs=3",
        "ok=false",
        "why=\n",
    ]


def test_logfmt_quotes_what_would_break_a_line(stream: io.StringIO) -> None:
    configure(stream, form="logfmt")
    structlog.get_logger().info(HOSTILE, **{"a b": "", "ü": "ü", "list": ["x y"]})
    line = stream.getvalue()
    assert line.count("\n") == 1
    assert line.endswith(
        r'event="a \"b\"\n c=d \\ \r\u001b[31m\u2028\u0000 \u00fc" '
        'a_b="" _=ü list="[\'x y\']"\n'
    )


def test_a_json_line_holds_what_was_logged(stream: io.StringIO) -> None:
    configure(stream, form="json")
    structlog.get_logger().warning(HOSTILE, account=HOSTILE, jobs=3)
    assert stream.getvalue().count("\n") == 1
    event = json.loads(stream.getvalue())
    assert (event["event"], event["level"]) == (HOSTILE, "warning")
    assert (event["account"], event["jobs"]) == (HOSTILE, 3)


def test_a_console_line_cannot_move_the_cursor(stream: io.StringIO) -> None:
    configure(stream, form="console")
    structlog.get_logger().info(HOSTILE, account=HOSTILE, jobs=3)
    assert stream.getvalue().strip("\n").isprintable()
    assert r"\n c=d" in stream.getvalue()


def test_a_console_shows_a_traceback_as_lines(stream: io.StringIO) -> None:
    configure(stream, form="console")
    try:
        fail(KEY)
    except ValueError:
        structlog.get_logger().exception("loop_failed")
    assert "\nValueError: [redacted]\n" in stream.getvalue()


@pytest.mark.parametrize("form", ["logfmt", "json"])
def test_an_exception_stays_in_its_line(stream: io.StringIO, form: str) -> None:
    configure(stream, form=form)
    try:
        fail(f"refused {KEY}")
    except ValueError:
        structlog.get_logger().exception("loop_failed")
    assert stream.getvalue().count("\n") == 1
    assert r"\nValueError: refused [redacted]" in stream.getvalue()


@pytest.mark.parametrize("form", ["logfmt", "json", "console"])
def test_what_a_library_logs_takes_the_same_way(stream: io.StringIO, form: str) -> None:
    configure(stream, form=form)
    try:
        fail(KEY)
    except ValueError:
        logging.getLogger("some.library").exception("got %s", {"X-API-KEY": KEY})
    assert KEY not in stream.getvalue()
    assert "some.library" in stream.getvalue()
    assert "[redacted]" in stream.getvalue()
    assert "ValueError" in stream.getvalue()


def test_a_librarys_odd_levels_and_broken_messages_are_logged_all_the_same(
    stream: io.StringIO,
) -> None:
    configure(stream, form="json", level="debug")
    library = logging.getLogger("some.library")
    library.setLevel(1)
    library.log(5, "trace")
    library.log(25, "notice")
    library.log(99, "doom")
    library.info("%d requests", "many")
    library.info("%(count)s", {"requests": 1})
    library.info("100 %", 1)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(line["level"], line["event"]) for line in lines] == [
        ("debug", "trace"),
        ("info", "notice"),
        ("critical", "doom"),
        ("info", "%d requests"),
        ("info", "%(count)s"),
        ("info", "100 %"),
    ]


def test_less_than_the_level_is_not_logged(stream: io.StringIO) -> None:
    configure(stream, form="logfmt", level="warning")
    structlog.get_logger().info("started")
    logging.getLogger("some.library").info("started")
    assert stream.getvalue() == ""
    structlog.get_logger().error("stopped")
    logging.getLogger("some.library").error("stopped")
    assert stream.getvalue().count("\n") == 2


@pytest.mark.parametrize(
    ("library", "level"),
    [
        ("httpcore.http11", logging.WARNING),
        ("httpx", logging.WARNING),
        ("aiohttp.access", logging.WARNING),
        ("apscheduler.scheduler", logging.ERROR),
    ],
)
def test_libraries_that_tell_of_every_request_are_quiet_even_when_debugging(
    stream: io.StringIO, library: str, level: int
) -> None:
    configure(stream, form="logfmt", level="debug")
    logging.getLogger(library).log(level - 10, "request_headers %r", {"X-API-KEY": KEY})
    assert stream.getvalue() == ""
    logging.getLogger(library).log(level, "retrying")
    assert "event=retrying" in stream.getvalue()


def test_configuring_again_reaches_loggers_already_in_use(stream: io.StringIO) -> None:
    log = structlog.get_logger()
    configure(stream, form="logfmt")
    log.info("first")
    configure(stream, form="json")
    log.info("second")
    assert json.loads(stream.getvalue().splitlines()[1])["event"] == "second"


def test_a_closed_stream_breaks_nothing(stream: io.StringIO) -> None:
    configure(stream, form="logfmt")
    stream.close()
    structlog.get_logger().error("stopped")


class Full(io.StringIO):
    def write(self, _text: str) -> int:
        raise OSError(28, "No space left on device")


def test_a_full_disk_breaks_nothing(stream: io.StringIO) -> None:
    stream.close()
    configure(Full(), form="logfmt")
    structlog.get_logger().error("stopped")
