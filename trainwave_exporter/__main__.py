"""The command ``trainwave-exporter``, also as ``python -m trainwave_exporter``.

Loading everything takes a moment. A signal that comes within it has to wait until it is known who
it is for: to whoever serves until it is told to stop, being told is no failure.
"""

from __future__ import annotations

import os
import resource
import signal
import sys

_ENDING = (signal.SIGTERM, signal.SIGINT)


def run() -> int:
    """Hold signals back, load the command line, and do what it asks for."""
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, most))  # the key is in the memory
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    from trainwave_exporter.cli import main  # noqa: PLC0415 - this is what takes a moment

    return main(begin=_let_signals_through)


def _let_signals_through(serves: bool) -> None:
    if serves:
        for number in _ENDING:
            signal.signal(number, _leave)  # until the event loop takes them over
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)


def _leave(*_: object) -> None:
    # An exception could strike anywhere, and show; and nothing is under way that needs an end.
    os._exit(0)


if __name__ == "__main__":
    sys.exit(run())
