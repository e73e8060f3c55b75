"""An event loop that does nothing but look at the clock: what the machine alone makes it wait.

``python idle_loop.py GAUGES``, until killed.
"""

from __future__ import annotations

import sys
from pathlib import Path

from support.probed_exporter import Gauges, probe

from trainwave_exporter.runtime import event_loop

if __name__ == "__main__":
    event_loop.run(probe(Gauges.at(Path(sys.argv[1]))))
