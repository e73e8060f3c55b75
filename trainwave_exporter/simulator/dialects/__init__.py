"""The two forms of the same world: a renderer for each dialect, and what they have in common."""

from __future__ import annotations

from trainwave_exporter.simulator.dialects.deployed import Deployed
from trainwave_exporter.simulator.dialects.documented import Documented
from trainwave_exporter.simulator.dialects.renderer import Renderer
from trainwave_exporter.simulator.ids import SimulatedDialect

__all__ = ["RENDERERS", "Renderer"]

RENDERERS: dict[SimulatedDialect, Renderer] = {
    SimulatedDialect.DOCUMENTED: Documented(),
    SimulatedDialect.DEPLOYED: Deployed(),
}
