// Applies a panel's transformations and field configuration, by Grafana's own code.
import {
  applyFieldOverrides,
  cacheFieldDisplayNames,
  type DataFrame,
  type FieldConfigPropertyItem,
  FieldConfigOptionsRegistry,
  type FieldConfigSource,
  type GrafanaTheme2,
  standardTransformers,
  standardTransformersRegistry,
  type Threshold,
  transformDataFrame,
} from '@grafana/data';
import { firstValueFrom } from 'rxjs';

import type { Panel } from './model';

// Some go by two names.
const transformers = new Map(Object.values(standardTransformers).map((one) => [one.id, one]));
standardTransformersRegistry.setInit(() =>
  [...transformers.values()].map(
    (transformation) =>
      ({ id: transformation.id, name: transformation.name, transformation: async () => transformation }) as never,
  ),
);

export const TIME_ZONE = 'utc';

/** Returns the frames as the panel shows them. */
export async function shown(
  panel: Panel,
  frames: DataFrame[],
  theme: GrafanaTheme2,
): Promise<DataFrame[]> {
  const transformed = await firstValueFrom(transformDataFrame(panel.transformations ?? [], frames));
  const applied = applyFieldOverrides({
    data: transformed,
    fieldConfig: panel.fieldConfig,
    fieldConfigRegistry: properties(panel.fieldConfig),
    replaceVariables: (text) => text,
    theme,
    timeZone: TIME_ZONE,
  });
  cacheFieldDisplayNames(applied);
  return applied;
}

/** Changes what Grafana changes when it loads a dashboard. */
export function settled(config: FieldConfigSource): FieldConfigSource {
  return JSON.parse(JSON.stringify(config), (name, value) => {
    // JSON cannot say that the lowest threshold is below all.
    if (name === 'steps') {
      return value.map((step: Threshold) => ({ ...step, value: step.value ?? -Infinity }));
    }
    // Tables were told so to hide a field, and are told like other panels since.
    if (value?.id === 'custom.hidden') {
      return { id: 'custom.hideFrom.viz', value: value.value };
    }
    return value;
  });
}

// Grafana registers every property that a kind of panel knows. Here, those are known that occur.
function properties(config: FieldConfigSource): FieldConfigOptionsRegistry {
  const ids = new Set([
    ...Object.keys(config.defaults).filter((name) => name !== 'custom'),
    ...Object.keys(config.defaults.custom ?? {}).map((name) => `custom.${name}`),
    ...config.overrides.flatMap((override) => override.properties.map(({ id }) => id)),
  ]);
  return new FieldConfigOptionsRegistry(() =>
    [...ids].map((id) => {
      const isCustom = id.startsWith('custom.');
      return {
        id,
        path: isCustom ? id.slice('custom.'.length) : id,
        isCustom,
        name: id,
        process: (value: unknown) => value,
        shouldApply: () => true,
      } as unknown as FieldConfigPropertyItem;
    }),
  );
}
