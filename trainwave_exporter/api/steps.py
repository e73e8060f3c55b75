"""Long work in steps, between which the event loop has its turn.

Steps are a generator: plain code that yields after at most a few milliseconds of work, and returns
its result. Who drives it decides what happens in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from typing import TypeAlias, TypeVar

A = TypeVar("A")
T = TypeVar("T")

Steps: TypeAlias = Generator[None, None, T]


def finish(steps: Steps[T]) -> T:
    """Do all steps at once, and return what they come to."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]  # Any, as typeshed has it


async def take_turns(steps: Steps[T]) -> T:
    """Do all steps, with a turn for others between two, and return what they come to."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]  # Any, as typeshed has it
        await asyncio.sleep(0)


def in_one(work: Callable[[A], T]) -> Callable[[A], Steps[T]]:
    """Return work that is short as steps of which there is one."""

    def steps(argument: A) -> Steps[T]:
        yield from ()
        return work(argument)

    return steps
