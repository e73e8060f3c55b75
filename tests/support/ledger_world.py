"""A ledger on a clock that tests turn by hand, fed with what the fleet would report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from trainwave_exporter.ledger import Budget, LedgerOptions, Store, WasteRules, WatchedScope
from trainwave_exporter.ledger.billing.ledger_state import SeenJob
from trainwave_exporter.ledger.billing.units import milliseconds
from trainwave_exporter.ledger.ledger_writer import LedgerWriter, PendingObservations
from trainwave_exporter.model import (
    AccountStatus,
    Appeared,
    Burn,
    Changed,
    Corrections,
    Departed,
    Idleness,
    Job,
    Organization,
    Project,
    Quantity,
    Reading,
    Readings,
    Record,
    Spend,
    UnknownFigure,
    Waste,
)

START = 1_700_000_000.0
R = TypeVar("R", bound=Record)


class LedgerWorld:
    """A ledger writer, the records that it shows, and short calls for what it is given."""

    def __init__(
        self,
        folder: Path | None = None,
        *,
        accounts: Iterable[str] = ("a",),
        watched: Mapping[str, WatchedScope] | None = None,
        budgets: tuple[Budget, ...] = (),
        rules: WasteRules = WasteRules(),  # noqa: B008 - it is frozen
        retention: int = 0,
        now: float = START,
        open_store: Callable[[], Store] | None = None,
    ) -> None:
        self.now = now
        self._clock_set = 0
        self.folder = folder
        options = LedgerOptions(
            rules=rules,
            budgets=budgets,
            retention=retention,
            accounts=watched or dict.fromkeys(accounts, WatchedScope()),
        )
        self.writer = LedgerWriter(
            open_store or partial(Store.open, folder),
            options,
            read_store=None if folder is None else partial(Store.open_for_reading, folder),
        )
        self.shown: dict[tuple[type, str], Record] = {}

    def job(self, job_id: str = "j-1", state: str = "RUNNING", **fields: Any) -> Job:
        """Return a job that is seen now, on one H100 at 3.60 dollars an hour."""
        described = {
            "account": "a",
            "project_id": "p-1",
            "owner": "ada",
            "gpu_type": "H100",
            "gpus": 1.0,
            "hourly_cost_dollars": 3.6,
            "confirmed_at": self.now,
        }
        return Job(id=job_id, state=state, **{**described, **fields})

    def busy(self, ratio: float, at: float | None = None) -> Readings:
        """Return the readings of a job whose GPU is used so much."""
        at = self.now if at is None else at
        return Readings(gpu_utilization=Reading(Quantity.RATIO, ratio, at))

    def see(self, *jobs: Job, shown: bool = True, counted: bool | None = None) -> None:
        """Report jobs, and whether all of the account's are known by now."""
        observations = PendingObservations(
            jobs={job.id: SeenJob(job, shown, self._clock_set) for job in jobs}
        )
        if counted is not None:
            observations.accounts["a"] = AccountStatus(
                name="a", counted=counted, organizations_listed=counted, projects_listed=counted
            )
        self.take(observations)

    def set_clock(self, seconds: float) -> None:
        """Set the clock ahead, or back, and have that noticed."""
        self.now += seconds
        self._clock_set += milliseconds(seconds)

    def open(self, *history: Job) -> None:
        """List all jobs for the first time."""
        self.see(*history, counted=True)

    def directory(self, *records: Project | Organization) -> None:
        """Report projects and organizations."""
        observations = PendingObservations()
        for record in records:
            if isinstance(record, Project):
                observations.projects[record.id] = record
            else:
                observations.organizations[record.id] = record
        self.take(observations)

    def take(self, observations: PendingObservations) -> None:
        """Have the writer take a turn."""
        now = milliseconds(self.now)
        self.writer.note(observations, now)
        try:
            self.writer.write(observations, now)
        finally:
            self.writer.compute(now)
            self._show()

    def tick(self, seconds: float) -> None:
        """Let time pass with nothing to be seen."""
        self.now += seconds
        self.take(PendingObservations())

    def _show(self) -> None:
        """Mirror what is shown, and insist that the changes fit together."""
        for change in self.writer.changes():
            match change:
                case Appeared(record):
                    assert (type(record), record.key) not in self.shown
                    self.shown[type(record), record.key] = record
                case Changed(before, after):
                    assert self.shown[type(after), after.key] == before != after
                    self.shown[type(after), after.key] = after
                case Departed(record):
                    assert self.shown.pop((type(record), record.key)) == record

    def all(self, kind: type[R]) -> list[R]:
        """Return all records of a kind that are shown."""
        return [record for record in self.shown.values() if isinstance(record, kind)]

    def one(self, kind: type[R]) -> R:
        """Return the only record of a kind that is shown."""
        (record,) = self.all(kind)
        return record

    def spend(self, gpu_type: str = "H100", owner: str = "ada") -> Spend | None:
        """Return what is shown of one set of labels."""
        found = [s for s in self.all(Spend) if (s.gpu_type, s.owner) == (gpu_type, owner)]
        return found[0] if found else None

    def cost(self, gpu_type: str = "H100", owner: str = "ada") -> float | None:
        """Return the cost counter of one set of labels."""
        found = self.spend(gpu_type, owner)
        return None if found is None else found.cost_dollars

    def wasted(self, reason: str, gpu_type: str = "H100") -> float:
        """Return the waste counter of one set of labels, by reason."""
        found = self.spend(gpu_type)
        return 0.0 if found is None else found.waste_dollars[Waste(reason)]

    def burn(self) -> dict[str, float]:
        """Return what is burnt, by GPU type."""
        return {burn.gpu_type: burn.dollars_per_hour for burn in self.all(Burn)}

    def corrections(self) -> tuple[float, float]:
        """Return what was corrected up and down."""
        record = self.one(Corrections)
        return record.up, record.down

    def unknown(self, figure: str, name: str | None = None) -> set[str]:
        """Return the reasons for which a figure is unknown, whosoever or of a name."""
        return {
            record.reason
            for record in self.all(UnknownFigure)
            if record.figure == figure and name in (None, record.name)
        }

    def idleness(self, job_id: str = "j-1") -> Idleness | None:
        """Return how idle a job is shown to be."""
        record = self.shown.get((Idleness, job_id))
        assert record is None or isinstance(record, Idleness)
        return record

    def unknown_figures(self) -> set[tuple[str, str, str]]:
        """Return which figures are said to be unknown: figure, name, reason."""
        return {(u.figure, u.name, u.reason) for u in self.all(UnknownFigure)}
