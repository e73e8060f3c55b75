"""``python -m trainwave_exporter``, held back until the world begins.

To load the exporter takes a second or more, in which fast time would run for minutes. So everything
is loaded, a line says so, and the exporter starts when the file exists that ORACLE_GATE names.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import sys
import time
from pathlib import Path

if __name__ == "__main__":
    importlib.import_module("trainwave_exporter.cli")
    print(json.dumps({"event": "held"}), file=sys.stderr, flush=True)  # noqa: T201
    gate = Path(os.environ.pop("ORACLE_GATE"))
    while not gate.exists():
        time.sleep(0.1)  # of the world: a millisecond
    runpy.run_module("trainwave_exporter", run_name="__main__", alter_sys=True)
