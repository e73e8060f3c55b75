"""What is exposed: the metrics, one file for each kind of object, the exporter's own among them.

`families` names all kinds, `exporter` the exporter's own metrics; `catalog` is the table of all,
and says who wants which. `Exposition` keeps their series as records change, and publishes them.
"""

from trainwave_exporter.metrics.catalog import Selection, catalog
from trainwave_exporter.metrics.exporter import ExporterMetrics
from trainwave_exporter.metrics.exposition import Exposition

__all__ = ["ExporterMetrics", "Exposition", "Selection", "catalog"]
