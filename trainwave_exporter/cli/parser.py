# ruff: noqa: SLF001 - argparse does not tell its flags and commands otherwise
"""A parser that says in one line what is wrong with a command line, and what was expected."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final, Never

from trainwave_exporter.config import CONFIG_FILE, SETTINGS
from trainwave_exporter.config.wording import spell

PROGRAM: Final = "trainwave-exporter"

Options = argparse.Namespace

_EXPECTED: Final = {setting.path: setting.expected for setting in (CONFIG_FILE, *SETTINGS)}
"""What a flag of a setting wants, by what argparse calls its destination."""
_VALUE_OF_SWITCH: Final = re.compile(r"ignored explicit argument '(.*)'")


class Parser(argparse.ArgumentParser):
    """Reads a command line strictly; `read` ends the process with status 2 where it is wrong."""

    def read(self, arguments: Sequence[str] | None = None) -> Options:
        """Return the options that are given; those of the process if None."""
        given = sys.argv[1:] if arguments is None else arguments
        commands = self._commands()
        command = commands.get(next((each for each in given if each in commands), ""), self)
        self._check_flags(given, command, commands.values())
        options, rest = self.parse_known_args(given)
        for each in rest:
            self.error(f"{_problem(each)}; see {command.prog} --help")
        return options

    def error(self, message: str) -> Never:
        """Say what is wrong, and no more: the usage would push it out of sight."""
        message = _VALUE_OF_SWITCH.sub(r'expected no value, got "\1"', message)
        self.exit(2, f"{PROGRAM}: error: {message.removeprefix('argument ')}\n")

    def _commands(self) -> Mapping[str, Parser]:
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                return action.choices
        return {}

    def _check_flags(
        self, given: Iterable[str], command: Parser, commands: Iterable[Parser]
    ) -> None:
        """Refuse flags that no command has, and those given again that have one value."""
        known: dict[str, argparse.Action] = {}
        for parser in (*commands, self, command):
            known |= parser._option_string_actions
        seen = set()
        for argument in given:
            flag = argument.partition("=")[0]
            if not flag.startswith("--") or flag == "--":
                continue
            if flag not in known:
                own = [*command._option_string_actions, *self._option_string_actions]
                near = get_close_matches(flag, own, n=1)
                hint = f"did you mean {near[0]}?" if near else f"see {command.prog} --help"
                self.error(f"unknown flag {flag}; {hint}")
            action = known[flag]
            if isinstance(action, argparse._StoreAction | argparse._StoreConstAction):
                if action.dest in seen:
                    self.error(f"{flag}: given more than once; expected one value")
                seen.add(action.dest)

    def _check_value(self, action: argparse.Action, value: Any) -> None:  # noqa: ANN401 - as argparse has it
        if action.choices is None or value in action.choices:
            return
        choices = [str(choice) for choice in action.choices]
        if isinstance(action, argparse._SubParsersAction):
            near = get_close_matches(value, choices, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(choices)}"
            self.error(f"unknown command {spell(value)}; {hint}")
        expected = f"expected one of {', '.join(choices)}, got {spell(value)}"
        raise argparse.ArgumentError(action, expected)

    def _match_argument(self, action: argparse.Action, arg_strings_pattern: str) -> int:
        try:
            return super()._match_argument(action, arg_strings_pattern)
        except argparse.ArgumentError:
            expected = _EXPECTED.get(action.dest, "a value")
            raise argparse.ArgumentError(action, f"expected {expected}, got nothing") from None


def _problem(argument: str) -> str:
    """Return what is wrong with an argument that the command does not take."""
    if argument.startswith("-"):
        return f"{argument.partition('=')[0]}: not a flag of this command"
    return f"unexpected argument {spell(argument)}"
