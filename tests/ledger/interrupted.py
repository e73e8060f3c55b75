"""Interruptions: processes killed at each of their calls, and actions right before a call.

``python -m ledger.interrupted TASK FOLDER...`` does a task to the ledger in each folder, in a
process of its own that is killed one call later than the one before, and prints how each ended.
The task ``migrate`` opens it, and is killed so many steps of SQLite's virtual machine later.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

from ledger.store_rig import numbered

from trainwave_exporter.ledger.storage.store import Store

CALLS: Final = frozenset(
    (
        *("backup", "connect", "execute", "executemany", "executescript"),
        *("close", "fdatasync", "flock", "fsync", "open", "pwrite", "rename", "stat", "unlink"),
        *("write",),
    )
)
"""Calls of a name that may change a file, or look at one."""

STRIDE: Final = 97
"""Steps of SQLite's virtual machine from one kill within a migration to the next."""


@contextmanager
def at_call(
    number: int, act: Callable[[], object], calls: Collection[str] = CALLS
) -> Iterator[Callable[[], bool]]:
    """Do something right before one of the calls within, counted from one.

    Yields whether there were as many.
    """
    left = number

    def count(_frame: FrameType, event: str, called: object) -> None:
        nonlocal left
        if event == "c_call" and getattr(called, "__name__", None) in calls:
            left -= 1
            if left == 0:
                sys.setprofile(None)
                act()

    sys.setprofile(count)
    try:
        yield lambda: left <= 0
    finally:
        sys.setprofile(None)


def killed(task: str, folders: Sequence[Path]) -> int:
    """Do a task to each of these, killed one call later than the one before; return how many were.

    One more was done to the end.
    """
    done = subprocess.run(
        [sys.executable, "-m", "ledger.interrupted", task, *map(str, folders)],
        cwd=Path(__file__).parents[1],
        check=True,
        capture_output=True,
        text=True,
    )
    ends = [int(line) for line in done.stdout.split()]
    found = ends.count(-signal.SIGKILL)
    assert ends == [-signal.SIGKILL] * found + [0] * (len(folders) - found)
    assert found < len(folders)
    return found


def _open(folder: Path, number: int) -> None:
    with at_call(number, _die):
        store = Store.open(folder)
    store.close()


def _migrate(folder: Path, number: int) -> None:
    """Die within the script of the migration, which is one call."""
    left = number * STRIDE

    def step() -> int:
        nonlocal left
        left -= 1
        if left == 0:
            _die()
        return 0

    def watch(frame: FrameType, event: str, called: object) -> None:
        if event == "c_call" and getattr(called, "__name__", None) == "executescript":
            sys.setprofile(None)
            connection = frame.f_locals["connection"]
            connection.execute("PRAGMA cache_size = 1")  # so that much is on disk before the end
            connection.set_progress_handler(step, 1)

    sys.setprofile(watch)
    store = Store.open(folder)
    sys.setprofile(None)
    store.close()


def _write(folder: Path, number: int) -> None:
    store = Store.open(folder)
    with at_call(number, _die):
        store.write(numbered(2))
    store.close()


def _die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


if __name__ == "__main__":
    task = {"open": _open, "migrate": _migrate, "write": _write}[sys.argv[1]]
    for number, folder in enumerate(sys.argv[2:], 1):
        child = os.fork()
        if child == 0:
            os.dup2(2, 1)  # the log must not get among the exit codes
            task(Path(folder), number)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201 - to whom started it
