"""Few at a time: many answers, or scrapers, may come at once, and each takes a while."""

from __future__ import annotations

import asyncio
from collections import deque


class LoopThrottle:
    """Lets so many pass in one turn of the event loop, the others in the turns after that.

    So whoever else waits for the event loop, such as a scrape, has its turn in between.
    """

    def __init__(self, a_turn: int) -> None:
        self._a_turn = a_turn
        self._passed = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._turns = False

    async def wait(self) -> None:
        """Return when it is the caller's turn: first come, first served."""
        loop = asyncio.get_running_loop()
        if not self._turns:
            self._turns = True
            loop.call_soon(self._turn)
        if self._passed < self._a_turn and not self._waiting:
            self._passed += 1
            return
        turn = loop.create_future()
        self._waiting.append(turn)
        await turn

    def _turn(self) -> None:
        self._passed = 0
        while self._waiting and self._passed < self._a_turn:
            turn = self._waiting.popleft()
            if not turn.done():  # as it is if who waited was cancelled
                turn.set_result(None)
                self._passed += 1
        self._turns = self._passed > 0
        if self._turns:
            asyncio.get_running_loop().call_soon(self._turn)
