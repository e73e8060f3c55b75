// Axes like Grafana's, for the kinds of panels of which @grafana/ui has no component.
import { FieldType, type GrafanaTheme2, type TimeRange } from '@grafana/data';
import {
  AxisPlacement,
  GraphDrawStyle,
  ScaleDirection,
  ScaleOrientation,
  VisibilityMode,
} from '@grafana/schema';
import { measureText, UPLOT_AXIS_FONT_SIZE, UPlotChart, UPlotConfigBuilder, useTheme2 } from '@grafana/ui';
import { type FC, useMemo } from 'react';
import type uPlot from 'uplot';

import { TIME_ZONE } from './fields';

const AXIS_GAP = 16;

interface Props {
  range: TimeRange;
  /** Rows are as high as each other, and lie from 0, at the bottom, up to this. */
  rows: number;
  /** Where on the vertical axis a label stands, and which. */
  labels: [number, string][];
  /** Draws what is on the grid; coordinates are pixels of the canvas. */
  paint: (ctx: CanvasRenderingContext2D, place: Place, theme: GrafanaTheme2) => void;
  width: number;
  height: number;
}

export interface Place {
  x: (milliseconds: number) => number;
  y: (row: number) => number;
}

/** Draws rows over time. */
export const RowsOverTime: FC<Props> = ({ range, rows, labels, paint, width, height }) => {
  const theme = useTheme2();
  const config = useMemo(
    () => configured(range, rows, labels, paint, theme),
    [range, rows, labels, paint, theme],
  );
  const ends = [range.from.valueOf(), range.to.valueOf()];
  return <UPlotChart config={config} data={[ends, [null, null]]} width={width} height={height} />;
};

function configured(
  range: TimeRange,
  rows: number,
  labels: [number, string][],
  paint: Props['paint'],
  theme: GrafanaTheme2,
): UPlotConfigBuilder {
  const builder = new UPlotConfigBuilder(TIME_ZONE);
  builder.addScale({
    scaleKey: 'x',
    isTime: true,
    orientation: ScaleOrientation.Horizontal,
    direction: ScaleDirection.Right,
    range: () => [range.from.valueOf(), range.to.valueOf()],
  });
  builder.addScale({
    scaleKey: 'y',
    orientation: ScaleOrientation.Vertical,
    direction: ScaleDirection.Up,
    range: () => [0, rows],
  });
  builder.addAxis({
    scaleKey: 'x',
    isTime: true,
    placement: AxisPlacement.Bottom,
    timeZone: TIME_ZONE,
    grid: { show: false },
    theme,
  });
  const texts = new Map(labels);
  const widths = labels.map(([, text]) => measureText(text, UPLOT_AXIS_FONT_SIZE).width);
  builder.addAxis({
    scaleKey: 'y',
    placement: AxisPlacement.Left,
    splits: [...texts.keys()],
    size: Math.max(...widths) + AXIS_GAP,
    values: (_, splits) => splits.map((split) => texts.get(split) ?? ''),
    grid: { show: false },
    theme,
  });
  builder.addSeries({
    scaleKey: 'y',
    theme,
    drawStyle: GraphDrawStyle.Line,
    showPoints: VisibilityMode.Never,
    pathBuilder: () => null,
    pointsBuilder: () => undefined,
  });
  builder.addHook('draw', (plot: uPlot) => {
    const { ctx } = plot;
    ctx.save();
    ctx.beginPath();
    ctx.rect(plot.bbox.left, plot.bbox.top, plot.bbox.width, plot.bbox.height);
    ctx.clip();
    const x = (at: number): number => plot.valToPos(at, 'x', true);
    const y = (row: number): number => plot.valToPos(row, 'y', true);
    paint(ctx, { x, y }, theme);
    ctx.restore();
  });
  builder.setCursor({ show: false });
  return builder;
}

export const isNumber = ({ type }: { type: FieldType }): boolean => type === FieldType.number;
