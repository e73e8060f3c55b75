"""A parser that says in one line what is wrong with a command line, and what was expected."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any, Final, Never

from trainwave_exporter.config import CONFIG_FILE, REMOVED, SETTINGS
from trainwave_exporter.config.wording import spell

PROGRAM: Final = "trainwave-exporter"

Options = argparse.Namespace

_EXPECTED: Final = {setting.path: setting.expected for setting in (CONFIG_FILE, *SETTINGS)}
"""What a flag of a setting wants, by what argparse calls its destination."""
_SWITCH_WITH_VALUE: Final = re.compile(r"ignored explicit argument '(.*)'")
_WITHOUT_VALUE: Final = re.compile(r"argument (--\S+): expected one argument")
_NO_COMMAND: Final = re.compile(r"argument COMMAND: invalid choice: '(.*)' \(choose from")


class Parser(argparse.ArgumentParser):
    """Reads a command line strictly; `read` ends the process with status 2 where it is wrong."""

    def __init__(self, **details: Any) -> None:  # noqa: ANN401 - as argparse has it
        """Begin with the flags that every parser of argparse has."""
        super().__init__(**details)
        self.commands: dict[str, Parser] = {}
        self.flags: dict[str, argparse.Action | None] = {"--help": None}
        self.once: set[str] = set()

    def add_flag(
        self,
        *names: str,
        group: argparse._ArgumentGroup | None = None,
        once: bool = True,
        **details: Any,  # noqa: ANN401 - likewise
    ) -> None:
        """Add a flag, as `add_argument` does, to a group of flags if there is one.

        ``once``: it has one value, so that it cannot be given again.
        """
        action = (group or self).add_argument(*names, **details)
        self.flags.update(dict.fromkeys(action.option_strings, action))
        if once:
            self.once.update(action.option_strings)

    def read(self, arguments: Sequence[str] | None = None) -> Options:
        """Return the options that are given; those of the process if None."""
        given = sys.argv[1:] if arguments is None else arguments
        name = next((each for each in given if each in self.commands), "")
        command = self.commands.get(name, self)
        self._check_flags(given, command)
        options, rest = self.parse_known_args(given)
        for each in rest:
            self.error(f"{_problem(each)}; see {command.prog} --help")
        return options

    def error(self, message: str) -> Never:
        """Say what is wrong, and no more: the usage would push it out of sight."""
        message = _SWITCH_WITH_VALUE.sub(r'expected no value, got "\1"', message)
        if match := _WITHOUT_VALUE.fullmatch(message):
            action = self.flags.get(match[1])
            expected = "a value" if action is None else _EXPECTED.get(action.dest, "a value")
            message = f"{match[1]}: expected {expected}, got nothing"
        if match := _NO_COMMAND.match(message):
            near = get_close_matches(match[1], self.commands, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(self.commands)}"
            message = f"unknown command {spell(match[1])}; {hint}"
        self.exit(2, f"{PROGRAM}: error: {message.removeprefix('argument ')}\n")

    def _check_flags(self, given: Iterable[str], command: Parser) -> None:
        """Refuse flags that no command has, and those given again that have one value."""
        parsers = (*self.commands.values(), self, command)
        known = {flag: action for parser in parsers for flag, action in parser.flags.items()}
        once = {flag for parser in parsers for flag in parser.once}
        seen = set()
        for argument in given:
            flag = argument.partition("=")[0]
            if not flag.startswith("--") or flag == "--":
                continue
            if flag not in known:
                removed = {setting.flag for setting in REMOVED}
                meant = [each for each in (*command.flags, *self.flags) if each not in removed]
                near = get_close_matches(flag, meant, n=1)
                hint = f"did you mean {near[0]}?" if near else f"see {command.prog} --help"
                self.error(f"unknown flag {flag}; {hint}")
            action = known[flag]
            if action is not None and flag in once:
                if action.dest in seen:
                    self.error(f"{flag}: given more than once; expected one value")
                seen.add(action.dest)


def _problem(argument: str) -> str:
    """Return what is wrong with an argument that the command does not take."""
    if argument.startswith("-"):
        return f"{argument.partition('=')[0]}: not a flag of this command"
    return f"unexpected argument {spell(argument)}"
