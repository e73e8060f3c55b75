"""What can stand on the command line. The flags of settings come from their declarations."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection
from inspect import cleandoc
from math import inf
from platform import python_version
from typing import Any
from zoneinfo import ZoneInfo

from trainwave_exporter import __version__
from trainwave_exporter.cli.chargeback import FORMATS
from trainwave_exporter.cli.parser import PROGRAM, Options, Parser
from trainwave_exporter.config import (
    CONFIG_FILE,
    REMOVED,
    SECTIONS,
    SETTINGS,
    Setting,
    TimeZone,
)
from trainwave_exporter.config.wording import spell
from trainwave_exporter.ledger.billing.report import Dimension
from trainwave_exporter.simulator import (
    FAULT_NAMES,
    Faults,
    LimitWindow,
    Shape,
    SimulatedDialect,
    parse_faults,
)

DEMO_KEY = "demo-key"
DEMO_SECTIONS = ("polling", "fleet", "waste", "metrics", "web", "log")
"""Settings that make sense where the API is the demo's own."""


def flags_of(options: Options) -> dict[str, str]:
    """Return the flags of settings that were given, by `Setting.path`."""
    given = vars(options)
    flags = {
        setting.path: given[setting.path]
        for setting in (*SETTINGS, *REMOVED)
        if setting.path in given
    }
    return {
        path: text if isinstance(text, str) else ",".join(text)  # a flag that was repeated
        for path, text in flags.items()
    }


def new_parser() -> Parser:
    """Return the parser of the whole command line."""
    parser = Parser(
        prog=PROGRAM,
        usage=f"{PROGRAM} [flags] [command]",
        description="Prometheus exporter for the jobs, costs and GPU use of Trainwave.",
        epilog=f"Without a command it runs the exporter. See `{PROGRAM} COMMAND --help`.",
        allow_abbrev=False,
    )
    version = f"{PROGRAM} {__version__} (Python {python_version()})"
    parser.add_flag("--version", once=False, action="version", version=version)
    parser.set_defaults(command=None)
    _add_settings(parser, SECTIONS, alone=False)
    commands = parser.add_subparsers(
        dest="command", title="commands", metavar="COMMAND", prog=PROGRAM
    )

    def command(name: str, summary: str) -> Parser:
        parser.commands[name] = commands.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.",
            usage=f"{PROGRAM} {name} [flags]",
            allow_abbrev=False,
        )
        return parser.commands[name]

    check = command("check", "validate the configuration and try every key against the API")
    _add_settings(check, SECTIONS, alone=False)
    demo = command("demo", "run the exporter on an embedded simulator")
    _add_simulator(demo, port=0, rate_limit=1000)
    _add_settings(demo, DEMO_SECTIONS, alone=True)
    metrics = command("metrics", "print the table of all metrics")
    metrics.add_flag("--format", **_choice("text", "markdown"), default="text")
    report = command("report", "print what was spent in a period, and by whom")
    _add_report(report)
    _add_settings(report, ("storage",), alone=False)
    simulator = command("simulator", "run a simulated Trainwave")
    _add_simulator(simulator, port=9880, rate_limit=100)
    return parser


def _add_settings(parser: Parser, sections: Collection[str], *, alone: bool) -> None:
    """Add the flags of settings; those not given are absent from the parsed options.

    ``alone``: neither a file nor the environment counts besides them.
    """
    if not alone:
        group = parser.add_argument_group("config", "Where the other settings are.")
        _add_setting(parser, group, CONFIG_FILE, alone=False)
    for section in sections:
        group = parser.add_argument_group(section, cleandoc(SECTIONS[section].__doc__ or ""))
        for setting in SETTINGS:
            if setting.section == section and not setting.file_only:
                _add_setting(parser, group, setting, alone=alone)
    if not alone:
        for setting in REMOVED:
            hidden = argparse.SUPPRESS
            parser.add_flag(setting.flag, dest=setting.path, default=hidden, help=hidden)


def _add_setting(
    parser: Parser, group: argparse._ArgumentGroup, setting: Setting, *, alone: bool
) -> None:
    notes = [f"default: {setting.default_text}"] if setting.default_text else []
    if not alone:
        notes.append(f"env: {setting.variable}")
    text = f"{setting.doc} ({'; '.join(notes)})" if notes else setting.doc
    details: dict[str, Any] = {
        "dest": setting.path,
        "default": argparse.SUPPRESS,
        "help": text.replace("%", "%%"),
        "group": group,
    }
    if setting.switch:
        parser.add_flag(setting.flag, action="store_const", const="true", **details)
        parser.add_flag(
            f"--no-{setting.flag.removeprefix('--')}",
            action="store_const",
            const="false",
            **{**details, "help": argparse.SUPPRESS},
        )
        return
    if isinstance(setting.default, tuple):
        details |= {"action": "append", "once": False}
    parser.add_flag(setting.flag, metavar=setting.placeholder, **details)


def _add_report(parser: Parser) -> None:
    parser.add_flag(
        "--period",
        help="Year, month, day or ISO week, as 2026, 2026-11, 2026-11-23 or 2026-W47"
        " (default: this month).",
        metavar="PERIOD",
    )
    parser.add_flag(
        "--by",
        help=f"What spend is broken down by, some of {', '.join(Dimension)}; may be repeated"
        " (default: project,owner,gpu_type).",
        once=False,
        action=_Joined,
        read=_dimensions,
        default=(Dimension.PROJECT, Dimension.OWNER, Dimension.GPU_TYPE),
        metavar="DIMENSIONS",
    )
    parser.add_flag(
        "--format",
        help="Form of the report (default: table).",
        **_choice(*FORMATS),
        default="table",
    )
    parser.add_flag(
        "--time-zone",
        help="Where days begin at midnight, such as Europe/Berlin (default: %(default)s).",
        type=_time_zone,
        default="UTC",
        metavar="ZONE",
    )


def _add_simulator(parser: Parser, *, port: int, rate_limit: int) -> None:
    group = parser.add_argument_group("simulator", "The simulated Trainwave.")

    def add(flag: str, text: str, **details: Any) -> None:  # noqa: ANN401 - as add_argument has it
        plain = isinstance(details["default"], str | int | float)
        default = " (default: %(default)s)" if plain and details["default"] else ""
        parser.add_flag(flag, group=group, help=text + default, **details)

    add("--host", "Address it listens on.", default="127.0.0.1", metavar="ADDRESS")
    add(
        "--port",
        "Port it listens on; 0 for any.",
        type=_whole(0, 65535),
        default=port,
        metavar="PORT",
    )
    add("--dialect", "Form of its answers.", **_choice(*SimulatedDialect), default="documented")
    add("--jobs", "Jobs that run or wait at once.", type=_whole(0), default=60, metavar="N")
    add(
        "--history",
        "Finished jobs at the start; twice --jobs if not given.",
        type=_whole(0),
        default=None,
        metavar="N",
    )
    add("--speed", "Simulated seconds a second.", type=_positive, default=1.0, metavar="FACTOR")
    add("--seed", "Seed of its world.", type=_whole(0), default=1, metavar="N")
    add(
        "--faults",
        f"What goes wrong, as NAME=RATE,...; names: {', '.join(FAULT_NAMES)}.",
        once=False,
        action=_Joined,
        read=_faults,
        default=parse_faults(""),
        metavar="FAULTS",
    )
    add(
        "--rate-limit",
        "Requests a minute for each key; 0 for no limit.",
        type=_whole(0),
        default=rate_limit,
        metavar="N",
    )
    add("--window", "Which minute the limit is for.", **_choice(*LimitWindow), default="fixed")
    add("--page-cap", "Most objects in a page.", type=_whole(1), default=100, metavar="N")
    add("--metric-shape", "Form of its readings.", **_choice(*Shape), default="mixed")
    add("--key", "An API key that it accepts.", default=DEMO_KEY, metavar="KEY")
    parser.add_flag(
        "--filter-ignored",
        group=group,
        once=False,
        action="store_true",
        help="Ignore the filters of the list of jobs.",
    )


def _choice(*values: str) -> dict[str, Any]:
    """Return what makes a flag take one of some values, and say which it expects."""

    def parse(text: str) -> str:
        if text not in values:
            known = ", ".join(values)
            raise argparse.ArgumentTypeError(f"expected one of {known}, got {spell(text)}")
        return text

    return {"type": parse, "metavar": f"{{{','.join(values)}}}"}


def _whole(least: int, most: float = inf) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            top = " up" if most == inf else f" to {most:.0f}"
            raise argparse.ArgumentTypeError(
                f"expected a whole number from {least}{top}, got {spell(text)}"
            )
        return int(text)

    return parse


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < inf:
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {spell(text)}")
    return number


def _dimensions(text: str) -> tuple[Dimension, ...]:
    names = [name.strip() for name in text.split(",")]
    if not set(names) <= set(Dimension) or len(set(names)) < len(names):
        known = ", ".join(Dimension)
        raise argparse.ArgumentTypeError(f"expected some of {known}, each once, got {spell(text)}")
    return tuple(map(Dimension, names))


class _Joined(argparse.Action):
    """Reads all uses of a flag as one list, in which commas part the items."""

    def __init__(self, *, read: Callable[[str], Any], **details: Any) -> None:  # noqa: ANN401 - as argparse.Action has it
        super().__init__(**details)
        self._read = read
        self._texts = f"{self.dest}_texts"

    def __call__(
        self,
        _parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,  # noqa: ANN401 - likewise
        _option: str | None = None,
    ) -> None:
        texts = [*getattr(namespace, self._texts, ()), values]
        setattr(namespace, self._texts, texts)
        try:
            setattr(namespace, self.dest, self._read(",".join(texts)))
        except argparse.ArgumentTypeError as error:
            raise argparse.ArgumentError(self, str(error)) from None


def _time_zone(text: str) -> ZoneInfo:
    try:
        return ZoneInfo(TimeZone.parse(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected {error}, got {spell(text)}") from None


def _faults(text: str) -> Faults:
    try:
        return parse_faults(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
