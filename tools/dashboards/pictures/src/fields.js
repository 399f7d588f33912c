/**
 * The field options that every Grafana panel has, without their editors: Grafana's server brings these, its libraries do not.
 *
 * In: nothing. Out: registries that `applyFieldOverrides` and `transformDataFrame` read.
 * Pure: no I/O.
 */
import {
  FieldColorModeId, dataLinksOverrideProcessor, displayNameOverrideProcessor, identityOverrideProcessor, numberOverrideProcessor,
  standardFieldConfigEditorRegistry, standardTransformers, standardTransformersRegistry, thresholdsOverrideProcessor, unitOverrideProcessor, valueMappingsOverrideProcessor,
} from '@grafana/data';

const option = (path, process, more = {}) => ({ id: path, path, name: path, editor: () => null, override: () => null, settings: {}, shouldApply: () => true, process, ...more });
/** What panels keep below `custom`. */
const CUSTOM = ['drawStyle', 'lineInterpolation', 'lineWidth', 'fillOpacity', 'showPoints', 'spanNulls', 'axisSoftMax', 'gradientMode', 'axisPlacement', 'axisLabel', 'stacking', 'thresholdsStyle', 'lineStyle',
  'align', 'cellOptions', 'inspect', 'filterable', 'hidden', 'width'];

export function register() {
  standardFieldConfigEditorRegistry.setInit(() => [
    option('unit', unitOverrideProcessor), option('min', numberOverrideProcessor), option('max', numberOverrideProcessor), option('decimals', numberOverrideProcessor),
    option('displayName', displayNameOverrideProcessor), option('noValue', identityOverrideProcessor), option('color', identityOverrideProcessor, { defaultValue: { mode: FieldColorModeId.Thresholds } }),
    option('thresholds', thresholdsOverrideProcessor), option('mappings', valueMappingsOverrideProcessor), option('links', dataLinksOverrideProcessor, { shouldApply: () => true }),
    ...CUSTOM.map((name) => option(`custom.${name}`, identityOverrideProcessor, { path: name, isCustom: true })),
  ]);
  // Two names stand for one transformation.
  const each = [...new Map(Object.values(standardTransformers).map((one) => [one.id, one])).values()];
  standardTransformersRegistry.setInit(() => each.map((transformation) => ({ id: transformation.id, name: transformation.name, transformation: async () => transformation, editor: () => null })));
}
