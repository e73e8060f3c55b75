"""What differs in fast time is asked again, once, in slower time."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from oracle.world import in_fast_time


@pytest.mark.parametrize("wrong_times", [0, 1, 2])
def test_slower_time_decides(wrong_times: int, tmp_path: Path) -> None:
    speeds: list[str | None] = []

    @in_fast_time
    def scenario(tmp_path: Path) -> None:
        assert tmp_path.is_dir()
        speeds.append(os.environ.get("ORACLE_SPEED"))
        assert len(speeds) > wrong_times, "differs"

    fast = os.environ.get("ORACLE_SPEED")
    if wrong_times == 0:
        scenario(tmp_path=tmp_path)
        assert speeds == [fast]
    elif wrong_times == 1:
        with pytest.warns(UserWarning, match="in fast time scenario shows: differs"):
            scenario(tmp_path=tmp_path)
        assert speeds == [fast, "25"]
    else:
        with (
            pytest.warns(UserWarning, match="in fast time"),
            pytest.raises(AssertionError, match="differs"),
        ):
            scenario(tmp_path=tmp_path)
        assert speeds == [fast, "25"]
