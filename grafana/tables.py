"""Tables: a row for each thing, a column for each query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import common, table
from grafana_foundation_sdk.models import common as models
from grafana_foundation_sdk.models.dashboard import (
    DashboardLink,
    DataTransformerConfig,
    DynamicConfigValue,
    FieldColorModeId,
    Panel,
    Threshold,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from grafana import links as ways
from grafana.panels import About, Query, finish, letter, target

# What a panel says when it has no rows would stand in each empty cell, too.
_NOTHING = DynamicConfigValue(id_val="noValue", value="-")


@dataclass(frozen=True, kw_only=True)
class Column:
    """What `expr` yields for each row, shown in `unit`.

    `label` shows a label of the expression instead of its value. `bar` draws values from 0 to
    that maximum as a gauge; otherwise thresholds colour the text.
    """

    heading: str
    expr: str
    unit: str = "none"
    decimals: int | None = None
    label: str | None = None
    bar: float | None = None
    thresholds: Sequence[Threshold] = ()
    width: int | None = None


def rows(
    about: About,
    columns: Sequence[Column],
    *,
    labels: Mapping[str, str],
    hidden: Sequence[str] = (),
    sort_by: str,
    links: Mapping[str, Sequence[DashboardLink]] | None = None,
) -> Panel:
    """Show a table, the largest values of column `sort_by` first.

    `labels` are the labels that have a column each, with its heading; those `hidden` are there for
    `links`, which are by heading, only; whatever else the queries bring is dropped. All queries
    must have all of `labels` and `hidden`, by which rows are put together.
    """
    fields = [column.label or f"Value #{letter(index)}" for index, column in enumerate(columns)]
    shown = [*labels, *fields, *hidden]
    builder = (
        table.Panel()
        .show_header(True)
        .cell_height(models.TableCellHeight.SM)
        .cell_options(models.TableAutoCellOptions())
        .filterable(True)
        .sort_by([common.TableSortByFieldState().display_name(sort_by).desc(True)])
    )
    for column in columns:
        builder.override_by_name(column.heading, _properties(column))
    for heading in labels.values():
        builder.override_by_name(heading, [_NOTHING])
    for name in hidden:
        builder.override_by_name(name, [DynamicConfigValue(id_val="custom.hidden", value=True)])
    for heading, targets in (links or {}).items():
        builder.override_by_name(
            heading, [DynamicConfigValue(id_val="links", value=[_json(link) for link in targets])]
        )
    panel = builder.build()
    panel.targets = [
        target(Query(column.expr), index, instant=True, form=PromQueryFormat.TABLE)
        for index, column in enumerate(columns)
    ]
    panel.transformations = [
        # Before rows are put together, as those whose metrics have names of their own differ by it.
        DataTransformerConfig(id_val="filterFieldsByName", options={"include": {"names": shown}}),
        DataTransformerConfig(id_val="merge", options={}),
        DataTransformerConfig(
            id_val="organize",
            options={
                "excludeByName": {},
                "indexByName": {name: index for index, name in enumerate(shown)},
                "renameByName": {
                    **labels,
                    **{f: c.heading for f, c in zip(fields, columns, strict=True)},
                },
            },
        ),
    ]
    return finish(panel, about, FieldColorModeId.THRESHOLDS)


def jobs(about: About, columns: Sequence[Column], *, sort_by: str) -> Panel:
    """Show a table of jobs, each with its names; that of the job leads to all there is of it.

    Queries are those of `queries.of_jobs`, which bring the names and ids.
    """
    return rows(
        about,
        columns,
        labels={
            "job_name": "Job",
            "project_name": "Project",
            "owner": "Owner",
            "gpu_type": "GPU type",
            "cluster": "Cluster",
        },
        hidden=["project_id", "job_id"],
        sort_by=sort_by,
        links={"Job": ways.JOB_OF_ROW},
    )


def dollars(heading: str, expr: str, *, thresholds: Sequence[Threshold] = ()) -> Column:
    """Return a column of money."""
    return Column(
        heading=heading,
        expr=expr,
        unit="currencyUSD",
        decimals=2,
        thresholds=thresholds,
        width=120,
    )


def share(heading: str, expr: str, thresholds: Sequence[Threshold]) -> Column:
    """Return a column of parts of a whole, drawn as gauges."""
    return Column(
        heading=heading,
        expr=expr,
        unit="percentunit",
        decimals=0,
        bar=1,
        thresholds=thresholds,
        width=180,
    )


def _properties(column: Column) -> list[DynamicConfigValue]:
    properties: dict[str, object] = {"unit": column.unit, _NOTHING.id_val: _NOTHING.value}
    if column.decimals is not None:
        properties["decimals"] = column.decimals
    if column.width is not None:
        properties["custom.width"] = column.width
    if column.thresholds:
        steps = [{"value": step.value, "color": step.color} for step in column.thresholds]
        properties["thresholds"] = {"mode": "absolute", "steps": steps}
        properties["custom.cellOptions"] = {"type": "color-text"}
    if column.bar is not None:
        properties["min"], properties["max"] = 0, column.bar
        gauge = {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"}
        properties["custom.cellOptions"] = gauge
    return [DynamicConfigValue(id_val=name, value=value) for name, value in properties.items()]


def _json(link: DashboardLink) -> dict[str, object]:
    return {"title": link.title, "url": link.url, "targetBlank": link.target_blank}
