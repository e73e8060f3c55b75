"""The command ``trainwave-exporter``, also as ``python -m trainwave_exporter``.

Loading everything takes a moment. A signal that comes within it has to wait until it is known who
it is for: to whoever serves until it is stopped, being stopped is no failure. SIGHUP waits until
somebody can reload. What is imported up here is there already when Python has begun.
"""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found] # `signal` itself takes milliseconds
import os
import sys

_ENDING = (signal.SIGTERM, signal.SIGINT)


def run() -> int:
    """Hold signals back, load the command line, and do what it asks for."""
    signal.pthread_sigmask(signal.SIG_BLOCK, (*_ENDING, signal.SIGHUP))
    _leave_no_core()
    _open_standard_streams()
    # Importing all the rest has libraries open files that the environment names.
    from trainwave_exporter.runtime.library_files import problem_of_library_files  # noqa: PLC0415

    if (problem := problem_of_library_files()) is not None:
        sys.stderr.write(f"trainwave-exporter: error: {problem}\n")
        return 2
    from trainwave_exporter.cli import main  # noqa: PLC0415 - this is what takes a moment

    return main(begin=_let_signals_through)


def _leave_no_core() -> None:
    import resource  # noqa: PLC0415 - only once signals are held back

    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, most))  # the key is in the memory


def _open_standard_streams() -> None:
    """Connect those of stdin, stdout and stderr that are closed to nothing.

    What is opened next would take their numbers: a log line could end up in the ledger, and libuv
    aborts the process when it closes a descriptor of such a number.
    """
    for descriptor, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
        if getattr(sys, name) is None:
            stream = open(descriptor, mode, encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)


def _let_signals_through(serves: bool) -> None:
    if serves:
        for number in _ENDING:
            signal.signal(number, _leave)  # until the event loop takes them over
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING if serves else (*_ENDING, signal.SIGHUP))


def _leave(*_: object) -> None:
    # An exception could strike anywhere, and show; and nothing is under way that needs an end.
    os._exit(0)


if __name__ == "__main__":
    sys.exit(run())
