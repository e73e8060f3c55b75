"""How declarations of metrics become the bytes that a scrape is answered with.

A metric is one declaration (`family`); everything else is derived from it: headers and samples
(`text`, `lines`), what is kept of them (`table`, `compression`) and what is sent (`answer`). What
is declared stands in `trainwave_exporter.metrics`.
"""

from trainwave_exporter.exposition.answer import ScrapeAnswer
from trainwave_exporter.exposition.formats import Format, negotiate
from trainwave_exporter.exposition.text import Description

__all__ = ["Description", "Format", "ScrapeAnswer", "negotiate"]
