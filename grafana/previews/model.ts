// What a page is made of: a dashboard's JSON, and what its queries yielded.
import type {
  DataTransformerConfig,
  FieldConfigSource,
  ReduceDataOptions,
  TimeRange,
} from '@grafana/data';
import type { VizLegendOptions } from '@grafana/schema';

export interface Target {
  refId: string;
  expr: string;
  legendFormat?: string;
  format?: 'time_series' | 'table' | 'heatmap';
}

export interface Panel {
  id: number;
  type: string;
  title: string;
  description?: string;
  gridPos: { x: number; y: number; w: number; h: number };
  targets?: Target[];
  fieldConfig: FieldConfigSource;
  // Each kind of panel has options of its own; each reads those it knows.
  options: Options;
  transformations?: DataTransformerConfig[];
  timeFrom?: string;
  hideTimeOverride?: boolean;
}

export type Options = { [name: string]: any } & {
  legend?: VizLegendOptions;
  reduceOptions?: ReduceDataOptions;
};

export type Labels = Record<string, string>;
export type Sample = [time: number, value: string];

/** The `data` of an answer of Prometheus' HTTP API. */
export type Result =
  | { resultType: 'matrix'; result: { metric: Labels; values: Sample[] }[] }
  | { resultType: 'vector'; result: { metric: Labels; value: Sample }[] }
  | { resultType: 'scalar'; result: Sample };

export interface Answer {
  panel: number;
  refId: string;
  /** The query as it was asked, with variables in place. */
  query: string;
  result: Result;
}

export interface Page {
  theme: 'dark' | 'light';
  dashboard: { title: string; description?: string; panels: Panel[] };
  variables: { label: string; value: string }[];
  answers: Answer[];
  /** Unix seconds. */
  start: number;
  end: number;
}

/** What every kind of panel is given to draw itself. */
export interface Drawing {
  panel: Panel;
  frames: import('@grafana/data').DataFrame[];
  range: TimeRange;
  width: number;
  height: number;
}
