"""The words of an error: what was expected, and what was given instead."""

from __future__ import annotations

import json
import re
from typing import cast

from msgspec import inspect

from trainwave_exporter.config.values import Parsed


def expectation(info: inspect.Type) -> str:
    """Return what a value of a type looks like; a type that no setting has is a `TypeError`."""
    match info:
        case inspect.CustomType(cls=cls):
            return cast("type[Parsed]", cls).expected
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType(ge=low, le=high):
            return f"a whole number from {low} to {high}"
        case inspect.FloatType(gt=low, le=high):
            return f"a number above {low} and at most {high}"
        case inspect.UnionType(types=(kind, inspect.NoneType())):
            return expectation(kind)
        case inspect.VarTupleType(item_type=kind):
            return f"a list of {expectation(kind)}"
        case _:
            raise TypeError(f"no words for a setting of type {info}")


def spell(value: object) -> str:
    """Return a short, printable line for what was given instead of something sensible."""
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case str():
            value = re.sub("//[^/]*@", "//[redacted]@", value)  # a URL may hold a password
            short = value if len(value) <= 60 else f"{value[:57]}..."
            return json.dumps(short, ensure_ascii=not short.isprintable())
        case dict():
            return "a mapping"
        case [*items] if items and all(isinstance(item, str) for item in items):
            return f"[{', '.join(map(spell, items[:5]))}{', ...' if len(items) > 5 else ''}]"
        case list():
            return "a list" if value else "an empty list"
        case _:
            return spell(str(value)).strip('"')
