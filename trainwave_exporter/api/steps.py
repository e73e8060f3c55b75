"""Long work in steps, so that it does not block the event loop.

Steps are a generator that yields after at most a few milliseconds of work, and returns its result.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from typing import TypeAlias, TypeVar

A = TypeVar("A")
T = TypeVar("T")

Steps: TypeAlias = Generator[None, None, T]


def finish(steps: Steps[T]) -> T:
    """Do all steps at once, and return the result."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]  # Any, as typeshed has it


async def take_turns(steps: Steps[T]) -> T:
    """Do all steps, yield to the event loop between them, and return the result."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]  # Any, as typeshed has it
        await asyncio.sleep(0)


def in_one(work: Callable[[A], T]) -> Callable[[A], Steps[T]]:
    """Return short work as a single step."""

    def steps(argument: A) -> Steps[T]:
        yield from ()
        return work(argument)

    return steps
