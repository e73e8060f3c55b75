"""Histories of jobs made up from a seed: what they truly cost, and what an API reports of them.

The arithmetic is its own, and shares nothing with the ledger. Times are minutes after a midnight at
which a month ends, money is dollars. What the pages of `docs/money` leave open for a reason is not
made up: prices change once at most where nobody can see when (while the exporter is away, or, in
the documented dialect, under a bill at the end), and a job is run again in the deployed dialect
only where it was seen over before.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

DAY: Final = 1440.0
PRICES: Final = (3.6, 12.0, 36.0)


@dataclass(frozen=True)
class Run:
    """From when to when a job ran."""

    start: float
    end: float


@dataclass(frozen=True)
class Billing:
    """When the cost of a run is reported: for each full step since its start, and at its end."""

    step: float | None
    """None: at the end only; 0: at once."""
    late: float = 0.0
    """By how much every bill comes later than what it is for."""


@dataclass(frozen=True)
class MadeUpJob:
    """A job, and what it truly costs."""

    id: str
    gpus: int
    created: float
    runs: tuple[Run, ...]
    prices: tuple[tuple[float, float], ...]
    """From when on an hour costs so much; the first from the beginning of time on."""
    billing: Billing
    refund: tuple[float, float] | None = None
    """When so much is taken back."""
    begins_at_zero: bool = False
    """The cost of a second run is reported without that of the first."""
    idle: tuple[float, float] = (0.0, 0.0)
    """From when to when none of its GPUs does anything."""

    @property
    def dearest(self) -> float:
        return max(price for _, price in self.prices)

    def price(self, minute: float) -> float:
        return [price for since, price in self.prices if since <= minute][-1]

    def value(self, begin: float, end: float) -> float:
        """Return what its running time between two minutes costs."""
        total = 0.0
        for run in self.runs:
            for place, (since, price) in enumerate(self.prices):
                until = self.prices[place + 1][0] if place + 1 < len(self.prices) else 1e9
                first, last = max(begin, since, run.start), min(end, until, run.end)
                total += price / 60 * max(0.0, last - first)
        return total

    def spent(self, minute: float) -> float:
        """Return what it has truly cost by a minute, before refunds."""
        return self.value(-1e9, minute)

    def refunded(self, minute: float) -> float:
        return self.refund[1] if self.refund is not None and minute >= self.refund[0] else 0.0

    def run_at(self, minute: float) -> Run:
        """Return the run that is the present one at a minute, or that will be the first."""
        begun = [run for run in self.runs if run.start <= minute]
        return begun[-1] if begun else self.runs[0]

    def state(self, minute: float) -> str:
        run = self.run_at(minute)
        if minute < run.start:
            return "LAUNCHING"
        if minute < run.end:
            return "RUNNING"
        return "SUCCESS" if run is self.runs[-1] else "FAILED"

    def billed(self, minute: float) -> float:
        """Return the cost that is reported at a minute."""
        amounts = [self._billed(run, minute) for run in self.runs if minute >= run.start]
        whole = amounts[-1] if amounts and self.begins_at_zero else sum(amounts)
        return max(0.0, round(whole - self.refunded(minute), 2))

    def _billed(self, run: Run, minute: float) -> float:
        step, known = self.billing.step, minute - self.billing.late
        if known >= run.end:
            until = run.end
        elif step is None or known < run.start:
            until = run.start
        else:
            until = known if step == 0 else run.start + (known - run.start) // step * step
        return self.value(run.start, until)

    @cached_property
    def last_bill(self) -> float:
        return self.runs[-1].end + self.billing.late


@dataclass
class History:
    """Jobs, and the minutes at which an exporter looks at them."""

    seed: int
    documented: bool
    pace: float
    """Minutes between two looks while the exporter is there."""
    jobs: tuple[MadeUpJob, ...]
    looks: tuple[float, ...]
    restarts: frozenset[float]
    """The looks before which the exporter was started again."""
    checks: frozenset[float]
    """The looks after which the live figures are compared."""
    outages: tuple[tuple[float, float], ...] = ()
    _details: dict[str, _Details] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return all that is needed to follow the history by hand."""
        head = (
            f"seed {self.seed}, {'documented' if self.documented else 'deployed'} dialect, looks"
            f" every {self.pace:g} minutes from {self.looks[0]:g} to {self.looks[-1]:g} but for"
            f" {self.outages}, restarts {sorted(self.restarts)}"
        )
        return "\n".join([head, *(f"  {job}" for job in self.jobs)])

    def is_watched(self, begin: float, end: float) -> bool:
        """Return whether the exporter looked all the time between two minutes."""
        seen = self.looks[0] <= begin and end <= self.looks[-1]
        return seen and not any(a < end and begin < b for a, b in self.outages)

    def seen_at(self, minute: float) -> float:
        """Return when what happened at a minute was seen."""
        return next((look for look in self.looks if look >= minute), 1e9)

    def restart(self) -> None:
        """Forget the details that were read."""
        self._details.clear()

    def reported(self, job: MadeUpJob, minute: float) -> dict[str, Any]:
        """Return the fields of a job that are known to the exporter at a minute, but for times.

        ``created``, ``started`` and ``finished`` are minutes.
        """
        state, cost = job.state(minute), job.billed(minute)
        run, price = job.run_at(minute), job.price(min(minute, job.run_at(minute).end - 0.01))
        found = {"state": state, "cost_dollars": cost, "gpus": float(job.gpus)}
        found |= {"created": job.created, "gpu_type": "H100", "hourly_cost_dollars": price}
        if not self.documented:
            return found
        now = _Details(
            state,
            price,
            run.start if minute >= run.start else None,
            run.end if minute >= run.end else None,
            cost,
        )
        known = self._details.get(job.id)
        if known is None:
            known = self._details[job.id] = _Details("", None, None, None, cost)
        if known.due is None and (known.state != state or known.contradicted(price, cost)):
            # Details come with one of the next requests.
            known.due = minute + random.Random(f"{self.seed} {minute}").choice((0, 0.5, 1.5))
        if known.due is not None and minute >= known.due:
            known = self._details[job.id] = now
        known.cost = cost
        ran = sum(max(0.0, min(minute, run.end) - run.start) for run in job.runs)
        found |= {
            "gpu_type": "H100" if known.state else None,
            "hourly_cost_dollars": known.price,
            "gpu_hours": round(job.gpus * ran / 60, 4),
            "started": known.started,
            "finished": known.finished if state in {"SUCCESS", "FAILED"} else None,
        }
        return found


@dataclass
class _Details:
    """What a job's details said when they were last read, and the cost that was last listed."""

    state: str
    price: float | None
    started: float | None
    finished: float | None
    cost: float
    due: float | None = None

    def contradicted(self, price: float, cost: float) -> bool:
        """Whether the cost moves at another price."""
        return cost != self.cost and price != self.price


class _Maker:
    """Makes up one history; each kind of it is asked for by name."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = random.Random(seed)
        self.documented = self.random.random() < 0.5

    def minute(self, least: float, most: float) -> float:
        return float(round(self.random.uniform(least, max(least, most))))

    def history(self) -> History:
        choose = self.random.choice
        pace = choose((0.25, 1.0, 1.0))
        length = (
            self.minute(12, 30)
            if pace < 1
            else choose((self.minute(20, 90), self.minute(90, 200), self.minute(400, 2500)))
        )
        begin = -self.minute(0, length) if self.random.random() < 0.8 else self.minute(1, 40)
        first = self.job("j-1", begin, length)
        jobs = [first]
        if pace == 1 and self.random.random() < 0.15:
            jobs.append(self.job("j-2", begin + self.minute(-30, 60), self.minute(20, 90)))
        opens = min(job.created for job in jobs) - 2
        closes = max(job.last_bill for job in jobs) + 6
        kind = choose(("before", "before", "during", "after"))
        if kind == "during":
            opens = self.minute(first.runs[0].start + 1, first.runs[0].end - 1)
        elif kind == "after":
            opens = first.runs[-1].end + self.minute(1, 100)
            closes = max(closes, opens + 6)
        outages = self.outages(opens, closes, first)
        closes = max([closes, *(end + 6 for _, end in outages)])
        looks, at = [], opens
        while at <= closes:
            away = [end for since, end in outages if since < at < end]
            if away:
                at = max(away)
                continue
            looks.append(at)
            at += pace
        restarts = {end for _, end in outages if self.random.random() < 0.5}
        checks = {looks[0], looks[-1], *self.random.sample(looks, min(len(looks), 6))}
        jobs = [self.knowable(job, looks, outages) for job in jobs]
        return History(
            self.seed,
            self.documented,
            pace,
            tuple(jobs),
            tuple(looks),
            frozenset(restarts),
            frozenset(checks),
            tuple(outages),
        )

    def outages(self, opens: float, closes: float, job: MadeUpJob) -> list[tuple[float, float]]:
        """Return when the exporter is away; long histories are watched in parts only."""
        found: list[tuple[float, float]] = []
        at = opens
        while closes - at > 200:
            away = at + self.minute(20, 90), closes
            back = min(away[0] + self.minute(60, 1500), closes - self.minute(10, 90))
            if back <= away[0]:
                break
            found.append((away[0], back))
            at = back
        if not found and self.random.random() < 0.4:
            since = self.minute(opens + 1, max(opens + 2, job.runs[-1].end))
            found.append((since, since + self.minute(16, 90)))
        return found

    def job(self, job_id: str, start: float, length: float) -> MadeUpJob:
        choose = self.random.choice
        start = round(start)
        created = start - choose((1.0, self.minute(1, 30), self.minute(30, 300)))
        end = start + length
        base = choose(PRICES)
        prices = [(-1e9, base)]
        for _ in range(choose((0, 0, 1, 1, 2))):
            since = self.minute(start + 1, end - 1)
            if since > prices[-1][0] + 3:
                factor = choose((0.5, 1.3, 2.0))
                prices.append((since, round(prices[-1][1] * factor, 2)))
        billing = choose(
            (
                Billing(0),
                Billing(0),
                Billing(10),
                Billing(60),
                Billing(None),
                Billing(10, late=self.minute(1, 9)),
                Billing(60, late=self.minute(1, 9)),
                Billing(None, late=self.minute(1, 110)),
            )
        )
        runs: tuple[Run, ...] = (Run(start, end),)
        if length > 40 and billing.late == 0 and self.random.random() < 0.15:
            middle = self.minute(start + 15, end - 25)
            runs = (Run(start, middle), Run(middle + self.minute(7, 12), end))
        idle_from = self.minute(start, end)
        idle = (idle_from, self.minute(idle_from, end))
        return MadeUpJob(
            job_id,
            choose((1, 2, 8)),
            created,
            runs,
            tuple(prices),
            billing,
            begins_at_zero=choose((True, False)),
            idle=idle,
        )

    def knowable(
        self, job: MadeUpJob, looks: list[float], outages: list[tuple[float, float]]
    ) -> MadeUpJob:
        """Return a job without changes that the ledger cannot know of, by the documented rules."""
        hidden = [(job.created - 1, looks[0]), *outages]
        if self.documented and job.billing.step != 0:
            hidden = [(-1e9, 1e9)]
        prices = list(job.prices)
        if looks[0] >= job.runs[-1].end or not self.documented:
            # Before the first look, nothing shows another price.
            prices = prices[:1] + [price for price in prices[1:] if price[0] > looks[0]]
        if self.documented and job.billing.step:
            prices = prices[:1]  # it is read with the details, after a bill that was for both
        for since, until in hidden:
            inside = [price for price in prices[1:] if since <= price[0] <= until + 15]
            prices = [price for price in prices if price not in inside[1:]]
        runs = job.runs
        if len(runs) > 1:
            seen_over = any(runs[0].end + 1 < look < runs[1].start for look in looks)
            seen_on = looks[0] < runs[0].end - 2
            # In the deployed dialect, a cost that has outgrown the earlier run may go on from it.
            seen_anew = any(runs[1].start <= look < runs[1].start + 6 for look in looks)
            if not seen_over or (not self.documented and not (seen_on and seen_anew)):
                runs = (Run(runs[0].start, runs[-1].end),)
        found = _with(job, prices=tuple(prices), runs=runs)
        if len(runs) == 1 and self.random.random() < 0.15:
            at = self.minute(job.runs[0].start + 5, job.last_bill)
            minute, billed = found.dearest / 60, found.billed(at)
            amount = round(billed * self.random.uniform(0.1, 0.9), 2)
            # A small one may be an older answer for a while; one with a bill makes that smaller.
            alone = abs(found.billed(at + 2) - found.billed(at - 2)) <= 4.1 * minute
            if at > looks[0] and alone and 6 * minute < amount < billed:
                found = _with(found, refund=(at, amount))
        return found


def _with(job: MadeUpJob, **changes: Any) -> MadeUpJob:
    fields = {name: getattr(job, name) for name in job.__dataclass_fields__}
    return MadeUpJob(**(fields | changes))


def made_up(seed: int) -> History:
    """Return the history of a seed, the same at each call."""
    return _Maker(seed).history()
