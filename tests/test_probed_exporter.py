"""The probe of the event loop: what it calls a block, since other tests believe it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Event

import pytest
from support.exporter import wait_for
from support.probed_exporter import TICK, Gauges, Moment, block, probe

BUSY_SECONDS = 0.2
THEN = Moment(clock=100, ran=10, waited=20, others_waited=30)


@pytest.mark.parametrize(
    ("ran", "waited", "others_waited", "expected"),
    [
        pytest.param(0.3, 0, 0, 0.3, id="it ran"),
        pytest.param(0.3, 0, 0.3, 0.3, id="it ran, while others waited for a core"),
        pytest.param(0.1, 0.2, 0, 0.1, id="it ran, and waited for a core"),
        pytest.param(0, 0, 0, 0.3, id="it stood still"),
        pytest.param(0, 0, 0.1, 0.2, id="it stood still, some of it for who waited for a core"),
        pytest.param(0.1, 0, 0.9, 0.1, id="it ran, then stood still for who waited for a core"),
    ],
)
def test_a_block_is_what_was_not_spent_waiting_for_a_core(
    ran: float, waited: float, others_waited: float, expected: float
) -> None:
    now = Moment(100.3 + TICK, 10 + ran, 20 + waited, 30 + others_waited)
    assert block(THEN, now) == pytest.approx(expected)


def keep_the_core() -> None:
    until = time.thread_time() + BUSY_SECONDS
    while time.thread_time() < until:
        pass


def stand_still() -> None:
    Event().wait(BUSY_SECONDS)


@pytest.mark.parametrize("hog", [keep_the_core, stand_still])
async def test_what_keeps_the_event_loop_busy_is_reported(
    tmp_path: Path, hog: Callable[[], None]
) -> None:
    gauges = Gauges.at(tmp_path / "gauges")
    probing = asyncio.create_task(probe(gauges))
    await ticks(gauges, 2)
    hog()
    await ticks(gauges, gauges.ticks + 2)
    probing.cancel()
    with suppress(asyncio.CancelledError):
        await probing
    assert gauges.longest_block > BUSY_SECONDS / 2


async def ticks(gauges: Gauges, number: float) -> None:
    await asyncio.to_thread(wait_for, lambda: gauges.ticks >= number, "the probe to tick")
