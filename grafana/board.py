"""A dashboard: rows of panels, what can be chosen, and ways to the other dashboards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.models.dashboard import (
    AnnotationContainer,
    AnnotationQuery,
    Dashboard,
    DashboardCursorSync,
    DashboardDashboardTemplating,
    DashboardDashboardTime,
    DashboardLink,
    DashboardLinkType,
    GridPos,
    Panel,
    RowPanel,
    VariableModel,
)

TAG = "trainwave"
_COLUMNS = 24


@dataclass(frozen=True)
class Row:
    """Panels under a heading, laid out from left to right and from top to bottom."""

    title: str
    panels: Sequence[Panel]


def board(
    *,
    uid: str,
    title: str,
    description: str,
    variables: Sequence[VariableModel],
    rows: Sequence[Row],
    annotations: Sequence[AnnotationQuery] = (),
    time_from: str = "now-24h",
) -> Dashboard:
    """Put a dashboard together."""
    others = DashboardLink(
        title="Trainwave",
        type_val=DashboardLinkType.DASHBOARDS,
        icon="external link",
        tags=[TAG],
        include_vars=True,
        keep_time=True,
    )
    return Dashboard(
        uid=uid,
        title=title,
        description=description,
        tags=[TAG],
        editable=False,
        graph_tooltip=DashboardCursorSync.CROSSHAIR,
        time=DashboardDashboardTime(from_val=time_from, to="now"),
        refresh="1m",
        templating=DashboardDashboardTemplating(list_val=list(variables)),
        annotations=AnnotationContainer(list_val=list(annotations)),
        links=[others],
        panels=list(_laid_out(rows)),
    )


def _laid_out(rows: Sequence[Row]) -> Iterator[Panel | RowPanel]:
    y, number = 0, 0
    for row in rows:
        number += 1
        yield RowPanel(title=row.title, id_val=number, grid_pos=GridPos(y=y, w=_COLUMNS, h=1))
        y, x, height = y + 1, 0, 0
        for panel in row.panels:
            number += 1
            panel.id_val = number
            size = panel.grid_pos or GridPos()
            if x + size.w > _COLUMNS:
                y, x, height = y + height, 0, 0
            panel.grid_pos = GridPos(x=x, y=y, w=size.w, h=size.h)
            x, height = x + size.w, max(height, size.h)
            yield panel
        y += height
