"""The four rate limits that every request passes before it is sent.

* `SlidingWindow`: the exporter's allowance within any minute;
* `ServerWindow`: what the API reports as remaining, less the part of other users of the key;
* `PaceGate`: spreads what can wait (sweeps and readings) evenly;
* `BlockGate`: blocks after a 429, for a ``Retry-After``, or when nothing remains for long; then
  lets a single probe through, and starts slowly.

`room` is how many requests a gate lets through at once, `opens` when it will let the next one
through if there is no room. ``low`` is the priority of requests that can wait, as opposed to those
that keep running jobs and the directory current. The budget calls `spend` for each request that is
sent, and `refund` for one that was not sent after all.

All times are seconds of the monotonic clock: however the wall clock is set, a minute is a minute.
"""

from __future__ import annotations

import math
from collections import deque
from enum import StrEnum
from itertools import takewhile
from typing import Final, Protocol

from trainwave_exporter.api.headers import RateHeaders
from trainwave_exporter.runtime.clock import Clock

WINDOW: Final = 60.0
"""Seconds the limit is counted over."""

SPAN: Final = WINDOW + 1.0
"""Seconds that a request counts here. The additional second is for network latency: of two requests
a minute apart, the earlier may take longer, so that both arrive within one minute."""

LONGEST_WAIT: Final = 300.0
"""Longest block in seconds that no header orders, and longest time to the end of a window."""

LONGEST_ORDER: Final = 3600.0
"""Longest ``Retry-After`` in seconds that is obeyed: no header may stop the exporter for ever."""

FAR_RESET: Final = 120.0
"""Seconds until ``X-RateLimit-Reset`` beyond which a window without requests left is a block."""

HIGHEST_LIMIT: Final = 100_000
"""Requests a minute; a larger limit counts as this one, as no exporter needs it."""


class BlockReason(StrEnum):
    """Why no request is sent."""

    RATE_LIMITED = "rate_limited"
    """The API refused a request as one too many."""
    UNAVAILABLE = "unavailable"
    """The API failed, and said when to come back."""
    USED_UP = "used_up"
    """The API said that no request is left until its window ends, and that is far ahead."""


class Gate(Protocol):
    """Something that may delay a request."""

    def room(self, now: float, *, low: bool) -> float:
        """Return how many requests might be sent at once; below 1: none."""

    def opens(self, now: float, *, low: bool) -> float:
        """Return when there is room for one again, given that there is none now."""


class LimitTerms:
    """The limit, and how it is divided. All figures are requests a minute."""

    def __init__(self, *, share: float, limit: int) -> None:
        self.limit = limit
        self._doubted: int | None = None
        """A lower limit that one answer reported, and the next must confirm."""
        self._share = share
        self._reserved: dict[str, float] = {}
        self._divide()

    def learn(self, limit: float | None) -> None:
        """Take over the limit that the API reports, if it makes sense.

        A lower one needs two answers in a row, of which the higher counts: after a limit of 1,
        reported once by mistake, nothing would be requested for a minute.
        """
        if limit is None or limit < 1:
            return
        headers = int(min(limit, HIGHEST_LIMIT))
        doubted, self._doubted = self._doubted, headers if headers < self.limit else None
        if headers < self.limit:
            if doubted is None:
                return
            headers = max(headers, doubted)
        if headers != self.limit:
            self.limit = headers
            self._divide()

    def reserve(self, name: str, requests_per_minute: float) -> None:
        """Reserve so much for the urgent requests ``name``, in place of what was before."""
        self._reserved[name] = requests_per_minute
        self._divide()

    def reconfigure(self, share: float) -> None:
        """Use this share of the limit."""
        self._share = share
        self._divide()

    def _divide(self) -> None:
        # The sliver keeps 0.29 x 100 at 29, which binary fractions put a hair below.
        self.allowance = max(1, math.floor(self.limit * self._share + 1e-9))
        """What the exporter may send; at least one, as the limit is learned from answers."""
        self.others = self.limit - self.allowance
        """What is left to other users of the key."""
        self.reserved = min(math.ceil(sum(self._reserved.values())), self.allowance - 1)
        """What is reserved for urgent requests; one is always left for the rest."""
        self.patient = self.allowance - self.reserved
        """What requests that can wait may use."""


class SlidingWindow:
    """Allows at most the allowance in any minute, and its part to what can wait."""

    def __init__(self, terms: LimitTerms) -> None:
        self._terms = terms
        self._all: deque[float] = deque()
        self._low: deque[float] = deque()

    def used(self, now: float) -> int:
        """Return how many requests count at ``now``."""
        return len(_pruned(self._all, now))

    def counted_by_api(self, now: float) -> int:
        """Return how many of them are so new that a sliding window of the API counts them."""
        log = _pruned(self._all, now)
        return len(log) - sum(1 for _ in takewhile(lambda sent: sent <= now - WINDOW, log))

    def spend(self, now: float, *, low: bool) -> None:
        """Count one request."""
        for log in (self._all, self._low) if low else (self._all,):
            log.append(now)

    def refund(self, *, low: bool) -> None:
        """Forget the latest request: it was counted, but never sent."""
        for log in (self._all, self._low) if low else (self._all,):
            if log:
                log.pop()

    def room(self, now: float, *, low: bool, reduction: int = 0) -> float:
        """Return what is left of the minute's allowance, less a ``reduction``."""
        room = self._terms.allowance - len(_pruned(self._all, now))
        if low:
            room = min(room, self._terms.patient - len(_pruned(self._low, now)))
        return room - reduction

    def opens(self, now: float, *, low: bool, reduction: int = 0) -> float:
        """Return when enough of the minute's requests are a minute old."""
        opens = _frees(_pruned(self._all, now), self._terms.allowance - reduction, now)
        if low:
            patient = self._terms.patient - reduction
            opens = max(opens, _frees(_pruned(self._low, now), patient, now))
        return opens


def _pruned(log: deque[float], now: float) -> deque[float]:
    """Drop what no longer counts."""
    while log and log[0] <= now - SPAN:
        log.popleft()
    return log


def _frees(log: deque[float], most: int, now: float) -> float:
    """Return when fewer than ``most`` will count; `math.inf` (never) where it is below one."""
    if most < 1:
        return math.inf
    return log[len(log) - most] + SPAN if len(log) >= most else now


class ServerWindow:
    """What the API last reported as remaining, less what was sent since.

    Answers overtake each other, so within one window (known by its ``Reset``) the lowest figure
    counts; requests in flight count as spent. After the end of the window nothing is known, and
    nothing is delayed, until the next answer.

    A window whose ``Reset`` moves on before its end is a sliding one: the API frees each request a
    minute after it came, not all of them at once. There the newest figure counts. What remains and
    what the exporter used in the last minute are together what others leave to it, and it uses that
    as a sliding window of its own.
    """

    _SAME = 5.0
    """Seconds by which the ``Reset`` of one and the same window may go back or forth."""

    def __init__(self, terms: LimitTerms, window: SlidingWindow) -> None:
        self._terms = terms
        self._window = window
        self._first_reset = 0.0
        """The first ``Reset`` of the present window."""
        self._sliding = False
        self._reduction = 0
        """By how much others' use lowers the allowance, in a sliding window."""
        self._reset = 0.0
        self._ends = 0.0
        self._left = 0.0
        self._remaining = 0

    def learn(self, headers: RateHeaders, outstanding: int, now: float) -> None:
        """Take over what an answer reports while ``outstanding`` other requests are under way."""
        if headers.remaining is None:
            return
        left, reset = headers.seconds_left, headers.reset
        if left is not None and -WINDOW <= left <= 0:
            return  # of a window that is over by now
        if reset is None or left is None or not 0 < left <= LONGEST_WAIT:
            left, reset = WINDOW, headers.at + WINDOW
        ends = now + left
        known = self._known(now)
        if known and reset < self._reset - self._SAME:
            return  # overtaken by an answer from a later window
        remaining = min(int(headers.remaining), self._terms.limit)
        left = remaining - outstanding
        if not known or self._ends - now < self._SAME:
            self._first_reset, self._sliding = reset, False
        elif reset > self._first_reset + self._SAME:
            self._sliding = True
        if self._sliding:
            ours = left + self._window.counted_by_api(now) - self._terms.others
            self._reduction = max(0, self._terms.allowance - ours)
        if known and reset <= self._reset:
            self._left = min(self._left, left)
            self._remaining = min(self._remaining, remaining)
        else:
            self._reset, self._ends, self._left, self._remaining = reset, ends, left, remaining

    def remaining(self, now: float) -> int | None:
        """Return the lowest figure reported within the present window."""
        return self._remaining if self._known(now) else None

    def spend(self) -> None:
        """Count one request."""
        self._left -= 1

    def refund(self) -> None:
        """Count one request less."""
        self._left += 1

    def room(self, now: float, *, low: bool) -> float:
        """Return what the API leaves beyond the part of other users."""
        if not self._known(now):
            return math.inf
        if self._sliding:
            return self._window.room(now, low=low, reduction=self._reduction)
        room = self._left - self._terms.others
        if low:
            # What is urgent will need its part of what is left until the window ends.
            room -= math.ceil(self._terms.reserved * min(1.0, (self._ends - now) / WINDOW))
        return room

    def opens(self, now: float, *, low: bool) -> float:
        """Return when the API's window ends; or sooner, when what is urgent needs less of it."""
        if self._sliding:
            return min(self._ends, self._window.opens(now, low=low, reduction=self._reduction))
        spare = self._left - self._terms.others - 1
        if low and spare >= 0 and self._terms.reserved:
            return max(now, self._ends - WINDOW * spare / self._terms.reserved)
        return self._ends

    def _known(self, now: float) -> bool:
        return now < self._ends <= now + LONGEST_WAIT


class PaceGate:
    """A token bucket for what can wait: an even rate, after a burst of a quarter of a minute.

    While the allowance of the minute is used up, only a second's worth of tokens is kept (callers
    look once a second), or every minute would begin with a burst.
    """

    def __init__(self, terms: LimitTerms, window: SlidingWindow) -> None:
        self._terms = terms
        self._window = window
        self._tokens = self._burst
        self._filled_at = -math.inf
        self._filling = True

    @property
    def _burst(self) -> float:
        return max(1.0, self._terms.patient / 4)

    @property
    def _rate(self) -> float:
        return self._terms.patient / SPAN

    def spend(self, now: float, *, low: bool) -> None:
        """Count one request."""
        if low:
            self._fill(now)
            self._tokens -= 1

    def refund(self, *, low: bool) -> None:
        """Count one request less."""
        if low:
            self._tokens += 1

    def room(self, now: float, *, low: bool) -> float:
        """Return what was saved up."""
        if not low:
            return math.inf
        self._fill(now)
        return self._tokens

    def opens(self, now: float, *, low: bool) -> float:  # noqa: ARG002 - only low ones are held
        """Return when the next one is due."""
        self._fill(now)
        return now + (1 - self._tokens) / self._rate

    def _fill(self, now: float) -> None:
        saved = min(self._tokens, self._burst)
        grown = saved + max(0.0, now - self._filled_at) * self._rate
        most = self._burst if self._filling else 1.0 + self._rate
        self._tokens = max(saved, min(grown, most))
        self._filled_at = now
        self._filling = self._window.room(now, low=True) >= 1


class BlockGate:
    """Blocks everything for a time, then lets single requests through for a minute, evenly.

    The first one is a probe: while it is in flight nothing else is (`on_trial`), and so on until
    the API serves one.
    """

    _FIRST_WAIT = 2.0
    _MOST_DOUBLINGS = 8

    def __init__(self, terms: LimitTerms, clock: Clock) -> None:
        self._terms = terms
        self._clock = clock
        self._failures = 0
        self._probed = False
        self._until = -math.inf
        self._next_slot = -math.inf
        self._seconds = 0.0
        self._reason = BlockReason.RATE_LIMITED

    def begin(
        self, retry_after: float | None, reason: BlockReason = BlockReason.RATE_LIMITED
    ) -> None:
        """Block for as long as the API says, else for a random time whose maximum doubles."""
        now = self._clock.monotonic()
        ordered = retry_after is not None and 0 < retry_after < math.inf
        if now >= self._until:
            self._failures += 1
        elif not ordered:
            return  # several answers to requests in flight report the same: one step for all
        if retry_after is not None and ordered:
            until = now + min(retry_after, LONGEST_ORDER)
            slot = until + self._clock.random.uniform(0, self._spacing)
        else:
            doublings = min(self._failures - 1, self._MOST_DOUBLINGS)
            longest = min(self._FIRST_WAIT * 2**doublings, LONGEST_WAIT)
            slot = until = now + self._clock.random.uniform(0, longest)
        self._seconds += max(0.0, until - max(now, self._until))
        if until > self._until:
            self._until, self._reason = until, reason
        self._next_slot = max(self._next_slot, slot)
        self._probed = False

    def succeed(self) -> None:
        """End the trial, if this is the probe's success and not one from before the block."""
        if self._probed:
            self._failures = 0

    @property
    def on_trial(self) -> bool:
        """Whether the API refused a request and has served none since."""
        return self._failures > 0

    @property
    def left(self) -> float:
        """Seconds until the block ends; 0 when there is none."""
        return max(0.0, self._until - self._clock.monotonic())

    @property
    def reason(self) -> BlockReason | None:
        """Why there is a block; None when there is none."""
        return self._reason if self.left else None

    @property
    def seconds(self) -> float:
        """Seconds spent blocked so far, all blocks together."""
        return self._seconds - self.left

    def spend(self) -> None:
        """Count one request."""
        self._probed = True
        self._next_slot = self._clock.monotonic() + self._spacing

    def room(self, now: float, *, low: bool) -> float:  # noqa: ARG002 - all are alike here
        """Return 0 while blocked, 1 at each slot for a minute after."""
        since = self._clock.monotonic() - self._until
        if since >= SPAN:
            return math.inf
        return 1 if since >= 0 and self._clock.monotonic() >= self._next_slot else 0

    def opens(self, now: float, *, low: bool) -> float:  # noqa: ARG002 - all are alike here
        """Return when the block, and the wait for the next slot, are over."""
        return now + max(self.left, self._next_slot - self._clock.monotonic())

    @property
    def _spacing(self) -> float:
        return SPAN / self._terms.allowance
