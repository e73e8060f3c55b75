"""The records that all packages share: what is known of a fleet, and what is reported of it.

Records are frozen, in base units (dollars, bytes, bytes per second, ratios from 0 to 1, GPU hours)
and carry times as Unix seconds. ``None`` means "the API did not report"; it is never replaced by a
zero. Nothing here does I/O, keeps a clock or knows a wire format.

Three kinds of record:

* things, each with a ``key`` that is unique within its kind: `Job` (`jobs`), `Project`,
  `Organization`, `AccountStatus`, `ProjectTally` (`things`), and what the ledger makes of them
  (`money`);
* changes of things: `Appeared`, `Changed`, `Departed`, `HistoricalJob` (`changes`), handed to
  listeners;
* facts about the exporter's own work (`facts`), handed to telemetry.
"""

from trainwave_exporter.model.changes import (
    Appeared,
    Change,
    Changed,
    ChangeListener,
    Departed,
    Departure,
    HistoricalJob,
    Record,
)
from trainwave_exporter.model.facts import (
    ClampedDuration,
    ClockSkew,
    Exchange,
    Fact,
    FactListener,
    IllegalTransition,
    LedgerRun,
    LoopBegan,
    LoopRun,
    Plan,
    PlannedAge,
    RateLimit,
    ReadingReplaced,
    UnknownState,
    Unreadable,
)
from trainwave_exporter.model.jobs import (
    KNOWN_STATES,
    NO_READINGS,
    TERMINAL_STATES,
    CostUnit,
    Job,
    JobState,
    KnownRun,
    Metric,
    Point,
    Quantity,
    Reading,
    Readings,
    Unit,
)
from trainwave_exporter.model.money import (
    Activity,
    BudgetStatus,
    Burn,
    Corrections,
    Funds,
    Idleness,
    Spend,
    UnknownFigure,
    Waste,
)
from trainwave_exporter.model.things import (
    OTHER,
    AccountStatus,
    Distribution,
    Offer,
    Organization,
    Project,
    ProjectTally,
)

__all__ = [
    "KNOWN_STATES",
    "NO_READINGS",
    "OTHER",
    "TERMINAL_STATES",
    "AccountStatus",
    "Activity",
    "Appeared",
    "BudgetStatus",
    "Burn",
    "Change",
    "ChangeListener",
    "Changed",
    "ClampedDuration",
    "ClockSkew",
    "Corrections",
    "CostUnit",
    "Departed",
    "Departure",
    "Distribution",
    "Exchange",
    "Fact",
    "FactListener",
    "Funds",
    "HistoricalJob",
    "Idleness",
    "IllegalTransition",
    "Job",
    "JobState",
    "KnownRun",
    "LedgerRun",
    "LoopBegan",
    "LoopRun",
    "Metric",
    "Offer",
    "Organization",
    "Plan",
    "PlannedAge",
    "Point",
    "Project",
    "ProjectTally",
    "Quantity",
    "RateLimit",
    "Reading",
    "ReadingReplaced",
    "Readings",
    "Record",
    "Spend",
    "Unit",
    "UnknownFigure",
    "UnknownState",
    "Unreadable",
    "Waste",
]
