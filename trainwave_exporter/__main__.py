"""``python -m trainwave_exporter``: the command line."""

import sys

from trainwave_exporter.cli import main

sys.exit(main())
