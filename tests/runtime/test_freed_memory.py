"""What was large and is free goes back to the system, whatever was freed before."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
from pathlib import Path
from trainwave_exporter.runtime.freed_memory import {function}

def kilobytes():
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])

{before}
large = bytearray(31 * 1024 * 1024)
del large  # from here on glibc keeps whatever is smaller
first = kilobytes()
blocks = [bytearray(b"x" * {size}) for _ in range({number})]
kept = bytearray({size})  # above them
blocks.clear()
{after}
print(kilobytes() - first)
"""


@pytest.mark.parametrize(
    ("function", "size", "before"),
    [("return_large_blocks", 1 << 20, True), ("return_small_blocks", 100_000, False)],
)
def test_twenty_megabytes_are_returned_though_a_block_above_them_is_kept(
    function: str, size: int, before: bool
) -> None:
    call = f"{function}()"
    program = PROGRAM.format(
        function=function,
        size=size,
        number=20_000_000 // size,
        before=call if before else "",
        after="" if before else call,
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert int(ran.stdout) < 5_000
