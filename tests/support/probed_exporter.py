"""The exporter with a probe inside: how long its event loop was kept busy, and what it holds.

As a program (``python -m support.probed_exporter GAUGES CLOCK FLAGS``) it is the exporter that the
command line would run, but for its clock, which may be a `StepClock` (the file ``CLOCK``; ``-``:
the real one). The probe ticks within the event loop and writes what it finds to the file
``GAUGES``, where the test reads it.

A block is the time by which a tick came too late, less what the kernel says that the thread waited
for a core meanwhile, or stood still while another of the program's threads, which may have held
the interpreter, did so: other programs of a busy machine are none of the exporter's doing. What it
waited for a disk, a lock or the work of another of its own threads counts.

Tests of it are `untraced`: to trace each line takes longer than to run it, and counts as well.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from ctypes import Structure, c_double, sizeof
from pathlib import Path
from typing import Final, NamedTuple

from support.exporter import Exporter
from support.stepped_exporter import PLANNING_SECONDS, PUBLICATION_SECONDS, StepClock
from trainwave_exporter.cli.options import flags_of, new_parser
from trainwave_exporter.config import CONFIG_FILE, KeySource, key_source, load, redactor
from trainwave_exporter.daemon import Daemon, daemon
from trainwave_exporter.polling import poller
from trainwave_exporter.runtime import event_loop, logs
from trainwave_exporter.runtime.clock import Clock

TICK: Final = 0.004
"""Seconds between two looks at the clock."""


class Gauges(Structure):
    """What the probe tells, in memory that two processes share."""

    longest_block: float
    fewest_tasks: float
    most_tasks: float
    ticks: float
    _fields_ = (
        ("longest_block", c_double),
        ("fewest_tasks", c_double),
        ("most_tasks", c_double),
        ("ticks", c_double),
    )

    @classmethod
    def at(cls, path: Path) -> Gauges:
        """Return those in a file, which is made if there is none."""
        if not path.exists():
            path.write_bytes(bytes(sizeof(cls)))
        with path.open("r+b") as file:
            return cls.from_buffer(mmap.mmap(file.fileno(), sizeof(cls)))

    def reset(self) -> None:
        """Begin anew."""
        self.longest_block = 0
        self.fewest_tasks, self.most_tasks = 1e9, 0
        self.ticks = 0


class Holdings(NamedTuple):
    """What a process holds."""

    kilobytes: int
    """Resident memory."""
    peak_kilobytes: int
    files: int
    """Open descriptors but for sockets."""
    sockets: int
    threads: int


class ProbedExporter(Exporter):
    """The test's handle on it."""

    def __init__(
        self, gauges: Path, *flags: str, clock: Path | None = None, env: Mapping[str, str]
    ) -> None:
        self.gauges = Gauges.at(gauges)
        self.gauges.reset()
        self.program = ("support.probed_exporter", str(gauges), str(clock or "-"))
        super().__init__(*flags, env={"PYTHONPATH": os.pathsep.join(sys.path), **env})

    def holdings(self) -> Holdings:
        """Return what it holds now."""
        process = Path(f"/proc/{self.process.pid}")
        status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        held = list(_targets(process / "fd"))
        sockets = sum(target.startswith("socket:") for target in held)
        return Holdings(
            kilobytes=int(status["VmRSS"].split()[0]),
            peak_kilobytes=int(status["VmHWM"].split()[0]),
            files=len(held) - sockets,
            sockets=sockets,
            threads=int(status["Threads"]),
        )

    @property
    def schedules(self) -> list[Path]:
        """The files in which the kernel reports how each thread ran (``proc(5)``)."""
        return list(Path(f"/proc/{self.process.pid}/task").glob("*/schedstat"))


def _targets(folder: Path) -> Iterator[str]:
    """Yield where the links of a folder lead that are still there."""
    for entry in folder.iterdir():
        with suppress(OSError):
            yield str(entry.readlink())


class Moment(NamedTuple):
    """Seconds that went by until now."""

    clock: float
    ran: float
    """For which the thread of the event loop was on a core."""
    waited: float
    """For which it waited for one."""
    others_waited: float
    """For which the program's other threads did."""


class Stopwatch:
    """Asks the kernel; of the thread that makes it, and of all others (``proc(5)``, schedstat)."""

    def __init__(self) -> None:
        self._own = threading.get_native_id()
        self._files: dict[int, int] = {}

    def __call__(self) -> Moment:
        """Return what the clocks show."""
        now = time.monotonic()
        alive = {each.native_id for each in threading.enumerate() if each.native_id is not None}
        for gone in self._files.keys() - alive:
            os.close(self._files.pop(gone))
        ran, waited = self._schedule(self._own)
        others_waited = sum(self._schedule(other)[1] for other in alive - {self._own})
        return Moment(now, ran, waited, others_waited)

    def _schedule(self, thread: int) -> tuple[float, float]:
        try:
            if thread not in self._files:
                path = f"/proc/self/task/{thread}/schedstat"
                self._files[thread] = os.open(path, os.O_RDONLY)
            ran, waited, _ = os.pread(self._files[thread], 100, 0).split()
        except OSError:  # it ended just now
            return 0, 0
        return int(ran) / 1e9, int(waited) / 1e9


def block(then: Moment, now: Moment) -> float:
    """Return for how many seconds too long nobody else had a turn between two ticks."""
    late = now.clock - then.clock - TICK - (now.waited - then.waited)
    stood_still = max(0.0, late - (now.ran - then.ran))
    return late - min(stood_still, max(0.0, now.others_waited - then.others_waited))


async def probe(gauges: Gauges) -> None:
    """Tick for ever."""
    stopwatch = Stopwatch()
    then = stopwatch()
    while True:
        await asyncio.sleep(TICK)
        now = stopwatch()
        gauges.longest_block = max(gauges.longest_block, block(then, now))
        then = now
        tasks = len(asyncio.all_tasks()) - 1
        gauges.fewest_tasks = min(gauges.fewest_tasks, tasks)
        gauges.most_tasks = max(gauges.most_tasks, tasks)
        gauges.ticks += 1


def main(gauges: Path, clock_file: str, flags: list[str]) -> None:
    """Run the exporter."""
    clock = time.time
    monotonic = time.monotonic
    if clock_file != "-":
        stepped = StepClock(Path(clock_file))
        clock = stepped
        monotonic = lambda: stepped() + time.monotonic()  # noqa: E731 - as the clock, in a word
        poller.SPEND_INTERVAL = PLANNING_SECONDS
        daemon.PUBLICATION_SECONDS = PUBLICATION_SECONDS
        daemon.HOUSEKEEPING_SECONDS = PLANNING_SECONDS
    options = new_parser().parse_args(flags)
    file = getattr(options, CONFIG_FILE.path, None)
    settings = load(flags_of(options), os.environ, Path(file) if file else None)
    keys: dict[str, KeySource] = {
        account.name: key_source(account, os.environ) for account in settings.accounts
    }
    redact = redactor(tuple(keys.values()))
    logs.configure(level=settings.log.level, form=settings.log.format, redact=redact)

    async def run() -> None:
        exporter = Daemon(settings, keys, clock=Clock(time=clock, monotonic=monotonic))
        probing = asyncio.create_task(_probe_when(exporter, Gauges.at(gauges)))
        await exporter.run()
        probing.cancel()
        with suppress(asyncio.CancelledError):
            await probing

    event_loop.run(run())
    logs.flush()


async def _probe_when(exporter: Daemon, gauges: Gauges) -> None:
    await exporter.listening.wait()  # what comes before is nobody's wait
    await probe(gauges)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
