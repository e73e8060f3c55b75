// Makes Grafana's data frames of Prometheus' answers, named as Grafana's data source names them.
import {
  type DataFrame,
  type Field,
  FieldType,
  findCommonLabels,
  getFieldDisplayName,
  sortDataFrame,
  TIME_SERIES_TIME_FIELD_NAME,
  TIME_SERIES_VALUE_FIELD_NAME,
} from '@grafana/data';

import type { Answer, Labels, Panel, Sample, Target } from './model';

type Gap = [time: number, value: null];

const AUTO = '__auto';

/** Returns the frames of one panel's answers, in the form that each query asks for. */
export function framesOf(panel: Panel, answers: Answer[]): DataFrame[] {
  const targets = panel.targets ?? [];
  const asked = targets.map((target) => {
    const answer = answers.find((one) => one.refId === target.refId);
    return { target, frames: answer ? seriesOf(target, answer) : [] };
  });
  nameBySharedLabels(asked);
  const tables = asked.filter(({ target }) => target.format === 'table');
  return asked.flatMap(({ target, frames }) => {
    switch (target.format) {
      case 'table':
        return [table(target.refId, frames, tables.length)];
      case 'heatmap':
        return buckets(frames);
      default:
        return frames;
    }
  });
}

function seriesOf(target: Target, { query, result }: Answer): DataFrame[] {
  switch (result.resultType) {
    case 'matrix': {
      const step = stepOf(result.result.map(({ values }) => values));
      return result.result.map(({ metric, values }) =>
        series(target, query, metric, withGaps(values, step), step),
      );
    }
    case 'vector':
      return result.result.map(({ metric, value }) => series(target, query, metric, [value]));
    case 'scalar':
      return [series(target, query, {}, [result.result])];
  }
}

function series(
  { refId, legendFormat }: Target,
  query: string,
  labels: Labels,
  samples: (Sample | Gap)[],
  step?: number,
): DataFrame {
  const name = legend(legendFormat ?? '', labels, query);
  return {
    refId,
    name,
    length: samples.length,
    fields: [
      {
        name: TIME_SERIES_TIME_FIELD_NAME,
        type: FieldType.time,
        config: step ? { interval: step * 1000 } : {},
        values: samples.map(([time]) => time * 1000),
      },
      {
        name: labels.__name__ ?? TIME_SERIES_VALUE_FIELD_NAME,
        type: FieldType.number,
        labels,
        config: name ? { displayNameFromDS: name } : {},
        values: samples.map(([, value]) => (value === null ? null : number(value))),
      },
    ],
  };
}

/** Names a series; without a name, Grafana makes one of the labels that tell series apart. */
function legend(format: string, labels: Labels, query: string): string | undefined {
  if (format === AUTO) {
    return Object.keys(labels).length > 0 ? undefined : query;
  }
  if (format) {
    return format.replace(/\{\{\s*(.+?)\s*\}\}/g, (_, label: string) => labels[label] ?? '');
  }
  const { __name__ = '', ...others } = labels;
  const text = Object.entries(others).map(([label, value]) => `${label}="${value}"`);
  return `${__name__}{${text.join(', ')}}`.replace(/^\{\}$/, query);
}

/** Leaves the metric's name and what all series of a query share out of automatic names. */
function nameBySharedLabels(asked: { target: Target; frames: DataFrame[] }[]): void {
  const all = asked.flatMap(({ frames }) => frames);
  for (const { target, frames } of asked) {
    const named = frames.filter((frame) => frame.fields[1].labels?.__name__);
    if (target.legendFormat !== AUTO || named.length === 0) {
      continue;
    }
    const shared =
      frames.length === 1 ? {} : findCommonLabels(named.map((f) => f.fields[1].labels ?? {}));
    for (const frame of named) {
      const field = { ...frame.fields[1], name: TIME_SERIES_VALUE_FIELD_NAME };
      const name = getFieldDisplayName(field, frame, all, shared);
      frame.fields[1].config.displayNameFromDS = name;
    }
  }
}

/** Puts a query's series into one frame: time, a field for each label, and the value. */
function table(refId: string, frames: DataFrame[], queries: number): DataFrame {
  const names = new Set(
    frames.flatMap(({ fields }) => Object.keys(fields[1].labels ?? {}).sort()),
  );
  const column = (name: string, type: FieldType, of: (frame: DataFrame) => unknown[]): Field => ({
    name,
    type,
    config: {},
    values: frames.flatMap(of),
  });
  if (frames.length === 0) {
    return { refId, fields: [], length: 0 };
  }
  const fields = [
    column(TIME_SERIES_TIME_FIELD_NAME, FieldType.time, ({ fields }) => fields[0].values),
    ...[...names].map((name) =>
      column(name, FieldType.string, ({ fields, length }) =>
        Array.from({ length }, () => fields[1].labels?.[name] ?? ''),
      ),
    ),
    // Only if there are several are values called by their query.
    column(queries > 1 ? `Value #${refId}` : 'Value', FieldType.number, ({ fields }) => fields[1].values),
  ];
  return sortDataFrame({ refId, fields, length: fields[0].values.length }, 0);
}

/** Puts a query's buckets into one frame, each less what is in the buckets below. */
function buckets(frames: DataFrame[]): DataFrame[] {
  if (frames.length === 0) {
    return [];
  }
  const sorted = frames
    .map((frame) => ({ frame, bound: frame.fields[1].labels?.le ?? '' }))
    .sort((one, other) => number(one.bound) - number(other.bound));
  const times = [...new Set(frames.flatMap(({ fields }) => fields[0].values as number[]))].sort(
    (one, other) => one - other,
  );
  const cumulated = sorted.map(({ frame }) => {
    const at = new Map(frame.fields[0].values.map((time, i) => [time, frame.fields[1].values[i]]));
    return times.map((time) => at.get(time) as number | null | undefined);
  });
  const counts = cumulated.map((counts, row) =>
    counts.map((count, i) =>
      count == null ? null : Math.max(0, count - (cumulated[row - 1]?.[i] ?? 0)),
    ),
  );
  return [
    {
      refId: frames[0].refId,
      length: times.length,
      fields: [
        { ...frames[0].fields[0], values: times },
        ...sorted.map(({ frame, bound }, row) => ({
          ...frame.fields[1],
          name: bound,
          config: { displayNameFromDS: bound },
          values: counts[row],
        })),
      ],
    },
  ];
}

/** Marks where samples are missing, so that lines have gaps there. */
function withGaps(samples: Sample[], step = Infinity): (Sample | Gap)[] {
  return samples.flatMap((sample, i): (Sample | Gap)[] => {
    const [time] = sample;
    const next = samples[i + 1]?.[0] ?? time;
    return next - time > step ? [sample, [time + step, null]] : [sample];
  });
}

function stepOf(series: Sample[][]): number | undefined {
  const steps = series.flatMap((samples) =>
    samples.slice(1).map(([time], i) => time - samples[i][0]),
  );
  return steps.length > 0 ? Math.min(...steps) : undefined;
}

function number(text: string): number {
  return /inf/i.test(text) ? (text.startsWith('-') ? -Infinity : Infinity) : parseFloat(text);
}
