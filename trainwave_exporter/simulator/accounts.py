"""An organization's money."""

from __future__ import annotations

_DAY = 24 * 3600


class SimulatedAccount:
    """What an organization has paid in and spent, in micro-dollars, exact at every second.

    Jobs are billed by the second, so spending is a sum of what is settled and a rate, and asking
    costs the same however many jobs there are.
    """

    def __init__(self) -> None:
        self.deposits: list[tuple[int, int]] = []
        """Instants and micro-dollars, oldest first; fees are below zero."""
        self._deposited = 0
        self._settled = 0
        self._rate = 0
        self._settled_at = 0

    def spent(self, now: int) -> int:
        """Return what all its jobs have cost until ``now``."""
        return self._settled + self._rate * (now - self._settled_at)

    def balance(self, now: int) -> int:
        """Return what is left; below zero when it is in debt."""
        return self._deposited - self.spent(now)

    def change_rate(self, change: int, at: int) -> None:
        """Spend so many micro-dollars a second more (or less) from now on."""
        self._settled = self.spent(at)
        self._settled_at = at
        self._rate += change

    def correct(self, amount: int) -> None:
        """Settle a correction of a job's cost."""
        self._settled += amount

    def top_up(self, at: int) -> None:
        """Pay in a week's spending (1,000 dollars at least) where less than a day's is left."""
        if self.balance(at) < self._rate * _DAY or not self.deposits:
            self.pay_in(max(self._rate * 7 * _DAY, 1_000_000_000), at)

    def pay_in(self, amount: int, at: int) -> None:
        """Pay in so much; less than nothing is a fee, taken off for no job."""
        self.deposits.append((at, amount))
        self._deposited += amount
