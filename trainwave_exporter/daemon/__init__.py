"""The running exporter: what it is composed of, what settings mean to it, reload, and `check`."""

from trainwave_exporter.daemon.daemon import Daemon, StartError
from trainwave_exporter.daemon.reload import Configuration

__all__ = ["Configuration", "Daemon", "StartError"]
