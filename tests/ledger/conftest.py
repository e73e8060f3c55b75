from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Return a folder that everybody can come to."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)
