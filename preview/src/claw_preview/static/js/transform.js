// The transformations of a panel, from frames to frames.

import { fieldName, frameLength } from './frames.js';
import { CALCULATION_NAMES, reduce } from './reduce.js';

const named = (frame, name) => frame.fields.find((field) => fieldName(field) === name || field.name === name);
const rename = (field, name) => ({ ...field, config: { ...field.config, displayName: name } });
const column = (name, values) => ({ name, type: typeOf(values), values, labels: {} });

function typeOf(values) {
  const first = values.find((value) => value !== null && value !== undefined);
  return first === undefined || typeof first === 'number' ? 'number' : 'string';
}

const pickRows = (frame, rows) => ({
  ...frame,
  fields: frame.fields.map((field) => ({ ...field, values: rows.map((row) => field.values[row]) })),
});

/** A pattern as Grafana writes it: /.../flags, or the text itself. */
export function pattern(text) {
  const parts = /^\/(.*)\/([gimsuy]*)$/.exec(text);
  return parts ? new RegExp(parts[1], parts[2].replace('g', '')) : new RegExp(text);
}

/** Rows of all frames in one; rows equal in every column the frames share become one row. */
function merge(frames) {
  const full = frames.filter((frame) => frame.fields.length);
  if (full.length < 2) return full;
  const names = [...new Set(full.flatMap((frame) => frame.fields.map((field) => field.name)))];
  const shared = names.filter((name) => full.every((frame) => frame.fields.some((field) => field.name === name)));
  const rows = [];
  const byKey = new Map();
  for (const row of full.flatMap(rowsOf)) {
    const key = JSON.stringify(shared.map((name) => row[name]));
    const fitting = (byKey.get(key) ?? []).find((other) => Object.keys(row).every((name) => !(name in other) || other[name] === row[name]));
    if (fitting) Object.assign(fitting, row);
    else {
      rows.push(row);
      byKey.set(key, [...(byKey.get(key) ?? []), row]);
    }
  }
  return [{ refId: 'merge', name: '', fields: names.map((name) => fieldFrom(full, name, rows.map((row) => row[name] ?? null))) }];
}

function rowsOf(frame) {
  return Array.from({ length: frameLength(frame) }, (_none, row) => Object.fromEntries(frame.fields.map((field) => [field.name, field.values[row]])));
}

function fieldFrom(frames, name, values) {
  const origin = frames.flatMap((frame) => frame.fields).find((field) => field.name === name);
  return { ...origin, values };
}

/** Frames beside each other, matched by one column. */
function joinByField(frames, { byField, mode = 'outer' }) {
  const key = byField ?? frames[0]?.fields.find((field) => field.type === 'time')?.name;
  const joined = frames.filter((frame) => named(frame, key));
  if (!joined.length) return frames;
  const sets = joined.map((frame) => new Set(named(frame, key).values));
  const all = [...new Set(joined.flatMap((frame) => named(frame, key).values))];
  const keys = mode === 'inner' ? all.filter((value) => sets.every((set) => set.has(value))) : all;
  const columns = joined.flatMap((frame) => otherColumns(frame, key, keys));
  const keyField = named(joined[0], key);
  if (keyField.type === 'time') keys.sort((a, b) => a - b);
  return [{ refId: 'join', name: '', fields: [{ ...keyField, values: keys }, ...numbered(columns)] }];
}

function otherColumns(frame, key, keys) {
  const keyField = named(frame, key);
  const rows = new Map(keyField.values.map((value, row) => [value, row]));
  return frame.fields.filter((field) => field !== keyField).map((field) => ({
    ...field,
    values: keys.map((value) => (rows.has(value) ? field.values[rows.get(value)] : null)),
  }));
}

/** Columns of the same name get a number: "Time 1", "Time 2". */
function numbered(fields) {
  const counts = new Map();
  for (const field of fields) counts.set(fieldName(field), (counts.get(fieldName(field)) ?? 0) + 1);
  const used = new Map();
  return fields.map((field) => {
    const name = fieldName(field);
    if (counts.get(name) === 1) return field;
    used.set(name, (used.get(name) ?? 0) + 1);
    return { ...rename(field, `${name} ${used.get(name)}`), name: `${field.name} ${used.get(name)}` };
  });
}

/** Leave out, order and rename columns. */
function organize(frames, { excludeByName = {}, includeByName = {}, indexByName = {}, renameByName = {} }) {
  const by = (table, field) => table[fieldName(field)] ?? table[field.name];
  const only = Object.values(includeByName).some(Boolean);
  return frames.map((frame) => {
    const kept = frame.fields.filter((field) => !by(excludeByName, field) && (!only || by(includeByName, field)));
    const place = new Map(kept.map((field, index) => [field, by(indexByName, field) ?? 1000 + index]));
    const ordered = [...kept].sort((a, b) => place.get(a) - place.get(b));
    return { ...frame, fields: ordered.map((field) => (by(renameByName, field) ? rename(field, by(renameByName, field)) : field)) };
  });
}

function filterFieldsByName(frames, { include, exclude }) {
  const matches = (rule, field) =>
    Boolean(rule?.names?.includes(fieldName(field)) || (rule?.pattern && pattern(rule.pattern).test(fieldName(field))));
  const keep = (field) => (!include || matches(include, field)) && !(exclude && matches(exclude, field));
  return frames.map((frame) => ({ ...frame, fields: frame.fields.filter(keep) })).filter((frame) => frame.fields.length);
}

function renameByRegex(frames, { regex, renamePattern }) {
  const change = (field) => rename(field, fieldName(field).replace(pattern(regex), renamePattern));
  return frames.map((frame) => ({ ...frame, fields: frame.fields.map((field) => (pattern(regex).test(fieldName(field)) ? change(field) : field)) }));
}

function sortBy(frames, { sort: [rule] = [] }) {
  return frames.map((frame) => {
    const field = rule && named(frame, rule.field);
    if (!field) return frame;
    const rows = field.values.map((_value, row) => row);
    rows.sort((a, b) => compare(field.values[a], field.values[b]) * (rule.desc ? -1 : 1));
    return pickRows(frame, rows);
  });
}

/** Order of two cells; nothing comes before everything. */
export function compare(a, b) {
  if (a === b) return 0;
  if (a === null || a === undefined) return -1;
  if (b === null || b === undefined) return 1;
  return typeof a === 'number' && typeof b === 'number' ? a - b : String(a).localeCompare(String(b), undefined, { numeric: true });
}

const limit = (frames, { limitField = 10 }) =>
  frames.map((frame) => pickRows(frame, [...Array(Math.min(Number(limitField), frameLength(frame))).keys()]));

/** One row per series: its name (or labels) and its calculations. */
function reduceRows(frames, { reducers = ['max'], mode = 'seriesToRows', labelsToFields: withLabels = false }) {
  if (mode === 'reduceFields') {
    const reduced = (field) => ({ ...field, values: [reduce(field.values, reducers[0])] });
    return frames.map((frame) => ({ ...frame, fields: frame.fields.filter((field) => field.type === 'number').map(reduced) }));
  }
  const fields = frames.flatMap((frame) => frame.fields.filter((field) => field.type === 'number'));
  const labels = withLabels ? [...new Set(fields.flatMap((field) => Object.keys(field.labels)))] : [];
  return [{
    refId: 'reduce',
    name: '',
    fields: [
      column('Field', fields.map(fieldName)),
      ...labels.map((label) => column(label, fields.map((field) => field.labels[label] ?? ''))),
      ...reducers.map((reducer) => column(CALCULATION_NAMES[reducer] ?? reducer, fields.map((field) => reduce(field.values, reducer)))),
    ],
  }];
}

/** Labels of each series become columns. */
function labelsToFields(frames, { valueLabel, keepLabels }) {
  return frames.map((frame) => {
    const [time, value] = frame.fields;
    if (!value) return frame;
    const labels = Object.entries(value.labels).filter(([label]) => label !== valueLabel && (!keepLabels || keepLabels.includes(label)));
    const cells = labels.map(([label, text]) => column(label, value.values.map(() => text)));
    const name = value.labels[valueLabel] ?? value.name;
    return { ...frame, series: false, fields: [time, ...cells, { ...value, name, displayName: undefined, labels: {} }] };
  });
}

const OPERATORS = { '+': (a, b) => a + b, '-': (a, b) => a - b, '*': (a, b) => a * b, '/': (a, b) => a / b };

/** A further column, from two columns or from all numbers of a row. */
function calculateField(frames, { mode = 'reduceRow', binary, reduce: rule = {}, alias, replaceFields }) {
  return frames.map((frame) => {
    const rows = Array.from({ length: frameLength(frame) }, (_none, row) => row);
    const values = mode === 'binary' ? rows.map((row) => binaryCell(frame, binary, row)) : rows.map((row) => reduceRow(frame, rule, row));
    const name = alias || (mode === 'binary' ? `${binary.left} ${binary.operator} ${binary.right}` : CALCULATION_NAMES[rule.reducer] ?? 'Total');
    const kept = replaceFields ? frame.fields.filter((field) => field.type === 'time') : frame.fields;
    return { ...frame, fields: [...kept, column(name, values)] };
  });
}

function binaryCell(frame, { left, operator, right }, row) {
  const operand = (side) => {
    const { matcher, fixed } = typeof side === 'object' ? side : { matcher: { options: side }, fixed: side };
    const field = named(frame, matcher?.options);
    return field ? field.values[row] : Number(fixed);
  };
  const result = OPERATORS[operator](operand(left), operand(right));
  return Number.isFinite(result) ? result : null;
}

function reduceRow(frame, { reducer = 'sum', include }, row) {
  const fields = frame.fields.filter((field) => field.type === 'number' && (!include?.length || include.includes(fieldName(field))));
  return reduce(fields.map((field) => field.values[row]), reducer);
}

/** Rows of equal cells become one, the other columns calculated. */
function groupBy(frames, { fields: rules = {} }) {
  return frames.map((frame) => {
    const keys = frame.fields.filter((field) => rules[fieldName(field)]?.operation === 'groupby');
    const groups = Map.groupBy([...Array(frameLength(frame)).keys()], (row) => JSON.stringify(keys.map((field) => field.values[row])));
    const rows = [...groups.values()];
    const aggregated = frame.fields.flatMap((field) => (rules[fieldName(field)]?.aggregations ?? []).map((calculation) =>
      column(`${fieldName(field)} (${calculation})`, rows.map((group) => reduce(group.map((row) => field.values[row]), calculation)))));
    return { ...frame, fields: [...keys.map((field) => ({ ...field, values: rows.map(([row]) => field.values[row]) })), ...aggregated] };
  });
}

const TESTS = {
  greater: (cell, { value }) => cell > Number(value),
  greaterOrEqual: (cell, { value }) => cell >= Number(value),
  lower: (cell, { value }) => cell < Number(value),
  lowerOrEqual: (cell, { value }) => cell <= Number(value),
  equal: (cell, { value }) => String(cell) === String(value),
  notEqual: (cell, { value }) => String(cell) !== String(value),
  regex: (cell, { value }) => new RegExp(value).test(String(cell)),
  isNull: (cell) => cell === null || cell === undefined,
  isNotNull: (cell) => cell !== null && cell !== undefined,
  range: (cell, { from, to }) => cell >= from && cell <= to,
};

function filterByValue(frames, { filters = [], match = 'any', type = 'include' }) {
  return frames.map((frame) => {
    const holds = (row) => (rule) => TESTS[rule.config?.id]?.(named(frame, rule.fieldName)?.values[row], rule.config.options ?? {}) ?? true;
    const fits = (row) => (match === 'all' ? filters.every(holds(row)) : filters.some(holds(row)));
    return pickRows(frame, [...Array(frameLength(frame)).keys()].filter((row) => fits(row) === (type === 'include')));
  });
}

export const TRANSFORMATIONS = {
  merge, organize, joinByField, seriesToColumns: joinByField, filterFieldsByName, renameByRegex, sortBy, limit, reduce: reduceRows,
  labelsToFields, calculateField, groupBy, filterByValue,
};

/** Apply a panel's transformations; gives the frames and a note on each one that is not known here. */
export function transform(frames, steps = []) {
  const notes = [];
  let result = frames;
  for (const step of steps.filter(({ disabled }) => !disabled)) {
    const apply = TRANSFORMATIONS[step.id];
    const chosen = step.filter ? result.filter((frame) => new RegExp(step.filter.options || '.*').test(frame.refId)) : result;
    const others = step.filter ? result.filter((frame) => !chosen.includes(frame)) : [];
    if (apply) result = [...apply(chosen, step.options ?? {}), ...others];
    else notes.push(`The transformation "${step.id}" is not applied here; Grafana does.`);
  }
  return { frames: result, notes };
}
