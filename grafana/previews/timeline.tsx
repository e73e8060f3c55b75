// Timelines of states: @grafana/ui has none. A row for each series, a bar for each state it was in.
import { type DataFrame, type Field, getFieldDisplayName } from '@grafana/data';
import { LegendDisplayMode } from '@grafana/schema';
import { useTheme2, VizLayout, VizLegend, type VizLegendItem } from '@grafana/ui';
import { type FC, useMemo } from 'react';

import type { Drawing } from './model';
import { isNumber, RowsOverTime, type Place } from './plot';

interface Row {
  name: string;
  bars: Bar[];
}

interface Bar {
  from: number;
  to: number;
  text: string;
  color: string;
}

export const StateTimeline: FC<Drawing> = ({ panel, frames, range, width, height }) => {
  const theme = useTheme2();
  const { options } = panel;
  const rows = useMemo(() => frames.flatMap((frame) => rowsOf(frame, frames)), [frames]);
  const labels = useMemo(
    () => rows.map(({ name }, i): [number, string] => [rows.length - i - 0.5, name]),
    [rows],
  );
  const paint = useMemo(
    () => (ctx: CanvasRenderingContext2D, { x, y }: Place) => {
      const share = options.rowHeight ?? 0.9;
      ctx.font = `12px ${theme.typography.fontFamily}`;
      ctx.textBaseline = 'middle';
      ctx.textAlign = 'left';
      rows.forEach(({ bars }, i) => {
        const row = rows.length - i - 0.5;
        const [top, bottom] = [y(row + share / 2), y(row - share / 2)];
        for (const { from, to, text, color } of bars) {
          const [left, right] = [x(from), x(to)];
          ctx.globalAlpha = (panel.fieldConfig.defaults.custom?.fillOpacity ?? 70) / 100;
          ctx.fillStyle = color;
          ctx.fillRect(left, top, right - left, bottom - top);
          ctx.globalAlpha = 1;
          const fits = ctx.measureText(text).width + 8 < right - left;
          if (options.showValue === 'always' || (options.showValue === 'auto' && fits)) {
            ctx.fillStyle = theme.colors.getContrastText(color);
            ctx.fillText(text, left + 4, (top + bottom) / 2);
          }
        }
      });
    },
    [rows, options, panel, theme],
  );
  const states = new Map(rows.flatMap(({ bars }) => bars.map(({ text, color }) => [text, color])));
  const items = [...states].map(
    ([label, color]): VizLegendItem => ({ label, color, yAxis: 1 }),
  );
  const legend = options.legend?.showLegend ? (
    <VizLayout.Legend placement="bottom">
      <VizLegend placement="bottom" displayMode={LegendDisplayMode.List} items={items} />
    </VizLayout.Legend>
  ) : null;
  return (
    <VizLayout width={width} height={height} legend={legend}>
      {(inner, within) => (
        <RowsOverTime
          range={range}
          rows={rows.length}
          labels={labels}
          paint={paint}
          width={inner}
          height={within}
        />
      )}
    </VizLayout>
  );
};

function rowsOf(frame: DataFrame, all: DataFrame[]): Row[] {
  const [time, ...others] = frame.fields;
  return others
    .filter(isNumber)
    .map((field) => ({ name: getFieldDisplayName(field, frame, all), bars: barsOf(time, field) }));
}

/** Joins neighbours of one value; where values are missing, the row is empty. */
function barsOf(time: Field, field: Field): Bar[] {
  const step = time.config.interval ?? 0;
  const bars: (Bar & { value: unknown })[] = [];
  time.values.forEach((from: number, i) => {
    const value = field.values[i];
    if (value === null || value === undefined) {
      return;
    }
    const last = bars.at(-1);
    const next = time.values[i + 1] ?? from + step;
    const to = step ? Math.min(next, from + step) : next;
    if (last && last.value === value && last.to === from) {
      last.to = to;
      return;
    }
    const { text, color = '' } = field.display!(value);
    bars.push({ from, to, text, color, value });
  });
  return bars;
}
