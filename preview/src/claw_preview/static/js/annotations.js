// What happened (alerts, restarts, new versions): asked once for all panels, drawn on every time axis; each kind can be left out.

import { queryRange } from './api.js';
import { cssColor, withAlpha } from './colors.js';
import { legendName } from './frames.js';
import { parseDuration, plotTime } from './time.js';
import { interpolate, makeScope, withIntervals } from './variables.js';

/** Of more marks than this only the newest are drawn; a line a pixel hides what it explains. */
const MOST = 150;

/** The kinds a dashboard has: [{name, color, on, hidden, json}]; `on` is what the reader wants to see. */
export function readKinds(dashboard) {
  return (dashboard.annotations?.list ?? []).filter(({ expr, datasource }) => expr && datasource?.type !== 'loki')
    .map((json) => ({ name: json.name, color: cssColor(json.iconColor), on: Boolean(json.enable), hidden: Boolean(json.hide), json }));
}

/** Spans in which the expressions of `kinds` have a value, oldest first: [{kind, color, from, to, text}]. */
export async function loadAnnotations(kinds, { variables, range, signal }) {
  const scope = makeScope(variables, range);
  const spans = await Promise.all(kinds.filter(({ on }) => on).map((kind) => ask(kind, { scope, range, signal })));
  return spans.flat().sort((a, b) => a.from - b.from).slice(-MOST);
}

async function ask({ name, color, json }, { scope, range, signal }) {
  const stepMs = Math.max(parseDuration(json.step) || 60_000, (range.to - range.from) / 1000);
  const scoped = withIntervals(scope, { stepMs, rateMs: stepMs * 4 });
  const seconds = { start: range.from / 1000, end: range.to / 1000, step: stepMs / 1000 };
  const data = await queryRange(interpolate(json.expr, scoped, 'prometheus'), { ...seconds, signal });
  const spansOf = json.useValueForTime ? moments : runs;
  return data.result.flatMap(({ metric, values }) =>
    spansOf(values, { stepMs, range }).map((span) => ({ ...span, kind: name, color, text: describe(json, metric) })));
}

function describe({ name, titleFormat, textFormat }, metric) {
  const parts = [titleFormat || name, textFormat].filter(Boolean).map((format) => legendName(metric, format, name).replace(/\s+/g, ' ').trim());
  return parts.filter(Boolean).join(': ');
}

/** Values beside each other are one span. */
export function runs(values, { stepMs }) {
  const spans = [];
  for (const [at, value] of values.filter(([, number]) => Number(number) > 0)) {
    const last = spans.at(-1);
    if (last && at * 1000 - last.to <= stepMs * 1.5) last.to = at * 1000;
    else spans.push({ from: at * 1000, to: at * 1000 });
  }
  return spans;
}

/** Each value is itself a time, in milliseconds. */
function moments(values, { range }) {
  const times = [...new Set(values.map(([, value]) => Number(value)))];
  return times.filter((time) => time >= range.from && time <= range.to).map((time) => ({ from: time, to: time }));
}

/** Bands and lines for a chart; `layer` is above where cells would cover them. */
export function annotationShapes({ annotations = [] }, layer = 'below') {
  const common = { yref: 'paper', y0: 0, y1: 1, layer };
  const band = ({ from, to, color }) =>
    ({ ...common, type: 'rect', x0: plotTime(from), x1: plotTime(to), fillcolor: withAlpha(color, 0.07), line: { width: 0 } });
  const start = ({ from, color }) =>
    ({ ...common, type: 'line', x0: plotTime(from), x1: plotTime(from), line: { color: withAlpha(color, 0.8), width: 1, dash: 'dot' } });
  return [...united(annotations).map(band), ...annotations.map(start)];
}

/** Spans of one kind that overlap are shaded once: ten alerts must not hide the lines. */
export function united(annotations) {
  const spans = [];
  for (const { kind, from, to, color } of [...annotations].sort((a, b) => a.from - b.from)) {
    if (to <= from) continue;
    const last = spans.findLast((span) => span.kind === kind);
    if (last && from <= last.to) last.to = Math.max(last.to, to);
    else spans.push({ kind, from, to, color });
  }
  return spans;
}

/** The axis that the marks stand on, whatever the values beside them are. */
export const MARK_AXIS = { yaxis9: { range: [0, 1], overlaying: 'y', visible: false, fixedrange: true } };

/** A small mark at the foot of each. */
export function annotationMarks({ annotations = [] }) {
  if (!annotations.length) return [];
  return [{
    type: 'scatter',
    mode: 'markers',
    name: '',
    yaxis: 'y9',
    x: annotations.map(({ from }) => plotTime(from)),
    y: annotations.map(() => 0.03),
    hovertext: annotations.map(({ text }) => text.replace(/&/g, '&amp;').replace(/</g, '&lt;')),
    hovertemplate: '%{x|%H:%M:%S}<br>%{hovertext}<extra></extra>',
    marker: { symbol: 'triangle-up', size: 8, color: annotations.map(({ color }) => color) },
  }];
}
