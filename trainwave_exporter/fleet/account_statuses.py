"""Whether each account can be read, and for how long it has been silent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from msgspec.structs import replace

from trainwave_exporter.model import (
    AccountStatus,
    Appeared,
    Change,
    Changed,
    Departed,
    Departure,
)


@dataclass(slots=True)
class _Account:
    status: AccountStatus
    answered_at: float
    """When it last answered with jobs."""


class AccountStatuses:
    """The accounts that are watched. All times are Unix seconds."""

    def __init__(self, names: Iterable[str], now: float) -> None:
        self._accounts: dict[str, _Account] = {}
        for name in names:
            self._add(name, now)

    @property
    def names(self) -> AbstractSet[str]:
        """Who is watched."""
        return self._accounts.keys()

    @property
    def uncounted(self) -> frozenset[str]:
        """Those not all of whose jobs are known."""
        return frozenset(
            name for name, account in self._accounts.items() if not account.status.counted
        )

    def status(self, name: str) -> AccountStatus:
        """Return whether an account can be read."""
        return self._accounts[name].status

    def all(self) -> list[AccountStatus]:
        """Return that of all of them."""
        return [account.status for account in self._accounts.values()]

    def watch(self, name: str, now: float) -> Iterator[Change]:
        """Watch an account from now on, if it is not watched already."""
        if name not in self._accounts:
            yield Appeared(self._add(name, now))

    def unwatch(self, name: str) -> Iterator[Change]:
        """Watch it no more."""
        yield Departed(self._accounts.pop(name).status, Departure.UNWATCHED)

    def answered(self, name: str, now: float) -> Iterator[Change]:
        """Note that it answered with jobs."""
        self._accounts[name].answered_at = now
        return self.note(name, expired=False)

    def note(self, name: str, **fields: object) -> Iterator[Change]:
        """Give fields of its status other values."""
        account = self._accounts[name]
        before = account.status
        account.status = replace(before, **fields)
        if account.status != before:
            yield Changed(before, account.status)

    def viewed(self, name: str, view: str) -> Iterator[Change]:
        """Note what its key sees. What was known once stays while nothing is known."""
        return self.note(name, view=view or self._accounts[name].status.view or "")

    def unreadable(self, bound: float, now: float) -> Iterator[tuple[str, bool]]:
        """Yield who was not read to the end since ``bound``, and whether it was silent since then.

        Who is known to be expired is left out: all its jobs are hidden until it answers.
        """
        for name, account in self._accounts.items():
            status = account.status
            swept = status.confirmed_at is not None and bound < status.confirmed_at <= now
            if account.answered_at <= bound:
                if not status.expired:
                    yield name, True
            elif not status.up and not swept:
                yield name, False

    def clock_set(self, seconds: float) -> None:
        """Note that the clock was set by so much since they answered."""
        for account in self._accounts.values():
            account.answered_at += seconds

    def _add(self, name: str, now: float) -> AccountStatus:
        status = AccountStatus(name=name)
        self._accounts[name] = _Account(status, answered_at=now)
        return status
