"""The rate limiter of one key, for everything that uses it, retries and discovery included.

A caller waits in `RateBudget.acquire` before it sends a request, and calls `RateBudget.release`
when the exchange is over. A request may be sent when all gates of `trainwave_exporter.api.gates`
let it through and fewer than the maximum are in flight; more urgent ones go first, equal ones in
order.
The limit is assumed at first, and learned from the headers of answers.
"""

from __future__ import annotations

import asyncio
import math
from enum import IntEnum

from msgspec import Struct

from trainwave_exporter.api.errors import RateLimited
from trainwave_exporter.api.gates import (
    FAR_RESET,
    BlockGate,
    BlockReason,
    Gate,
    LimitTerms,
    PaceGate,
    ServerWindow,
    SlidingWindow,
)
from trainwave_exporter.api.headers import RateHeaders
from trainwave_exporter.runtime.clock import Clock

_SHORTEST_SLEEP = 0.001
_USUAL_SECONDS = 0.2
"""Most requests in flight, in seconds of the allowance; at least `_LEAST_IN_FLIGHT`."""
_LEAST_IN_FLIGHT = 16


_BLOCKED = {
    BlockReason.RATE_LIMITED: "the API refused a request",
    BlockReason.UNAVAILABLE: "the API is unavailable and asked to wait",
    BlockReason.USED_UP: "the API says that no requests are left",
}


class Priority(IntEnum):
    """Most urgent first: running jobs, then the directory, then what can wait."""

    RUNNING = 0
    DIRECTORY = 1
    SWEEP = 2
    READINGS = 3

    @property
    def low(self) -> bool:
        """Whether it can wait: it is spread evenly, and may not use what is reserved."""
        return self >= Priority.SWEEP


class BudgetSnapshot(Struct, frozen=True, kw_only=True):
    """What `trainwave_exporter.model.RateLimit` holds, without the account."""

    limit: int
    allowance: int
    remaining: int | None
    used: int
    blocked_until: float
    blocked_reason: BlockReason | None


class RateBudget:
    """Limits the requests of one key.

    The exporter uses ``share`` of the limit; the rest is for other users of the key.
    ``initial_limit`` (requests a minute) holds until the API reports one. ``max_in_flight`` bounds
    the requests in flight; None: 16, or more where the limit is high. All goes by the monotonic
    clock, as the wall clock may be set.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        share: float = 0.8,
        initial_limit: int = 100,
        max_in_flight: int | None = None,
    ) -> None:
        self._terms = LimitTerms(share=share, limit=initial_limit)
        self._window = SlidingWindow(self._terms)
        self._server = ServerWindow(self._terms, self._window)
        self._pace = PaceGate(self._terms, self._window)
        self._block = BlockGate(self._terms, clock)
        self._gates: tuple[Gate, ...] = (self._block, self._window, self._server, self._pace)
        self._max_in_flight = max_in_flight
        self._in_flight = 0
        self._clock = clock
        self._waiting: dict[Priority, dict[asyncio.Future[None], float]] = {p: {} for p in Priority}
        """Callers that wait, and the longest block that each waits for."""
        self._alarm: asyncio.Task[None] | None = None
        self._alarm_at = math.inf

    async def acquire(self, priority: Priority, longest_block: float = math.inf) -> None:
        """Wait until one request may be sent; it counts as sent from then on.

        `release` must be called once the exchange is over. Raises `RateLimited` as soon as there is
        a block that lasts longer than ``longest_block`` seconds.
        """
        if self._block.left > longest_block:
            raise self.blocked()
        turn = asyncio.get_running_loop().create_future()
        self._waiting[priority][turn] = longest_block
        self._serve()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._waiting[priority].pop(turn, None)
            elif turn.exception() is None:
                self._take_back(priority)
            self._serve()
            raise

    def release(self) -> None:
        """Note that a request is no longer in flight, whatever came of it."""
        self._in_flight -= 1
        self._serve()

    def available(self, priority: Priority) -> int:
        """Return how many requests the limit allows now, beyond those that wait already.

        The maximum in flight does not count: it allows more as soon as an answer comes.
        """
        now = self._clock.monotonic()
        ahead = sum(len(turns) for other, turns in self._waiting.items() if other <= priority)
        room = min(gate.room(now, low=priority.low) for gate in self._gates)
        return max(0, math.floor(room) - ahead)

    def reserve(self, name: str, requests_per_minute: float) -> None:
        """Reserve requests per minute for ``name``; sweeps and readings may not use them.

        A later figure for the same name replaces the earlier one.
        """
        self._terms.reserve(name, requests_per_minute)
        self._serve()

    @property
    def unreserved(self) -> int:
        """Requests per minute that are left for sweeps and readings; at least one."""
        return self._terms.patient

    def learn(self, headers: RateHeaders) -> None:
        """Take in the headers of any answer to a request not yet released."""
        self._terms.learn(headers.limit)
        self._server.learn(headers, max(0, self._in_flight - 1), self._clock.monotonic())
        seconds = headers.seconds_left
        if headers.remaining == 0 and seconds is not None and seconds > FAR_RESET:
            self.back_off(seconds, BlockReason.USED_UP)
        self._serve()

    def back_off(
        self, retry_after: float | None, reason: BlockReason = BlockReason.RATE_LIMITED
    ) -> None:
        """Send nothing for so many seconds; ``None``: for a random time that grows each time."""
        self._block.begin(retry_after, reason)
        self._turn_away()

    def blocked(self) -> RateLimited:
        """Return the error that requests get which cannot wait for the end of the block."""
        reason = _BLOCKED[self._block.reason or BlockReason.RATE_LIMITED]
        seconds = self._block.left
        message = f"{reason}; the next one goes out in {seconds:.0f} s"
        return RateLimited(None, None, message, seconds)

    def succeed(self) -> None:
        """Note that the API served a request not yet released.

        After a block, requests are sent concurrently again, and the next `back_off` starts small.
        """
        self._block.succeed()

    def reconfigure(self, share: float) -> None:
        """Use this share of the limit from now on."""
        self._terms.reconfigure(share)
        self._serve()

    @property
    def blocked_for(self) -> float:
        """Seconds until something may be sent again after a block; 0 when it may now."""
        return self._block.left

    @property
    def blocked_seconds(self) -> float:
        """Seconds spent blocked so far: a loop that waited in them did not hang."""
        return self._block.seconds

    def snapshot(self, now: float) -> BudgetSnapshot:
        """Return the state of the rate limit; ``now``: Unix seconds."""
        at = self._clock.monotonic()
        return BudgetSnapshot(
            limit=self._terms.limit,
            allowance=self._terms.allowance,
            remaining=self._server.remaining(at),
            used=self._window.used(at),
            blocked_until=now + self._block.left if self._block.left else 0.0,
            blocked_reason=self._block.reason,
        )

    @property
    def _most_in_flight(self) -> int:
        if self._max_in_flight is not None:
            return self._max_in_flight
        return max(_LEAST_IN_FLIGHT, int(self._terms.allowance / 60 * _USUAL_SECONDS))

    @property
    def _room(self) -> bool:
        """Whether one more may be in flight."""
        return self._in_flight < (1 if self._block.on_trial else self._most_in_flight)

    @property
    def _anyone_waits(self) -> bool:
        return any(self._waiting.values())

    def _closed(self, priority: Priority, now: float) -> list[Gate]:
        """Return the gates that let no request of that priority through now."""
        return [gate for gate in self._gates if gate.room(now, low=priority.low) < 1]

    def _serve(self) -> None:
        """Let all requests go that may; set the alarm for the next one, if any waits."""
        while self._anyone_waits and self._room:
            priority = next(p for p, turns in self._waiting.items() if turns)
            now = self._clock.monotonic()
            if closed := self._closed(priority, now):
                opens = max(gate.opens(now, low=priority.low) for gate in closed)
                self._set_alarm(max(opens - now, _SHORTEST_SLEEP))
                return
            turn = next(iter(self._waiting[priority]))
            del self._waiting[priority][turn]
            if not turn.cancelled():
                self._spend(priority, now)
                turn.set_result(None)
        self._clear_alarm()

    def _turn_away(self) -> None:
        """Raise in the callers that do not wait for as long as the block lasts."""
        for turns in self._waiting.values():
            for turn in [turn for turn, longest in turns.items() if longest < self._block.left]:
                del turns[turn]
                if not turn.cancelled():
                    turn.set_exception(self.blocked())

    def _spend(self, priority: Priority, now: float) -> None:
        self._in_flight += 1
        self._window.spend(now, low=priority.low)
        self._server.spend()
        self._pace.spend(now, low=priority.low)
        self._block.spend()

    def _take_back(self, priority: Priority) -> None:
        """Undo a request that was cancelled before it was sent."""
        self._in_flight -= 1
        self._window.refund(low=priority.low)
        self._server.refund()
        self._pace.refund(low=priority.low)

    def _set_alarm(self, seconds: float) -> None:
        """See to it that `_serve` runs in so many seconds; an earlier alarm will set the next."""
        at = self._clock.monotonic() + seconds
        if self._alarm is not None and self._alarm_at <= at:
            return
        self._clear_alarm()
        self._alarm_at = at
        self._alarm = asyncio.get_running_loop().create_task(self._ring(seconds))

    def _clear_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    async def _ring(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
        self._alarm = None
        self._serve()
