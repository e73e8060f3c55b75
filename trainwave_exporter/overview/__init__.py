"""What the page for people tells: followed all the while, gathered at one moment."""

from trainwave_exporter.overview.standing import Standing

__all__ = ["Standing"]
