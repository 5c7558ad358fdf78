// How a column is shown: defaults and overrides of the panel, value mappings, colour.

import { valueColor } from './colors.js';
import { fieldName } from './frames.js';
import { reduce } from './reduce.js';
import { pattern } from './transform.js';
import { formatParts } from './units.js';

export const MATCHERS = {
  byName: (field, _frame, name) => fieldName(field) === name || field.name === name,
  byNames: (field, _frame, { names = [], mode }) => names.includes(fieldName(field)) !== (mode === 'exclude'),
  byRegexp: (field, _frame, text) => pattern(text).test(fieldName(field)),
  byType: (field, _frame, type) => field.type === type,
  byFrameRefID: (_field, frame, refId) => frame.refId === refId,
};

/** The configuration of one column; later overrides win. `custom.x` sets into custom. */
export function fieldConfig(field, frame, { defaults = {}, overrides = [] } = {}) {
  const config = { ...defaults, ...field.config, custom: { ...defaults.custom } };
  for (const { matcher, properties = [] } of overrides) {
    if (!MATCHERS[matcher?.id]?.(field, frame, matcher.options)) continue;
    for (const { id, value } of properties) {
      if (id.startsWith('custom.')) config.custom[id.slice(7)] = value;
      else config[id] = value;
    }
  }
  if (config.displayName) config.displayName = templated(config.displayName, field);
  return config;
}

const templated = (text, field) =>
  text.replace(/\$\{__field\.labels\.([\w-]+)\}/g, (_whole, label) => field.labels[label] ?? '')
    .replace(/\$\{__field\.name\}/g, field.name).replace(/\$\{__series\.name\}/g, field.displayName ?? field.name);

/** Frames whose columns carry their configuration. */
export function configure(frames, settings) {
  return frames.map((frame) => ({
    ...frame,
    fields: frame.fields.map((field) => ({ ...field, config: fieldConfig(field, frame, settings) })),
  }));
}

// Value mappings by type: does it fit, and with which result?
export const MAPPINGS = {
  value: (value, options) => options[String(value)],
  range: (value, { from, to, result }) =>
    (typeof value === 'number' && value >= (from ?? -Infinity) && value <= (to ?? Infinity) ? result : undefined),
  regex: (value, { pattern: text, result }) => (pattern(text).test(String(value)) ? result : undefined),
  special: (value, { match, result }) => (isSpecial(value, match) ? result : undefined),
};

function isSpecial(value, match) {
  const nothing = value === null || value === undefined;
  const tests = { null: nothing, nan: nothing, 'null+nan': nothing, true: value === true, false: value === false, empty: value === '' };
  return tests[match] ?? false;
}

/** The mapping result {text, color} of a value, if one fits. */
export function mapping(value, config) {
  for (const { type, options } of config.mappings ?? []) {
    const found = MAPPINGS[type]?.(value, options ?? {});
    if (found) return found;
  }
  return undefined;
}

/** One value of a column, ready to be shown: {prefix, text, suffix, color, value}. */
export function display(value, field, { index = 0, bounds } = {}) {
  const config = field.config ?? {};
  const mapped = mapping(value, config);
  const color = valueColor(value, config, { index, mapped, bounds: bounds ?? fieldBounds([field]) });
  if (mapped?.text) return { prefix: '', text: mapped.text, suffix: '', color, value };
  if (value === null || value === undefined) return { prefix: '', text: config.noValue ?? '–', suffix: '', color: 'var(--faint)', value: null };
  if (typeof value !== 'number') return { prefix: '', text: String(value), suffix: '', color, value };
  return { ...formatParts(value, config.unit, config.decimals), color, value };
}

/** The same as one text. */
export function displayText(value, field) {
  const { prefix, text, suffix } = display(value, field);
  return prefix + text + suffix;
}

/** Lowest and highest value of columns: as configured, else as found. */
export function fieldBounds(fields) {
  const limits = (name, pick) => {
    const set = fields.map((field) => field.config?.[name]).filter((value) => typeof value === 'number');
    if (set.length) return pick(...set);
    let found;
    for (const value of fields.flatMap((field) => field.values)) {
      if (typeof value === 'number' && Number.isFinite(value)) found = found === undefined ? value : pick(found, value);
    }
    return found;
  };
  return { min: limits('min', Math.min) ?? 0, max: limits('max', Math.max) ?? 100 };
}

/**
 * Ends of a scale a value is a share of: as configured; else 0 to 1 or 100 for shares; else 0 to the highest of `found`.
 */
export function scaleOf(field, found = fieldBounds([field])) {
  const natural = { percentunit: 1, percent: 100 }[field.config?.unit] ?? found.max;
  return { min: field.config?.min ?? Math.min(0, found.min), max: field.config?.max ?? natural };
}

/** Where a value is on a scale, 0-1; nothing is at its beginning. */
export const shareOf = (value, { min, max }) => Math.min(1, Math.max(0, ((value ?? min) - min) / (max - min || 1)));

const isSeries = (frame) => frame.series || (frame.fields[0]?.type === 'time' && frame.fields.some((field) => field.type === 'number'));

/** All series of the frames: [{name, refId, times, field}]. */
export function seriesOf(frames) {
  return frames.filter(isSeries).flatMap((frame) => {
    const time = frame.fields.find((field) => field.type === 'time');
    return frame.fields.filter((field) => field.type === 'number' && !field.config?.custom?.hideFrom?.viz)
      .map((field) => ({ name: fieldName(field), refId: frame.refId, times: time.values, field }));
  });
}

/** What stat, gauge, bar gauge and pie show: one value per series, or per row: [{name, value, field, values, shown}]. */
export function singleValues(frames, { reduceOptions = {} } = {}) {
  const { calcs = ['lastNotNull'], fields: wanted = '', values: everyRow = false, limit = 25 } = reduceOptions;
  const chosen = (field) => (wanted ? pattern(wanted).test(fieldName(field)) : field.type === 'number');
  const items = frames.flatMap((frame) => {
    const names = frame.fields.find((field) => field.type === 'string' && !chosen(field));
    return frame.fields.filter((field) => chosen(field) && !field.config?.custom?.hideFrom?.viz).flatMap((field) => {
      if (everyRow) {
        const nameOf = (row) => (names ? String(names.values[row]) : fieldName(field));
        return field.values.slice(0, limit).map((value, row) => ({ name: nameOf(row), value, field, row, values: [] }));
      }
      return [{ name: fieldName(field), value: reduce(field.values, calcs[0]), field, values: field.values }];
    });
  });
  return items.map((item, index) => ({ ...item, shown: display(item.value, item.field, { index }) }));
}
