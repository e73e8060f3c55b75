"""API keys: where they come from, and how they stay out of everything that people read.

A key is referred to (by a file or an environment variable), never configured. Who gives the key
itself instead refers to nothing, so an error names a file or variable only if it could be read, and
otherwise the setting. A `KeySource` is what the API client calls for the key; a `redactor` is what
every log line passes through.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Mapping, MutableMapping
from pathlib import Path
from typing import NoReturn, Protocol

import structlog
from structlog.typing import Processor

from trainwave_exporter.config.errors import ConfigError
from trainwave_exporter.config.settings import AccountSettings, TrainwaveSettings
from trainwave_exporter.runtime.regular_files import NotRegularError, open_regular

log = structlog.get_logger()

REDACTED = "[redacted]"
LONGEST_KEY = 4096
_KEY = re.compile(r"[!-~]+")  # printable ASCII without spaces: what a header carries as it is


class Secret:
    """A text that shows itself only when asked to."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text."""
        return self._text

    def __repr__(self) -> str:
        return REDACTED

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not to be pickled")


class KeySource(Protocol):
    """Where the key of one account comes from."""

    def __call__(self) -> str:
        """Return the present key; raise `ConfigError` where there has not been a good one yet."""

    @property
    def secrets(self) -> Collection[Secret]:
        """Every key returned so far."""


def key_source(account: AccountSettings, environ: Mapping[str, str]) -> KeySource:
    """Return the source of an account's key. Nothing is read before the first call."""
    if account.api_key_file is not None:
        return FileKey(Path(account.api_key_file), f"api_key_file of account {account.name}")
    return VariableKey(account.api_key_env, environ, f"api_key_env of account {account.name}")


class VariableKey:
    """A key in an environment variable; ``setting`` is what names it, for errors."""

    def __init__(self, variable: str, environ: Mapping[str, str], setting: str) -> None:
        self._variable = variable
        self._environ = environ
        self._setting = setting

    def __repr__(self) -> str:
        return f"VariableKey({self._variable!r})"

    def __call__(self) -> str:
        """Return the key; raise `ConfigError` where the variable holds none."""
        text = self._environ.get(self._variable, "").strip()
        if not text and self._variable == TrainwaveSettings().api_key_env:
            ways = "TRAINWAVE_API_KEY, --trainwave.api-key-file or accounts[...].api_key_file"
            raise ConfigError(None, None, f"no API key: set {ways}")
        if self._variable not in self._environ:
            raise ConfigError(self._setting, None, "names a variable that is not set")
        return _checked(text, self._variable)

    @property
    def secrets(self) -> Collection[Secret]:
        """The key, if there is one."""
        text = self._environ.get(self._variable, "").strip()
        return (Secret(text),) if text else ()


class FileKey:
    """A key in a file, read again whenever the file changes.

    Where the new content cannot be used, the last good key stays, with one warning for the change.
    ``setting`` is what names the file, for errors.
    """

    def __init__(self, file: Path, setting: str) -> None:
        self._file = file
        self._setting = setting
        self._seen: object = None
        self._good: list[Secret] = []
        self._warned_of_mode = False

    def __repr__(self) -> str:
        return f"FileKey({str(self._file)!r})"

    def __call__(self) -> str:
        """Return the key; raise `ConfigError` where the file has never held one."""
        seen = _signature(self._file)
        if seen != self._seen or not self._good:
            self._seen = seen
            try:
                key = self._read()
            except ConfigError as error:
                if not self._good:
                    raise
                log.warning("api_key_file_unusable", reason=str(error), key="the last good one")
            else:
                earlier = [secret for secret in self._good if secret.reveal() != key]
                self._good = [*earlier, Secret(key)]
        return self._good[-1].reveal()

    @property
    def secrets(self) -> Collection[Secret]:
        """Every key the file has held."""
        return self._good

    def _read(self) -> str:
        try:
            with open_regular(self._file) as stream:
                mode = os.fstat(stream.fileno()).st_mode
                text = stream.read(LONGEST_KEY + 2).decode("ascii", "replace").strip()
        except NotRegularError as error:
            raise ConfigError(str(self._file), None, f"is {error.strerror}") from None
        except OSError as error:
            problem = f"names a file that cannot be read: {error.strerror}"
            raise ConfigError(self._setting, None, problem) from None
        if mode & stat.S_IROTH and not self._warned_of_mode:
            self._warned_of_mode = True
            log.warning("api_key_file_readable_by_everyone", file=str(self._file))
        return _checked(text, str(self._file))


def _signature(file: Path) -> object:
    """Return what changes whenever the file does; None where there is none."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _checked(text: str, source: str) -> str:
    """Return the key; the error says what is wrong with it but never shows any of it."""
    if not text:
        raise ConfigError(source, None, "holds no API key")
    if len(text) > LONGEST_KEY:
        raise ConfigError(source, None, f"holds more than {LONGEST_KEY} characters: no API key")
    if not _KEY.fullmatch(text):
        problem = "holds no API key: there are spaces, control or non-ASCII characters in it"
        raise ConfigError(source, None, problem)
    return text


def redactor(sources: Collection[KeySource]) -> Processor:
    """Return a structlog processor that hides every key the sources have ever returned.

    It belongs right before the renderer, where exceptions are texts already.
    """

    def hide(
        _logger: object, _method: str, event: MutableMapping[str, object]
    ) -> Mapping[str, object]:
        keys = {secret.reveal() for source in sources for secret in source.secrets}
        return {name: _without(keys, value) for name, value in event.items()}

    return hide


def _without(keys: Collection[str], value: object) -> object:
    match value:
        case None | bool() | int() | float():
            return value
        case str():
            for key in keys:
                value = value.replace(key, REDACTED)
            return value
        case Mapping():
            return {_without(keys, name): _without(keys, item) for name, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_without(keys, item) for item in value]
        case _:
            shown = repr(value)
            hidden = _without(keys, shown)
            return value if hidden == shown else hidden
