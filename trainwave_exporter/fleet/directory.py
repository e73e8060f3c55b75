"""Projects or organizations, which are always reported all at once, account by account."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Generic, TypeVar

from trainwave_exporter.model import (
    Appeared,
    Change,
    Changed,
    Departed,
    Departure,
    Organization,
    Project,
)

T = TypeVar("T", Project, Organization)


class Directory(Generic[T]):
    """What is known of one kind. Of a thing that two accounts see, the first goes on reporting."""

    def __init__(self, accounts: Iterable[str], now: float) -> None:
        self._known: dict[str, T] = {}
        self._missed: set[str] = set()
        self._reported_at = dict.fromkeys(accounts, now)

    def get(self, key: str) -> T | None:
        """Return one by its key."""
        return self._known.get(key)

    def all(self) -> list[T]:
        """Return all that is known."""
        return list(self._known.values())

    def of(self, account: str) -> list[T]:
        """Return what one account reports."""
        return [record for record in self._known.values() if record.account == account]

    def take_in(
        self, account: str, records: Sequence[T], now: float, *, complete: bool
    ) -> Iterator[Change]:
        """Take in what this account sees; ``complete``: all of it.

        What is missing from two complete answers in a row has vanished.
        """
        self._reported_at[account] = now
        reported = {record.key: record for record in records}
        self._missed -= reported.keys()
        absent = {record.key for record in self.of(account)} - reported.keys()
        for key in sorted(absent) if complete else ():
            if key in self._missed:
                self._missed.remove(key)
                yield Departed(self._known.pop(key), Departure.VANISHED)
            else:
                self._missed.add(key)
        for key, record in reported.items():
            before = self._known.get(key)
            if before is None:
                self._known[key] = record
                yield Appeared(record)
            elif before.account == account and before != record:
                self._known[key] = record
                yield Changed(before, record)

    def reconfigure(self, accounts: Collection[str], now: float) -> Iterator[Change]:
        """Listen to these accounts from now on; drop what others reported."""
        for account in self._reported_at.keys() - set(accounts):
            del self._reported_at[account]
            yield from self._drop(account, Departure.UNWATCHED)
        for account in accounts:
            self._reported_at.setdefault(account, now)

    def expire(self, now: float, max_age: float) -> Iterator[Change]:
        """Drop what was reported longer than ``max_age`` seconds ago."""
        for account, reported_at in self._reported_at.items():
            if now - reported_at >= max_age:
                yield from self._drop(account, Departure.EXPIRED)

    def clock_set(self, seconds: float) -> None:
        """Note that the clock was set by so much since anything was reported."""
        for account in self._reported_at:
            self._reported_at[account] += seconds

    def _drop(self, account: str, reason: Departure) -> Iterator[Change]:
        for record in self.of(account):
            self._missed.discard(record.key)
            yield Departed(self._known.pop(record.key), reason)
