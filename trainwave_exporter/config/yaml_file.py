"""Reading the file of settings: from bytes to a mapping, or one line about why not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import accumulate
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from trainwave_exporter.config.errors import ConfigError
from trainwave_exporter.runtime.regular_files import read_regular

_DEEPEST = 100
"""Brackets within brackets. Settings need few, and the parser takes seconds for thousands."""


def read_document(file: Path) -> Mapping[object, object]:
    """Return what the YAML file holds; raise `ConfigError` unless it is one mapping."""
    document = parse_document(_content(file), str(file))
    if document is None:
        raise ConfigError(str(file), None, "is empty; leave it out, or give a section of settings")
    if not isinstance(document, dict):
        raise ConfigError(str(file), None, "expected sections of settings, such as web:")
    return document


def parse_document(data: bytes, source: str) -> object:
    """Return what YAML says, None where it says nothing; raise `ConfigError` for what is none."""
    return _parse(_text(data, source), source)


def _content(file: Path) -> bytes:
    try:
        return read_regular(file)
    except OSError as error:
        raise ConfigError(str(file), None, f"cannot be read: {error.strerror}") from None


def _text(data: bytes, source: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = 1 + data.count(b"\n", 0, error.start)
        raise ConfigError(source, f"line {line}", "is not UTF-8 text") from None


def _parse(text: str, source: str) -> object:
    if _brackets(text) > _DEEPEST:
        raise ConfigError(source, None, "is nested too deeply")
    try:
        return YAML(typ="safe", pure=True).load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise ConfigError(source, f"line {mark.line + 1}", _explain(error)) from None
    except YAMLError:  # the one without a mark: a character that no YAML may hold
        raise ConfigError(source, None, "holds control characters") from None
    except RecursionError:
        raise ConfigError(source, None, "is nested too deeply") from None
    except ValueError as error:  # a tag or a date promises what its text does not keep
        raise ConfigError(source, None, f"holds a value that is none: {error}") from None


def _brackets(text: str) -> int:
    """Return how deep brackets stand within each other, those in comments and texts included."""
    signs = re.findall(r"[][{}]", text)
    depths = accumulate(
        signs, lambda depth, sign: depth + 1 if sign in "[{" else max(0, depth - 1), initial=0
    )
    return max(depths)


def _explain(error: MarkedYAMLError) -> str:
    problem = " ".join(f"{error.context or ''} {error.problem}".split())
    if isinstance(error, DuplicateKeyError):
        key = re.search(r'found duplicate key "(.*?)" with value', problem)
        return f"{key[1] if key else 'a key'} is given twice"
    if r"'\t'" in problem:
        return "a tab stands where YAML wants spaces"
    return f"is not YAML: {problem}"
