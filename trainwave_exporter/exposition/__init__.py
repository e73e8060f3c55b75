"""From what the fleet knows to the bytes that a scrape is answered with.

A metric is one declaration (`family`, `families`); everything else is derived from it: headers and
samples (`text`, `lines`), what is kept of them (`table`, `compression`) and what is sent
(`answer`), the metric table and who wants which (`contract`). The exporter's own metrics are
`telemetry`. `Exposition` puts it together.
"""

from trainwave_exporter.exposition.answer import Answer
from trainwave_exporter.exposition.contract import Selection, catalog
from trainwave_exporter.exposition.exposition import Exposition
from trainwave_exporter.exposition.formats import Format, negotiate
from trainwave_exporter.exposition.telemetry import Telemetry
from trainwave_exporter.exposition.text import Description

__all__ = [
    "Answer",
    "Description",
    "Exposition",
    "Format",
    "Selection",
    "Telemetry",
    "catalog",
    "negotiate",
]
