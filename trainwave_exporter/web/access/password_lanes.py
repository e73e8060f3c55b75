"""Whose password is checked next, where more come than can be checked."""

from __future__ import annotations

import asyncio
from collections import deque
from enum import IntEnum
from ipaddress import IPv4Address, ip_address, ip_network
from typing import Final

_MOST_REMEMBERED: Final = 1 << 16


class PasswordLane(IntEnum):
    """Who goes first."""

    RETURNING = 0
    """Who was turned away before, came back, and has not failed: guessers that use each address
    once never do."""
    NEW = 1
    FAILED = 2
    """Who sent a wrong password lately."""


_PLACES: Final = {PasswordLane.RETURNING: 32, PasswordLane.NEW: 8, PasswordLane.FAILED: 8}
"""How many may wait. Few newcomers, as to wait long is worse for them than to come back."""

_PLACES_OF_NETWORK: Final = 8
"""How many of these may wait in a lane."""


class Turns:
    """One at a time, those of the first lane first; in a lane, first come, first served."""

    def __init__(self) -> None:
        self._taken = False
        self._waiting: dict[PasswordLane, deque[tuple[asyncio.Future[None], str]]] = {
            lane: deque() for lane in PasswordLane
        }

    async def take(self, lane: PasswordLane, client: str) -> bool:
        """Wait for a turn, which `pass_on` must end; return False at once where too many wait."""
        if not self._taken:
            self._taken = True
            return True
        waiting = self._waiting[lane]
        network = network_of(client)
        if len(waiting) >= _PLACES[lane]:
            return False
        if sum(other == network for _, other in waiting) >= _PLACES_OF_NETWORK:
            return False
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting.append((turn, network))
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                self.pass_on()
            raise
        return True

    def pass_on(self) -> None:
        """End a turn; the next in line has it."""
        for waiting in self._waiting.values():
            while waiting:
                turn, _ = waiting.popleft()
                if not turn.done():  # as it is if who waited was cancelled
                    turn.set_result(None)
                    return
        self._taken = False


class Remembered:
    """The clients noted last: at least ``most`` of them, and no more than twice as many."""

    def __init__(self, most: int = _MOST_REMEMBERED) -> None:
        self._most = most
        self._new: set[int] = set()
        self._old: set[int] = set()

    def add(self, client: str) -> None:
        """Note a client."""
        if len(self._new) >= self._most:
            self._new, self._old = set(), self._new
        self._new.add(hash(client))

    def discard(self, client: str) -> None:
        """Forget a client."""
        self._new.discard(hash(client))
        self._old.discard(hash(client))

    def __contains__(self, client: str) -> bool:
        return hash(client) in self._new or hash(client) in self._old


def network_of(client: str) -> str:
    """Return the network of a client's address: a /24 of version 4, a /48 of version 6."""
    address = client.partition("/")[0]
    try:
        parsed = ip_address(address)
    except ValueError:  # behind a socket file
        return client
    length = 24 if isinstance(parsed, IPv4Address) else 48
    return str(ip_network(f"{address}/{length}", strict=False))
