"""From the arguments to an exit status.

0: all went well. 1: it could not be done. 2: the command line or the configuration is wrong. In
the latter cases one line on standard error says why.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping, Sequence

from trainwave_exporter.cli import commands
from trainwave_exporter.cli.options import new_parser
from trainwave_exporter.cli.output import OutputError, write
from trainwave_exporter.cli.parser import PROGRAM, Options
from trainwave_exporter.config import ConfigError
from trainwave_exporter.daemon import StartError
from trainwave_exporter.ledger import StoreError
from trainwave_exporter.runtime import logs

COMMANDS: Mapping[str | None, Callable[[Options, Mapping[str, str]], int]] = {
    None: commands.serve,
    "check": commands.check,
    "demo": commands.demo,
    "metrics": commands.metrics,
    "report": commands.report,
    "simulator": commands.simulate,
}

SERVING = frozenset({None, "demo", "simulator"})
"""Commands that go on until a signal ends them."""


def main(
    arguments: Sequence[str] | None = None,
    environ: Mapping[str, str] = os.environ,
    begin: Callable[[bool], None] = lambda _: None,
) -> int:
    """Do what the arguments ask for and return the exit status.

    ``begin`` is called beforehand with whether that goes on until a signal ends it. Wrong usage,
    ``--help`` and ``--version`` raise `SystemExit`, as argparse does.
    """
    try:
        try:
            options = new_parser().read(arguments)
        finally:
            write("")  # what --help and --version printed
        begin(options.command in SERVING)
        return COMMANDS[options.command](options, environ)
    except ConfigError as error:
        return _fail(error, 2)
    except (OutputError, StartError, StoreError) as error:
        return _fail(error, 1)
    except KeyboardInterrupt:  # before a loop could take the signal
        return 128 + signal.SIGINT
    finally:
        logs.flush()


def _fail(error: Exception, status: int) -> int:
    logs.write(f"{PROGRAM}: error: {error}\n")
    return status
