"""Who may come in, and how: TLS, passwords and headers, by the web configuration file.

The file has the names and the meaning of Prometheus's exporter-toolkit, so that one file serves all
exporters of a machine.
"""

from trainwave_exporter.web.access.access import Access
from trainwave_exporter.web.access.errors import AccessError

__all__ = ["Access", "AccessError"]
