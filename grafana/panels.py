"""The kinds of panels, each with what all of its kind have in common.

The builders of the SDK make options and field configuration; `finish` fills in what they leave
open, so that no panel is without title, meaning, unit, and a word for when there is nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    heatmap,
    stat,
    statetimeline,
    timeseries,
)
from grafana_foundation_sdk.models import common as models
from grafana_foundation_sdk.models.dashboard import (
    DashboardLink,
    DynamicConfigValue,
    FieldColor,
    FieldColorModeId,
    FieldConfigSource,
    GridPos,
    Panel,
    Threshold,
    ThresholdsConfig,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import Dataquery, PromQueryFormat

from grafana import palette
from grafana.variables import SOURCE


@dataclass(frozen=True, kw_only=True)
class About:
    """What every panel says of itself.

    `description` says what is shown and how to read it; `unit` is one of Grafana's unit ids;
    `no_data` says what it means when there is nothing. Width is in 24ths of the page, height in
    units of 30 pixels.
    """

    title: str
    description: str
    unit: str = "none"
    decimals: int | None = None
    no_data: str = "No data"
    width: int = 12
    height: int = 8


@dataclass(frozen=True)
class Query:
    """A query and how its series are named: `legend` may hold `{{label}}`."""

    expr: str
    legend: str = ""


def steps(base: str, *above: tuple[float, str]) -> list[Threshold]:
    """Colours by value: the base colour, then each from its value on."""
    return [Threshold(value=None, color=base), *(Threshold(value=v, color=c) for v, c in above)]


def time_left(short: float, ample: float) -> list[Threshold]:
    """Colours of what is left of a time, in seconds; where none is reported, nothing is wrong."""
    return steps(palette.NEUTRAL, (0, palette.BAD), (short, palette.WARNING), (ample, palette.GOOD))


def series(
    about: About,
    *queries: Query,
    stacked: bool = False,
    bars: bool = False,
    minimum: float | None = 0,
    maximum: float | None = None,
    colors: Mapping[str, str] | None = None,
    bounds: str | None = None,
    interval: str | None = None,
    links: Sequence[DashboardLink] = (),
) -> Panel:
    """Draw lines, areas or bars over time.

    `colors` are by name of series; `bounds` is a regular expression for the names of those that
    are limits and are drawn as dashes; `interval` is the least distance between points.
    """
    builder = (
        timeseries.Panel()
        .line_width(1)
        .fill_opacity(70 if bars else 25 if stacked else 8)
        .show_points(models.VisibilityMode.AUTO)
        .span_nulls(False)
        .stacking(
            common.StackingConfig()
            .mode(models.StackingMode.NORMAL if stacked else models.StackingMode.NONE)
            .group("A")
        )
        .draw_style(models.GraphDrawStyle.BARS if bars else models.GraphDrawStyle.LINE)
        .tooltip(
            common.VizTooltipOptions()
            .mode(models.TooltipDisplayMode.MULTI)
            .sort(models.SortOrder.DESCENDING)
        )
        .legend(_legend())
    )
    if minimum is not None:
        builder.min(minimum)
    if maximum is not None:
        builder.max(maximum)
    if interval is not None:
        builder.interval(interval)
    for name, color in (colors or {}).items():
        builder.override_by_name(name, [_fixed(color)])
    if bounds:
        dashes = {"fill": "dash", "dash": [8, 6]}
        builder.override_by_regexp(
            f"/{bounds}/",
            [
                DynamicConfigValue(id_val="custom.lineStyle", value=dashes),
                DynamicConfigValue(id_val="custom.fillOpacity", value=0),
                DynamicConfigValue(id_val="custom.stacking", value={"mode": "none", "group": "B"}),
                _fixed(palette.NEUTRAL),
            ],
        )
    panel = builder.build()
    panel.targets = [target(query, index) for index, query in enumerate(queries)]
    return finish(panel, about, FieldColorModeId.PALETTE_CLASSIC_BY_NAME, links=links)


def number(
    about: About,
    query: Query,
    *,
    thresholds: Sequence[Threshold] = (),
    texts: Mapping[str, str] | None = None,
    time_from: str | None = None,
    name_only: bool = False,
    links: Sequence[DashboardLink] = (),
) -> Panel:
    """Show the present value, or one for each series.

    `texts` are words for values; `time_from` shows another time than the dashboard's, say `now/d`;
    `name_only` shows what the series is called instead of its value.
    """
    builder = (
        stat.Panel()
        .graph_mode(models.BigValueGraphMode.NONE)
        .color_mode(models.BigValueColorMode.VALUE)
        .justify_mode(models.BigValueJustifyMode.AUTO)
        .text_mode(models.BigValueTextMode.NAME if name_only else models.BigValueTextMode.AUTO)
        .wide_layout(True)
        .reduce_options(_last())
    )
    if texts:
        words = {
            value: ValueMappingResult(text=text, index=index)
            for index, (value, text) in enumerate(texts.items())
        }
        builder.mappings([ValueMap(options=words)])
    panel = builder.build()
    panel.targets = [target(query, 0, instant=True)]
    panel.time_from = time_from
    panel.hide_time_override = True if time_from else None  # the title says it, and needs room
    return finish(panel, about, FieldColorModeId.THRESHOLDS, thresholds, links)


def ranking(
    about: About,
    query: Query,
    *,
    maximum: float | None = None,
    thresholds: Sequence[Threshold] = (),
    colors: Mapping[str, str] | None = None,
    links: Sequence[DashboardLink] = (),
) -> Panel:
    """Show present values as bars, in the order of the query; `colors` are by name of series."""
    builder = (
        bargauge.Panel()
        .display_mode(models.BarGaugeDisplayMode.BASIC)
        .value_mode(models.BarGaugeValueMode.TEXT)
        .name_placement(models.BarGaugeNamePlacement.AUTO)
        .show_unfilled(True)
        .sizing(models.BarGaugeSizing.AUTO)
        .min_viz_width(8)
        .min_viz_height(16)
        .max_viz_height(40)
        .legend(common.VizLegendOptions().show_legend(False).calcs([]))
        .orientation(models.VizOrientation.HORIZONTAL)
        .reduce_options(_last())
        .min(0)
    )
    if maximum is not None:
        builder.max(maximum)
    for name, color in (colors or {}).items():
        builder.override_by_name(name, [_fixed(color)])
    panel = builder.build()
    panel.targets = [target(query, 0, instant=True)]
    return finish(panel, about, FieldColorModeId.THRESHOLDS, thresholds, links)


def heat(about: About, query: Query) -> Panel:
    """Draw how much lies in which bucket over time; the query's series are buckets by `le`."""
    panel = (
        heatmap.Panel()
        .calculate(False)
        .color(
            heatmap.HeatmapColorOptions()
            .mode(HeatmapColorMode.SCHEME)
            .scheme("Cividis")  # even in luminance, and the same to the colour-blind
            .fill(palette.BLUE)
            .exponent(0.5)
            .steps(64)
        )
        .y_axis(heatmap.YAxisConfig().axis_placement(models.AxisPlacement.LEFT).unit(about.unit))
        .cell_gap(1)
        .show_value(models.VisibilityMode.NEVER)
        .rows_frame(heatmap.RowsHeatmapOptions().layout(models.HeatmapCellLayout.AUTO))
        .build()
    )
    panel.targets = [target(query, 0, form=PromQueryFormat.HEATMAP)]
    return finish(panel, about, FieldColorModeId.THRESHOLDS)


def timeline(
    about: About, query: Query, *, values: Sequence[str], colors: Mapping[str, str]
) -> Panel:
    """Draw which state held when: number `n` of the query means the `n`-th of `values`."""
    words = {
        str(index): ValueMappingResult(text=value, color=colors[value], index=index)
        for index, value in enumerate(values)
    }
    panel = (
        statetimeline.Panel()
        .merge_values(True)
        .show_value(models.VisibilityMode.AUTO)
        .align_value(models.TimelineValueAlignment.LEFT)
        .row_height(0.9)
        .legend(_legend())
        .tooltip(common.VizTooltipOptions().mode(models.TooltipDisplayMode.SINGLE))
        .line_width(0)
        .fill_opacity(80)
        .mappings([ValueMap(options=words)])
        .build()
    )
    panel.targets = [target(query, 0)]
    return finish(panel, about, FieldColorModeId.THRESHOLDS, steps(palette.NEUTRAL))


def finish(
    panel: Panel,
    about: About,
    mode: FieldColorModeId,
    thresholds: Sequence[Threshold] = (),
    links: Sequence[DashboardLink] = (),
) -> Panel:
    """Fill in what all kinds of panels have."""
    panel.title = about.title
    panel.description = about.description
    panel.datasource = SOURCE
    panel.grid_pos = GridPos(w=about.width, h=about.height)
    panel.field_config = panel.field_config or FieldConfigSource()
    defaults = panel.field_config.defaults
    defaults.unit = about.unit
    defaults.decimals = about.decimals
    defaults.no_value = about.no_data
    defaults.links = list(links) or None
    defaults.color = FieldColor(mode=mode)
    defaults.thresholds = ThresholdsConfig(
        mode=ThresholdsMode.ABSOLUTE, steps=list(thresholds) or steps(palette.BLUE)
    )
    return panel


def target(
    query: Query,
    index: int,
    *,
    instant: bool = False,
    form: PromQueryFormat = PromQueryFormat.TIME_SERIES,
) -> Dataquery:
    """Write a panel's `index`-th query, over the time shown or, if `instant`, at its end."""
    return Dataquery(
        expr=query.expr,
        legend_format=query.legend or "__auto",
        instant=instant,
        range_val=not instant,
        format_val=form,
        ref_id=letter(index),
        datasource=SOURCE,
    )


def letter(index: int) -> str:
    """Return the letter of a panel's `index`-th query, by which its results are known."""
    return chr(ord("A") + index)


def _legend() -> common.VizLegendOptions:
    return (
        common.VizLegendOptions()
        .show_legend(True)
        .display_mode(models.LegendDisplayMode.LIST)
        .placement(models.LegendPlacement.BOTTOM)
        .calcs([])
    )


def _last() -> common.ReduceDataOptions:
    return common.ReduceDataOptions().calcs(["lastNotNull"]).values(False).fields("")


def _fixed(color: str) -> DynamicConfigValue:
    return DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": color})
