// How values spread over time: one line per bucket, brighter where more are.

import { annotationMarks, annotationShapes, MARK_AXIS } from '../annotations.js';
import { axisRoom, chartArea, LABELS, plain, plot, timeAxis } from '../chart.js';
import { blend, SCHEMES } from '../colors.js';
import { h } from '../dom.js';
import { displayText, seriesOf } from '../fields.js';
import { plotTime } from '../time.js';
import { formatValue } from '../units.js';

const STEPS = 24;
/** How much of the width names may take. */
const LABEL_SHARE = 0.34;

export async function draw(body, view) {
  const series = seriesOf(view.frames);
  const least = view.panel.options?.filterValues?.le ?? 1e-9;
  const visible = (value) => typeof value === 'number' && Math.abs(value) > least;
  if (!series.some(({ field }) => field.values.some(visible))) return 'empty';
  const rows = withoutEmptyEnds(series.map((item, index) => row(item, index, series, view.panel.options ?? {})), visible);
  const area = chartArea(body, view.panel.options?.legend?.show === false ? null : scale(rows, visible, view));
  await plot(area, [cells(rows, visible, view, area), ...annotationMarks(view)], layout(rows, view, area));
  return 'drawn';
}

/** Buckets nobody ever hit, above the highest and below the lowest used, only take room; one of each stays. */
function withoutEmptyEnds(rows, visible) {
  const used = rows.map(({ field }) => field.labels.le === undefined || field.values.some(visible));
  return rows.slice(Math.max(0, used.indexOf(true) - 1), used.lastIndexOf(true) + 2);
}

/** A line of the map; a bucket is named by its bounds. */
function row({ name, times, field }, index, all, { yAxis = {} }) {
  const bound = field.labels.le;
  if (bound === undefined) return { name, label: name, times, field };
  const text = (le) => (le === '+Inf' ? '∞' : formatValue(Number(le), yAxis.unit, yAxis.decimals));
  const below = all[index - 1]?.field.labels.le;
  return { name: `${below === undefined ? '0' : text(below)} – ${text(bound)}`, label: text(bound), times, field };
}

/** Which colour is how much: a strip from the least to the most that is shown. */
function scale(rows, visible, view) {
  const values = rows.flatMap(({ field }) => field.values.filter(visible));
  const text = (value) => cellText(value, rows[0].field, view);
  const colors = schemeOf(view).join(', ');
  return h('div', { class: 'legend scale' }, text(Math.min(...values)), h('i', { style: { background: `linear-gradient(90deg, ${colors})` } }), text(Math.max(...values)));
}

function schemeOf({ panel }) {
  const { scheme, reverse } = panel.options?.color ?? {};
  const colors = SCHEMES[scheme] ?? SCHEMES.Oranges;
  return reverse ? [...colors].reverse() : colors;
}

function cells(rows, visible, view, area) {
  const { color = {}, cellGap = 1 } = view.panel.options ?? {};
  const power = color.scale === 'linear' ? 1 : color.exponent ?? 0.5;
  return {
    type: 'heatmap',
    x: rows[0].times.map(plotTime),
    y: rows.map((_row, index) => index),
    // The scale is bent here, since the chart library has straight ones only.
    z: rows.map(({ field }) => field.values.map((value) => (visible(value) ? value ** power : null))),
    customdata: rows.map(({ name, field }) => field.values.map((value) => `${plain(name)}: <b>${plain(cellText(value, field, view))}</b>`)),
    hovertemplate: '%{x|%H:%M:%S}<br>%{customdata}<extra></extra>',
    colorscale: Array.from({ length: STEPS + 1 }, (_none, step) => [step / STEPS, blend(schemeOf(view), step / STEPS)]),
    showscale: false,
    // Cells that are hardly wider than a gap would vanish in it.
    xgap: area.clientWidth / rows[0].times.length > 5 ? Math.min(1, cellGap) : 0,
    ygap: area.clientHeight / rows.length > 5 ? Math.min(1, cellGap) : 0,
    hoverongaps: false,
  };
}

function layout(rows, view, area) {
  const every = Math.max(1, Math.ceil(rows.length / Math.max(2, area.clientHeight / 20)));
  const marks = rows.map((_row, index) => index).filter((index) => index % every === 0);
  const texts = marks.map((index) => shortened(rows[index].label, Math.floor((area.clientWidth * LABEL_SHARE) / 6.6)));
  const axis = {
    tickvals: marks, ticktext: texts, ...LABELS, fixedrange: true, showgrid: false, zeroline: false, range: [-0.5, rows.length - 0.5],
    longest: Math.max(...texts.map((text) => text.length)),
  };
  const margin = { l: axisRoom(axis), r: 10, t: 8, b: 22 };
  const xaxis = { ...timeAxis(view.range, area.clientWidth - margin.l), showgrid: false };
  return { margin, hovermode: 'closest', xaxis, yaxis: axis, ...MARK_AXIS, shapes: annotationShapes(view, 'above') };
}

function cellText(value, field, { panel }) {
  const { unit, decimals } = panel.options?.cellValues ?? {};
  return unit && value !== null ? formatValue(value, unit, decimals) : displayText(value, field);
}

/** Names of routes differ at their end. */
const shortened = (text, most) => (text.length > most ? `…${text.slice(1 - most)}` : text);
