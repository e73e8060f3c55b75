"""The one error of configuration: what is wrong, where, and what was expected, in one line."""

from __future__ import annotations


class ConfigError(Exception):
    """A setting, the file of settings or an API key that cannot be used.

    ``source`` is the file, flag or environment variable at fault, ``key`` the path of the setting
    within a file (None where the source says it all), ``problem`` what was expected. Its text is
    one line of ``source: key: problem``.
    """

    def __init__(self, source: str | None, key: str | None, problem: str) -> None:
        self.source = source
        self.key = key
        self.problem = problem
        super().__init__(": ".join(part for part in (source, key, problem) if part))
