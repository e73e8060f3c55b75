// The kinds of panels, each drawn by the component with which Grafana draws it.
import {
  type FieldDisplay,
  getDisplayValueAlignmentFactors,
  getFieldDisplayValues,
  type DisplayValueAlignmentFactors,
  VizOrientation,
} from '@grafana/data';
import {
  BarGauge,
  BigValue,
  BigValueTextMode,
  TimeSeries,
  useTheme2,
  VizRepeater,
  type VizRepeaterRenderValueProps,
} from '@grafana/ui';
import { TableNG } from '@grafana/ui/unstable';
import type { FC } from 'react';

import { TIME_ZONE } from './fields';
import { Heatmap } from './heatmap';
import type { Drawing } from './model';
import { StateTimeline } from './timeline';

const Series: FC<Drawing> = ({ panel, frames, range, width, height }) => (
  <TimeSeries
    frames={frames}
    timeRange={range}
    timeZone={TIME_ZONE}
    legend={panel.options.legend!}
    width={width}
    height={height}
  />
);

type Repeated = VizRepeaterRenderValueProps<FieldDisplay, DisplayValueAlignmentFactors>;

const Stat: FC<Drawing> = (drawing) => {
  const theme = useTheme2();
  const { panel, frames, width, height } = drawing;
  const { options, fieldConfig } = panel;
  const named = options.textMode === 'auto' && fieldConfig.defaults.displayName;
  return (
    <VizRepeater
      source={frames}
      getValues={useValues(drawing)}
      getAlignmentFactors={getDisplayValueAlignmentFactors}
      renderValue={({ value, width, height, count, alignmentFactors }: Repeated) => (
        <BigValue
          value={value.display}
          count={count}
          sparkline={value.sparkline}
          colorMode={options.colorMode}
          graphMode={options.graphMode}
          justifyMode={options.justifyMode}
          textMode={named ? BigValueTextMode.ValueAndName : options.textMode}
          text={options.text}
          disableWideLayout={!options.wideLayout}
          alignmentFactors={alignmentFactors}
          theme={theme}
          width={width}
          height={height}
        />
      )}
      renderCounter={0}
      itemSpacing={3}
      autoGrid
      orientation={options.orientation}
      width={width}
      height={height}
    />
  );
};

const Bars: FC<Drawing> = (drawing) => {
  const theme = useTheme2();
  const { panel, frames, width, height } = drawing;
  const { options, fieldConfig } = panel;
  const orientation =
    options.orientation !== VizOrientation.Auto
      ? options.orientation
      : width > height
        ? VizOrientation.Vertical
        : VizOrientation.Horizontal;
  return (
    <VizRepeater
      source={frames}
      getValues={useValues(drawing)}
      getAlignmentFactors={getDisplayValueAlignmentFactors}
      renderValue={({ value, width, height, count, alignmentFactors, orientation }: Repeated) => {
        const nameless = count === 1 && !fieldConfig.defaults.displayName;
        return (
          <BarGauge
            value={nameless ? { ...value.display, title: undefined } : value.display}
            field={value.field}
            display={value.view?.getFieldDisplayProcessor(value.colIndex ?? 0)}
            text={options.text}
            orientation={orientation}
            displayMode={options.displayMode}
            valueDisplayMode={options.valueMode}
            namePlacement={options.namePlacement}
            showUnfilled={options.showUnfilled}
            itemSpacing={10}
            alignmentFactors={count > 1 ? alignmentFactors : undefined}
            theme={theme}
            width={width}
            height={height}
          />
        );
      }}
      renderCounter={0}
      itemSpacing={10}
      orientation={orientation}
      // Unless sizes are given by hand, Grafana takes these.
      minVizWidth={options.sizing === 'manual' ? options.minVizWidth : 8}
      minVizHeight={options.sizing === 'manual' ? options.minVizHeight : 16}
      maxVizHeight={options.sizing === 'manual' ? options.maxVizHeight : 300}
      width={width}
      height={height}
    />
  );
};

function useValues({ panel, frames }: Drawing): () => FieldDisplay[] {
  const theme = useTheme2();
  return () =>
    getFieldDisplayValues({
      fieldConfig: panel.fieldConfig,
      reduceOptions: panel.options.reduceOptions!,
      replaceVariables: (text) => text,
      theme,
      data: frames,
      sparkline: panel.options.graphMode === 'area' || panel.options.graphMode === 'line',
      timeZone: TIME_ZONE,
    });
}

const Table: FC<Drawing> = ({ panel, frames, range, width, height }) => (
  <TableNG
    data={frames[panel.options.frameIndex ?? 0]}
    width={width}
    height={height}
    noHeader={!panel.options.showHeader}
    showTypeIcons={panel.options.showTypeIcons}
    cellHeight={panel.options.cellHeight}
    sortBy={panel.options.sortBy}
    fieldConfig={panel.fieldConfig}
    noValue={panel.fieldConfig.defaults.noValue}
    timeRange={range}
    resizable
    structureRev={1}
  />
);

export const KINDS: Record<string, FC<Drawing>> = {
  timeseries: Series,
  stat: Stat,
  bargauge: Bars,
  table: Table,
  heatmap: Heatmap,
  'state-timeline': StateTimeline,
};

/** Those that say themselves that there is nothing. */
export const OWN_EMPTINESS = new Set(['stat', 'bargauge']);
