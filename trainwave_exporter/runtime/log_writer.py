"""Writing lines without waiting for whoever reads them."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from select import select
from threading import Condition, Thread
from typing import Final, TextIO

MOST_CHARACTERS: Final = 1 << 20
"""Characters that may wait to be written; lines beyond are dropped."""

_LOOK_SECONDS = 1.0


class LineWriter:
    """Writes lines to a stream from a thread of its own.

    Where nobody reads the stream (a full pipe, a stopped terminal), only that thread waits: up to
    ``most`` characters are kept, and lines beyond are dropped and counted. Where the stream cannot
    be written to at all (a full disk, a broken pipe, a closed stream), lines are lost silently.
    The thread is a daemon thread: it holds up no exit. It calls ``look`` about once a second.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        look: Callable[[], None] = lambda: None,
        most: int = MOST_CHARACTERS,
    ) -> None:
        self.stream = stream
        self.dropped = 0
        """Lines dropped so far."""
        self._write = _unbuffered(stream)
        self._look = look
        self._most = most
        self._changed = Condition()
        self._lines: deque[str] = deque()
        self._characters = 0
        """Of the lines that wait, the one that is being written included."""
        self._closed = False
        Thread(target=self._run, name="log-writer", daemon=True).start()

    def put(self, line: str) -> None:
        """Have a line written, or drop it where too much waits already. Never waits itself."""
        with self._changed:
            if self._characters and self._characters + len(line) > self._most:
                self.dropped += 1
                return
            self._lines.append(line)
            self._characters += len(line)
            self._changed.notify_all()

    def flush(self, seconds: float) -> None:
        """Wait until everything is written, but no longer than so many seconds."""
        with self._changed:
            self._changed.wait_for(lambda: not self._characters, seconds)

    def close(self) -> None:
        """Have the thread end once everything is written."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _run(self) -> None:
        looked_at = time.monotonic()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._lines or self._closed, _LOOK_SECONDS)
                line = self._lines.popleft() if self._lines else None
                if line is None and self._closed:
                    return
            if line is not None:
                self._write(line)
                with self._changed:
                    self._characters -= len(line)
                    self._changed.notify_all()
            if time.monotonic() - looked_at >= _LOOK_SECONDS:
                looked_at = time.monotonic()
                self._look()


def _unbuffered(stream: TextIO) -> Callable[[str], None]:
    """Return what writes to a stream; to its file descriptor where it has one.

    A thread that waits within the stream would hold its lock, which Python takes when it exits.
    """
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):  # one in memory, or closed
        return lambda line: _to_stream(stream, line)
    return lambda line: _to_descriptor(descriptor, line.encode(errors="backslashreplace"))


def _to_stream(stream: TextIO, line: str) -> None:
    with suppress(OSError, ValueError):
        stream.write(line)
        stream.flush()


def _to_descriptor(descriptor: int, line: bytes) -> None:
    left = memoryview(line)
    with suppress(OSError):
        while left:
            try:
                left = left[os.write(descriptor, left) :]
            except BlockingIOError:  # whoever shares the terminal or pipe made it so
                select((), (descriptor,), ())
