"""Records that the ledger publishes, in dollars, GPU hours and seconds, and their changes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

from trainwave_exporter.ledger.billing.job_entry import JobEntry, Labels, SeriesEntry, Totals
from trainwave_exporter.ledger.billing.units import dollars, gpu_hours, seconds
from trainwave_exporter.ledger.billing.waste_rules import WasteRules
from trainwave_exporter.model import (
    Activity,
    Appeared,
    Burn,
    Change,
    Changed,
    Departed,
    Departure,
    Idleness,
    Record,
    Spend,
    Waste,
)


def spend(series: SeriesEntry) -> Spend:
    """Return the record of a series: zeros while it opens."""
    totals = Totals() if series.opened_at else series.totals
    return Spend(
        project_id=series.labels.project_id,
        owner=series.labels.owner,
        gpu_type=series.labels.gpu_type,
        cost_dollars=dollars(totals.cost),
        gpu_hours=gpu_hours(totals.gpu),
        waste_dollars={
            Waste.GPU_IDLE: dollars(totals.waste_idle),
            Waste.STUCK_LAUNCHING: dollars(totals.waste_launching),
            Waste.BILLED_AFTER_FINISH: dollars(totals.waste_after_finish),
        },
        activity_gpu_hours={
            Activity.IDLE: gpu_hours(totals.idle),
            Activity.BUSY: gpu_hours(totals.busy),
            Activity.UNKNOWN: gpu_hours(totals.unknown),
        },
    )


def burn(labels: Labels, rate: int) -> Burn:
    """Return the spend rate under these labels; ``rate`` is in micro-dollars an hour."""
    return Burn(
        project_id=labels.project_id,
        owner=labels.owner,
        gpu_type=labels.gpu_type,
        dollars_per_hour=dollars(rate),
    )


def idleness(entry: JobEntry, rules: WasteRules) -> Idleness | None:
    """Return how idle a job is and what it wasted; None where neither was ever known."""
    idle_estimate, since = entry.idle_estimate, None
    if idle_estimate.idle_since is not None and idle_estimate.read_at is not None:
        warm_at = (entry.running_since or idle_estimate.idle_since) + rules.warm_up
        if idle_estimate.read_at > warm_at:
            since = seconds(max(idle_estimate.idle_since, warm_at))
    judged = since is not None or entry.totals.idle > 0 or idle_estimate.read_at is not None
    waste = _waste(entry, judged=judged)
    if not judged and not waste:
        return None
    return Idleness(
        job_id=entry.id,
        idle_since=since,
        gpu_hours=gpu_hours(entry.totals.idle) if judged else None,
        waste_dollars=waste,
    )


def _waste(entry: JobEntry, *, judged: bool) -> dict[Waste, float]:
    """Return what a job wasted, by reason."""
    totals, idle_estimate = entry.totals, entry.idle_estimate
    waste = {
        Waste.STUCK_LAUNCHING: dollars(totals.waste_launching),
        Waste.BILLED_AFTER_FINISH: dollars(totals.waste_after_finish),
    }
    waste = {reason: amount for reason, amount in waste.items() if amount}
    unpriced = idle_estimate.unpriced_idle > 0 and not (entry.finished and totals.cost)
    idle = totals.waste_idle + idle_estimate.idle_value
    if not unpriced and (judged or idle):
        waste[Waste.GPU_IDLE] = dollars(idle)
    return waste


class PublishedRecords:
    """The records that are shown now, and the changes that were not taken yet."""

    def __init__(self) -> None:
        self._shown: defaultdict[type[Record], dict[str, Record]] = defaultdict(dict)
        self._changes: list[Change] = []

    def show(self, record: Record) -> None:
        """Show a record, in the place of the one with its key."""
        shown = self._shown[type(record)]
        before = shown.get(record.key)
        if before is None:
            self._changes.append(Appeared(record))
        elif before != record:
            self._changes.append(Changed(before, record))
        shown[record.key] = record

    def hide(self, kind: type[Record], key: str) -> None:
        """Show a record no longer, if it was shown."""
        record = self._shown[kind].pop(key, None)
        if record is not None:
            self._changes.append(Departed(record, Departure.VANISHED))

    def retain(self, kind: type[Record], keys: Collection[str]) -> None:
        """Hide all records of a kind but these."""
        for key in self._shown[kind].keys() - keys:
            self.hide(kind, key)

    def take(self) -> tuple[Change, ...]:
        """Return the changes since the last call."""
        changes, self._changes = tuple(self._changes), []
        return changes
