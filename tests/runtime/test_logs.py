"""Every line of the log is one line, complete, and free of keys."""

from __future__ import annotations

import io
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest
import structlog

from trainwave_exporter.config import AccountSettings, key_source, redactor
from trainwave_exporter.config.values import AccountName, Variable
from trainwave_exporter.runtime import logs
from trainwave_exporter.runtime.log_repeats import MOST_KEPT, Repeats
from trainwave_exporter.runtime.log_writer import LineWriter

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
    source = key_source(
        AccountSettings(name=AccountName("a"), api_key_env=Variable("KEY")), {"KEY": KEY}
    )
    logs.configure(level=level, form=form, redact=redactor([source]), stream=stream)


def written(stream: io.StringIO) -> str:
    """Return all that was logged so far, once it is written."""
    logs.flush()
    return stream.getvalue()


def fail(text: str) -> None:
    raise ValueError(text)


def test_a_logfmt_line_begins_with_time_level_and_event(stream: io.StringIO) -> None:
    configure(stream, form="logfmt")
    structlog.get_logger().info("sweep_failed", account="research", jobs=3, ok=False, why=None)
    time, *rest = written(stream).split(" ")
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
    line = written(stream)
    assert line.count("\n") == 1
    assert line.endswith(
        r'event="a \"b\"\n c=d \\ \r\u001b[31m\u2028\u0000 \u00fc" '
        'a_b="" _=ü list="[\'x y\']"\n'
    )


def test_a_json_line_holds_what_was_logged(stream: io.StringIO) -> None:
    configure(stream, form="json")
    structlog.get_logger().warning(HOSTILE, account=HOSTILE, jobs=3)
    assert written(stream).count("\n") == 1
    event = json.loads(written(stream))
    assert (event["event"], event["level"]) == (HOSTILE, "warning")
    assert (event["account"], event["jobs"]) == (HOSTILE, 3)


def test_a_console_line_cannot_move_the_cursor(stream: io.StringIO) -> None:
    configure(stream, form="console")
    structlog.get_logger().info(HOSTILE, account=HOSTILE, jobs=3)
    assert written(stream).strip("\n").isprintable()
    assert r"\n c=d" in written(stream)


def test_a_console_shows_a_traceback_as_lines(stream: io.StringIO) -> None:
    configure(stream, form="console")
    try:
        fail(KEY)
    except ValueError:
        structlog.get_logger().exception("loop_failed")
    assert "\nValueError: [redacted]\n" in written(stream)


@pytest.mark.parametrize("form", ["logfmt", "json"])
def test_an_exception_stays_in_its_line(stream: io.StringIO, form: str) -> None:
    configure(stream, form=form)
    try:
        fail(f"refused {KEY}")
    except ValueError:
        structlog.get_logger().exception("loop_failed")
    assert written(stream).count("\n") == 1
    assert r"\nValueError: refused [redacted]" in written(stream)


@pytest.mark.parametrize("form", ["logfmt", "json", "console"])
def test_what_a_library_logs_takes_the_same_way(stream: io.StringIO, form: str) -> None:
    configure(stream, form=form)
    try:
        fail(KEY)
    except ValueError:
        logging.getLogger("some.library").exception("got %s", {"X-API-KEY": KEY})
    assert KEY not in written(stream)
    assert "some.library" in written(stream)
    assert "[redacted]" in written(stream)
    assert "ValueError" in written(stream)


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
    lines = [json.loads(line) for line in written(stream).splitlines()]
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
    assert written(stream) == ""
    structlog.get_logger().error("stopped")
    logging.getLogger("some.library").error("stopped")
    assert written(stream).count("\n") == 2


@pytest.mark.parametrize(
    ("library", "level"),
    [
        ("httpcore.http11", logging.WARNING),
        ("httpx", logging.WARNING),
        ("aiohttp.access", logging.WARNING),
        ("apscheduler.scheduler", logging.ERROR),
    ],
)
def test_libraries_that_report_every_request_are_quiet_even_when_debugging(
    stream: io.StringIO, library: str, level: int
) -> None:
    configure(stream, form="logfmt", level="debug")
    logging.getLogger(library).log(level - 10, "request_headers %r", {"X-API-KEY": KEY})
    assert written(stream) == ""
    logging.getLogger(library).log(level, "retrying")
    assert "event=retrying" in written(stream)


def test_configuring_again_reaches_loggers_already_in_use(stream: io.StringIO) -> None:
    log = structlog.get_logger()
    configure(stream, form="logfmt")
    log.info("first")
    configure(stream, form="json")
    log.info("second")
    assert json.loads(written(stream).splitlines()[1])["event"] == "second"


@pytest.mark.parametrize("form", ["logfmt", "json", "console"])
def test_who_searches_for_an_event_by_its_name_of_the_version_before_finds_it(
    stream: io.StringIO, form: str
) -> None:
    configure(stream, form=form)
    structlog.get_logger().warning("config_reload_failed", error="no such key")
    structlog.get_logger().info("config_reloaded")
    renamed, other = written(stream).splitlines()
    assert "config_not_reloaded" in renamed
    assert "formerly" not in other


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
    logs.flush()


def test_a_line_two_thousand_times_over_is_one_line_and_one_with_the_count(
    stream: io.StringIO,
) -> None:
    configure(stream, form="json")
    for number in range(2000):
        client = f"192.0.2.{number % 250}"
        structlog.get_logger().info("scrape_aborted", client=client, reason="TimeoutError")
    structlog.get_logger().info("scrape_aborted", client="192.0.2.1", reason="OSError")
    lines = [json.loads(line) for line in written(stream).splitlines()]
    assert [(line["reason"], line.get("repeated")) for line in lines] == [
        ("TimeoutError", None),
        ("OSError", None),
        ("TimeoutError", 1999),
    ]


def test_a_line_is_summed_up_for_each_span_in_which_it_was_repeated() -> None:
    now = [0.0]
    repeats = Repeats(lambda: now[0], seconds=10)

    def passes(**fields: object) -> bool:
        try:
            return bool(repeats(None, "info", fields))
        except structlog.DropEvent:
            return False

    assert [passes(event="a", client=str(n)) for n in range(4)] == [True, False, False, False]
    assert passes(event="b")
    now[0] = 9.9
    assert repeats.due() == []
    now[0] = 10.0
    assert repeats.due() == [("info", {"event": "a", "client": "0", "repeated": 3})]
    assert not passes(event="a")  # it goes on
    assert passes(event="b")  # which was not repeated: a new one
    now[0] = 20.0
    assert repeats.due() == [("info", {"event": "a", "client": "0", "repeated": 1})]
    now[0] = 30.0
    assert repeats.due() == []
    assert passes(event="a")


def test_of_lines_that_are_all_different_the_latest_are_looked_at() -> None:
    repeats = Repeats(lambda: 0.0)
    for number in range(MOST_KEPT):
        repeats(None, "info", {"event": number})
    with pytest.raises(structlog.DropEvent):
        repeats(None, "info", {"event": 0})
    assert repeats(None, "info", {"event": "one more"})  # in the place of 1, not of 0
    for event in ("one more", 0, 2):
        with pytest.raises(structlog.DropEvent):
            repeats(None, "info", {"event": event})
    assert repeats(None, "info", {"event": 1})


@pytest.fixture
def unread() -> Iterator[TextIO]:
    """A pipe that holds 64 KiB, and that nobody reads."""
    reading, writing = os.pipe()
    with open(writing, "w") as stream:  # noqa: PTH123 - a descriptor
        yield stream
        os.close(reading)  # which ends the writer's wait


def test_what_nobody_reads_is_kept_up_to_a_bound_and_then_dropped_and_counted(
    unread: TextIO,
) -> None:
    writer = LineWriter(unread, most=1_000_000)
    for _ in range(1_300):
        writer.put("x" * 999 + "\n")
    # The pipe holds 65 536 characters, the queue a million: 1 065 lines of 1 000 at the most, and
    # at the least those that the queue holds.
    assert 1_300 - 1_065 <= writer.dropped <= 300
    writer.flush(0.01)  # does not wait for ever
    writer.close()


def test_a_line_longer_than_the_bound_is_written_where_none_waits(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as stream:
        writer = LineWriter(stream, most=10)
        writer.put("a line longer than the bound goes out by itself\n")
        writer.flush(5)
        writer.close()
    assert (tmp_path / "log").read_text() == "a line longer than the bound goes out by itself\n"
    assert writer.dropped == 0
