// Heatmaps: @grafana/ui has none. Buckets by time, coloured by how much lies in each.
import { formattedValueToString, getValueFormat } from '@grafana/data';
import { useTheme2 } from '@grafana/ui';
import { interpolateCividis } from 'd3-scale-chromatic';
import { type FC, useMemo } from 'react';

import type { Drawing } from './model';
import { isNumber, RowsOverTime, type Place } from './plot';

const SCALE_HEIGHT = 42;

export const Heatmap: FC<Drawing> = ({ panel, frames, range, width, height }) => {
  const theme = useTheme2();
  const { color, yAxis, cellGap } = panel.options;
  const [time, rows, least, most] = useMemo(() => {
    const [time, ...others] = frames[0].fields;
    const rows = others.filter(isNumber);
    // Nothing is left out, so that the ground shows where nothing was.
    const counts = rows.flatMap(({ values }) => values.filter((count) => count > 0));
    return [time, rows, Math.min(...counts), Math.max(...counts)];
  }, [frames]);
  const shade = useMemo(() => {
    const dark = theme.isDark !== Boolean(color.reverse);
    return (share: number): string => {
      const level = Math.round(share * (color.steps - 1)) / (color.steps - 1);
      return interpolateCividis(dark ? level : 1 - level);
    };
  }, [theme, color]);
  const labels = useMemo(() => {
    const format = getValueFormat(yAxis.unit);
    return rows.map(({ name }, row): [number, string] => {
      const bound = Number(name);
      const text = Number.isFinite(bound) ? formattedValueToString(format(bound)) : name;
      return [row + 1, text];
    });
  }, [rows, yAxis]);
  const paint = useMemo(
    () => (ctx: CanvasRenderingContext2D, { x, y }: Place) => {
      const times = time.values as number[];
      const step = time.config.interval ?? times[1] - times[0];
      const gap = cellGap ?? 1;
      rows.forEach(({ values }, row) => {
        times.forEach((at, i) => {
          const count = values[i] as number | null;
          if (!count) {
            return;
          }
          ctx.fillStyle = shade((count - least) / (most - least || 1));
          const left = x(at - step);
          const top = y(row + 1);
          ctx.fillRect(left, top, Math.max(1, x(at) - left - gap), Math.max(1, y(row) - top - gap));
        });
      });
    },
    [time, rows, least, most, shade, cellGap],
  );
  const stops = Array.from({ length: 16 }, (_, i) => shade(i / 15)).join(', ');
  return (
    <div>
      <RowsOverTime
        range={range}
        rows={rows.length}
        labels={labels}
        paint={paint}
        width={width}
        height={height - SCALE_HEIGHT}
      />
      <div style={{ width: 300, paddingTop: 8, fontSize: 12, color: theme.colors.text.secondary }}>
        <div style={{ height: 8, background: `linear-gradient(to right, ${stops})` }} />
        <div style={{ display: 'flex', justifyContent: 'space-between' }}>
          <span>{short(least)}</span>
          <span>{short(most)}</span>
        </div>
      </div>
    </div>
  );
};

function short(count: number): string {
  return formattedValueToString(getValueFormat('short')(count));
}
