"""The command line: reads it, builds what it asks for, and returns an exit status."""

from trainwave_exporter.cli.main import main

__all__ = ["main"]
