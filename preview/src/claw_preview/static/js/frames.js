// Prometheus' answers as tables (frames) of named columns (fields), the form panels and transformations work on.
//
// frame: { refId, name, fields: [field], series? }     field: { name, type, values, labels, displayName?, config? }

import { interpolate } from './variables.js';

const number = (text) => (text === 'NaN' ? null : text === '+Inf' ? Infinity : text === '-Inf' ? -Infinity : Number(text));

/** Name of a series by a legend format such as "{{job}} {{method}}"; "__auto" or none names what it has. */
export function legendName(metric, format, expr, scope = new Map()) {
  if (format && format !== '__auto') {
    return interpolate(format, scope, 'title').replace(/\{\{\s*(.+?)\s*\}\}/g, (_whole, label) => metric[label] ?? '');
  }
  const labels = Object.entries(metric).filter(([label]) => label !== '__name__');
  if (format === '__auto' && labels.length === 1) return labels[0][1];
  const list = labels.map(([label, value]) => `${label}="${value}"`).join(', ');
  if (!list) return metric.__name__ ?? expr;
  return `${metric.__name__ ?? ''}{${list}}`;
}

/** Frames of one query. `target` is the query's JSON, `context` {expr, scope, range, stepMs, many}. */
export function toFrames(data, target, context) {
  if (data.resultType === 'streams') return [linesFrame(data.result, target)];
  const series = toSeries(data, context);
  const format = target.format ?? 'time_series';
  if (format === 'table') return [tableFrame(series, target, context)];
  const frames = series.map((item) => seriesFrame(item, target, context));
  return format === 'heatmap' ? bucketFrames(frames) : frames;
}

/** Every kind of answer as [{metric, times (ms), values}]; a range is put on its grid, with null where nothing is. */
function toSeries({ resultType, result }, context) {
  if (resultType === 'matrix') return result.map(({ metric, values }) => ({ metric, ...onGrid(values ?? [], context) }));
  if (resultType === 'vector') return result.map(({ metric, value }) => ({ metric, times: [value[0] * 1000], values: [number(value[1])] }));
  return [{ metric: {}, times: [result[0] * 1000], values: [number(result[1])] }];
}

function onGrid(samples, { range, stepMs }) {
  const count = Math.floor((range.to - range.from) / stepMs) + 1;
  const values = new Array(count).fill(null);
  for (const [at, value] of samples) values[Math.round((at * 1000 - range.from) / stepMs)] = number(value);
  return { times: values.map((_value, index) => range.from + index * stepMs), values };
}

/** Log lines of all streams, newest first: when, what, and the labels of their stream. */
function linesFrame(result, target) {
  const lines = result.flatMap(({ stream, values }) => values.map(([nanoseconds, line]) => ({ time: Number(nanoseconds) / 1e6, line, labels: stream })));
  lines.sort((a, b) => b.time - a.time);
  const column = (name, type, pick) => ({ name, type, values: lines.map(pick), labels: {} });
  return {
    refId: target.refId,
    name: target.refId,
    lines: true,
    fields: [
      column('Time', 'time', ({ time }) => time), column('Line', 'string', ({ line }) => line), column('labels', 'other', ({ labels }) => labels),
    ],
  };
}

function seriesFrame({ metric, times, values }, target, { expr, scope }) {
  const name = legendName(metric, target.legendFormat, expr, scope);
  return {
    refId: target.refId,
    name,
    series: true,
    fields: [
      { name: 'Time', type: 'time', values: times, labels: {} },
      { name: 'Value', type: 'number', values, labels: metric, displayName: name },
    ],
  };
}

function tableFrame(series, target, { many }) {
  const labels = [...new Set(series.flatMap(({ metric }) => Object.keys(metric)))].sort();
  const rows = series.flatMap(({ metric, times, values }) => times.map((time, index) => ({ metric, time, value: values[index] })));
  return {
    refId: target.refId,
    name: target.refId,
    fields: [
      { name: 'Time', type: 'time', values: rows.map((row) => row.time), labels: {} },
      ...labels.map((label) => ({ name: label, type: 'string', values: rows.map((row) => row.metric[label] ?? ''), labels: {} })),
      { name: many ? `Value #${target.refId}` : 'Value', type: 'number', values: rows.map((row) => row.value), labels: {} },
    ],
  };
}

/** Cumulative `le` series become counts of their own bucket, smallest bound first. */
export function bucketFrames(frames) {
  const bound = (frame) => number(frame.fields[1].labels.le ?? 'NaN');
  const sorted = frames.filter((frame) => bound(frame) !== null).sort((a, b) => bound(a) - bound(b));
  return sorted.map((frame, index) => {
    if (index === 0) return frame;
    const below = sorted[index - 1].fields[1].values;
    const values = frame.fields[1].values.map((value, at) => (value === null ? null : Math.max(0, value - (below[at] ?? 0))));
    return { ...frame, fields: [frame.fields[0], { ...frame.fields[1], values }] };
  });
}

/** Name shown for a field. */
export function fieldName(field) {
  return field.config?.displayName || field.displayName || field.name;
}

/** Number of rows. */
export const frameLength = (frame) => frame.fields[0]?.values.length ?? 0;
