"""Where an error is made in the code, and where it was made while something ran."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import trainwave_exporter

_ROOT = Path(trainwave_exporter.__file__).parent


def places(error: type[Exception], under: str = "") -> dict[str, str]:
    """Return ``file:line`` of every call that makes such an error, and the call."""
    return {
        f"{file.relative_to(_ROOT)}:{node.lineno}": ast.unparse(node)
        for file in (_ROOT / under).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == error.__name__
    }


@contextmanager
def recorded(error: type[Exception]) -> Iterator[set[str]]:
    """Yield a set to which ``file:line`` is added whenever such an error is made."""
    made: set[str] = set()
    original = error.__init__

    def init(self: Exception, *args: Any, **kwargs: Any) -> None:
        frame = sys._getframe(1)
        made.add(f"{Path(frame.f_code.co_filename).relative_to(_ROOT)}:{frame.f_lineno}")
        original(self, *args, **kwargs)

    with patch.object(error, "__init__", init):
        yield made
