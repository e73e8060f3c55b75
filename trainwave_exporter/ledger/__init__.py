"""Money and GPU time that must survive a restart: spend to the cent, budgets, credit, waste.

::

    fleet ─changes─▶ Ledger ─observations─▶ LedgerWriter ─batch─▶ Store (SQLite)
                        │                         │
                        │                         ├ LedgerState: what is stored of jobs and sums
                        │                         ├ RunningJobs: what runs now, and its burn rate
                        │                         └ BudgetTracker: budgets and credit
                        ◀──────records────────────┘

``billing`` is pure: meters, runs, waste, periods, budgets and reports. ``storage`` is the SQLite
file. The modules here bring the two together.

Nothing is summed up by day or hour. Of every job only the samples are kept that say how its cost
grew (`trainwave_exporter.ledger.billing.meter`); the spend of a period is read off them when it is
asked for, with all that is known of the job by then. Counters are kept beside them, as they must
never fall.
"""

from trainwave_exporter.ledger.billing.budget import Budget
from trainwave_exporter.ledger.billing.periods import Period
from trainwave_exporter.ledger.billing.units import milliseconds
from trainwave_exporter.ledger.billing.waste_rules import WasteRules
from trainwave_exporter.ledger.ledger import Ledger
from trainwave_exporter.ledger.ledger_options import LedgerOptions, WatchedScope
from trainwave_exporter.ledger.storage.errors import StoreError, UnfitStoreError
from trainwave_exporter.ledger.storage.store import Store

__all__ = [
    "Budget",
    "Ledger",
    "LedgerOptions",
    "Period",
    "Store",
    "StoreError",
    "UnfitStoreError",
    "WasteRules",
    "WatchedScope",
    "milliseconds",
]
