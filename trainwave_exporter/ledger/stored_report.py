"""The chargeback of a period, read from the ledger in a folder."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from trainwave_exporter.ledger.billing.bounds import queue_bound
from trainwave_exporter.ledger.billing.job_entry import ANEW
from trainwave_exporter.ledger.billing.periods import Span
from trainwave_exporter.ledger.billing.report import Chargeback, Dimension, chargeback, unbilled
from trainwave_exporter.ledger.billing.units import seconds
from trainwave_exporter.ledger.storage.errors import StoreError
from trainwave_exporter.ledger.storage.store import Store
from trainwave_exporter.ledger.storage.store_reader import ALL


def read(folder: Path, span: Span, zone: ZoneInfo, by: Sequence[Dimension]) -> Chargeback:
    """Return the chargeback of a span from the ledger in a folder, as `chargeback` does.

    Raises `StoreError` where there is no ledger, where it cannot be read, or where its detail of a
    part of the span was dropped.
    """
    with closing(Store.open_for_reading(folder)) as store:
        pruned = store.pruned_before
        if pruned is not None and span.begin < pruned:
            kept_since = datetime.fromtimestamp(seconds(pruned), zone).isoformat(" ", "minutes")
            raise StoreError(f"{folder}: only totals are kept of the time before {kept_since}")
        state, queue = store.load(most=ALL), queue_bound(store.longest_queue())
        projects = {project.id: project for project in state.projects}
        jobs = store.histories(span.begin, span.end)
        found = chargeback(jobs, projects, span, zone, by, queue)
        counted = {name for name, at in state.opened.items() if at != ANEW}
        return replace(
            found,
            unread=sorted(store.accounts() - counted),
            unbilled=unbilled(state.live, span),
            implausible=sum(entry.unconfirmed_cost is not None for entry in state.live),
        )
