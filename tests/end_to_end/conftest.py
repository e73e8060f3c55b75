"""What holds for all tests of the whole program: they prove it, and cover nothing by themselves."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _untraced(untraced: None) -> None:
    pass
