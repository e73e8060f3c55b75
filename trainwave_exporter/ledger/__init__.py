"""Money and GPU time that must survive: what was spent, kept to the cent, and what follows.

::

    fleet ─changes─▶ Ledger ─sightings─▶ Keeper ─batch─▶ Store (SQLite)
                        │                   │
                        │                   ├ Book: of each job and of all sums, what is stored
                        │                   ├ Live: what runs now, and what it burns
                        │                   └ Outlook: budgets, credit
                        ◀──────changes──────┘

Nothing is booked into days or hours. Of every job the few sightings are kept that tell how its cost
grew (`trainwave_exporter.ledger.curve`); what was spent in a period is read off that curve when it
is asked for, with all that is known of the job by then. Counters are kept beside it, as they must
never fall.
"""

from trainwave_exporter.ledger.budget import Budget
from trainwave_exporter.ledger.errors import StoreError, UnfitStoreError
from trainwave_exporter.ledger.ledger import Ledger
from trainwave_exporter.ledger.periods import Period
from trainwave_exporter.ledger.rules import Rules
from trainwave_exporter.ledger.store import Store
from trainwave_exporter.ledger.terms import Terms, Watched
from trainwave_exporter.ledger.units import milliseconds

__all__ = [
    "Budget",
    "Ledger",
    "Period",
    "Rules",
    "Store",
    "StoreError",
    "Terms",
    "UnfitStoreError",
    "Watched",
    "milliseconds",
]
