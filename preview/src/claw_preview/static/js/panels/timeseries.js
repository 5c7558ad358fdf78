// Lines, bars and points over time.

import { annotationMarks, annotationShapes, MARK_AXIS } from '../annotations.js';
import { axisRoom, chartArea, padded, plain, plot, timeAxis, valueAxis, withEdges } from '../chart.js';
import { valueColor, withAlpha } from '../colors.js';
import { seriesOf } from '../fields.js';
import { attachHover } from '../hover.js';
import { legend } from '../legend.js';
import { valueLinks } from '../links.js';
import { reduce } from '../reduce.js';
import { plotTime } from '../time.js';

const SHAPES = { linear: 'linear', smooth: 'spline', stepBefore: 'vh', stepAfter: 'hv' };
const DASHES = { dash: 'dash', dot: 'dot', solid: 'solid' };

/** Strokes and gaps in pixels, as given or by name; one number is both. */
function dashOf({ lineStyle: { fill, dash } = {} }) {
  if (fill !== 'dash' || !dash?.length) return DASHES[fill] ?? 'solid';
  return (dash.length === 1 ? [dash[0], dash[0]] : dash).map((length) => `${length}px`).join(',');
}

export async function draw(body, view) {
  const series = prepare(seriesOf(view.frames));
  if (!series.length) return 'empty';
  const options = view.panel.options ?? {};
  const legendOptions = options.legend ?? {};
  const items = series.map((item) => ({ ...item, values: item.field.values }));
  const area = chartArea(body, legend(items, legendOptions, view.memory, view.redraw), legendOptions.placement);
  const shown = series.filter((item) => !view.memory.hidden.has(item.name));
  const axes = makeAxes(shown, area);
  const frame = layout(view, shown, axes, area);
  await plot(area, [...shown.flatMap((item) => pieces(item, shown).map((piece) => trace(piece, axes))), ...annotationMarks(view)], frame);
  attachHover(area, hoverView(view, shown, axes, frame));
  return 'drawn';
}

function hoverView({ panel, range, annotations = [], scope, address }, shown, axes, { margin }) {
  const items = shown.map((item) => ({ ...item, right: axes.isRight(item) }));
  const linksOf = ({ times, field }, row) =>
    valueLinks(field, { scope, address, row, fields: [{ name: 'Time', type: 'time', values: times, labels: {} }, field] });
  return { range, margin, axes, items, annotations, linksOf, ...panel.options?.tooltip };
}

function prepare(series) {
  return series.filter(({ field }) => field.values.some((value) => value !== null && value !== undefined)).map((item, index) => {
    const { config } = item.field;
    const custom = config.custom ?? {};
    const last = reduce(item.field.values, 'lastNotNull');
    const color = valueColor(last, { ...config, color: config.color ?? { mode: 'palette-classic' } }, { index });
    const sign = custom.transform === 'negative-Y' ? -1 : 1;
    const stack = custom.stacking?.mode && custom.stacking.mode !== 'none' ? custom.stacking.mode : null;
    return { ...item, index, custom, color, stack, data: item.field.values.map((value) => finite(value, sign)) };
  });
}

const finite = (value, sign) => (typeof value === 'number' && Number.isFinite(value) ? value * sign : null);

/** Series of one unit share an axis: the first unit stands left, others right. */
function makeAxes(series, area) {
  const first = series[0]?.field.config.unit;
  const isRight = ({ custom, field }) =>
    custom.axisPlacement === 'right' || (custom.axisPlacement !== 'left' && field.config.unit !== first);
  const sides = { left: series.filter((item) => !isRight(item)), right: series.filter(isRight) };
  const make = (members) => (members.length ? valueAxis(extent(members), area.clientHeight, axisOptions(members[0])) : null);
  return { isRight, left: make(sides.left), right: make(sides.right) };
}

const axisOptions = ({ field: { config }, custom }) => ({ unit: config.unit, decimals: config.decimals, title: custom.axisLabel });

function extent(members) {
  const { config } = members[0].field;
  const { axisSoftMin, axisSoftMax } = members[0].custom;
  if (members.every(({ stack }) => stack === 'percent')) return [0, 1];
  const totals = members.some(({ stack }) => stack) ? stackTotals(members) : members.flatMap(({ data }) => data);
  let [low, high] = [Infinity, -Infinity];
  for (const value of totals) {
    if (value === null) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (Number.isFinite(low)) {
    low = Math.min(low, axisSoftMin ?? low);
    high = Math.max(high, axisSoftMax ?? high);
  }
  const fromZero = members.some(({ stack, custom }) => stack || custom.drawStyle === 'bars');
  return padded(low, high, { min: config.min, max: config.max, fromZero });
}

function stackTotals(members) {
  const sums = { positive: new Map(), negative: new Map() };
  for (const { times, data } of members) {
    data.forEach((value, row) => {
      if (value === null) return;
      const side = value < 0 ? sums.negative : sums.positive;
      side.set(times[row], (side.get(times[row]) ?? 0) + value);
    });
  }
  return [...sums.positive.values(), ...sums.negative.values()];
}

/**
 * What is filled is drawn piece by piece, since the chart library fills across gaps. Stacked series break where none of
 * them has a value; where only some have, the others count as zero.
 */
function pieces(item, all) {
  const { custom, stack, data } = item;
  if (custom.spanNulls || custom.drawStyle === 'bars' || (!stack && !custom.fillOpacity)) return [item];
  const together = stack ? all.filter((other) => other.stack && other.data.length === data.length) : [item];
  const known = data.map((_value, row) => together.some((other) => other.data[row] !== null));
  return runsOf(known).map(([from, end], index) => ({ ...item, run: index, data: data.slice(from, end), times: item.times.slice(from, end) }));
}

/** Spans [from, end) in which a list is true. */
function runsOf(known) {
  const starts = known.flatMap((yes, row) => (yes && !known[row - 1] ? [row] : []));
  const ends = known.flatMap((yes, row) => (yes && !known[row + 1] ? [row + 1] : []));
  return starts.map((from, index) => [from, ends[index]]);
}

function trace(item, axes) {
  const { name, times, data, color, custom, stack } = item;
  const common = {
    name: plain(name),
    x: times.map(plotTime),
    y: data,
    yaxis: axes.isRight(item) ? 'y2' : 'y',
  };
  if (custom.drawStyle === 'bars') {
    const filled = withAlpha(color, Math.max(0.15, (custom.fillOpacity ?? 80) / 100));
    return { ...common, type: 'bar', marker: { color: filled, line: { color, width: 0.5 } } };
  }
  return { ...common, type: 'scatter', ...strokes(item), ...filling(item), ...(stack ? stacking(item) : {}) };
}

function strokes({ custom, color, data }) {
  const points = custom.drawStyle === 'points' || custom.showPoints === 'always';
  const alone = data.map((value, row) => value !== null && (data[row - 1] ?? null) === null && (data[row + 1] ?? null) === null);
  const markers = points || alone.some(Boolean);
  return {
    mode: custom.drawStyle === 'points' ? 'markers' : markers ? 'lines+markers' : 'lines',
    line: { color, width: custom.lineWidth ?? 1.4, shape: SHAPES[custom.lineInterpolation] ?? 'linear', dash: dashOf(custom) },
    ...(markers ? { marker: { color, size: points ? custom.pointSize ?? 5 : alone.map((single) => (single ? 4 : 0)) } } : {}),
    connectgaps: Boolean(custom.spanNulls),
  };
}

function filling({ custom, color, stack }) {
  const opacity = (custom.fillOpacity ?? 0) / 100;
  if (!opacity || custom.drawStyle === 'points') return {};
  const fill = stack ? {} : { fill: 'tozeroy' };
  if (custom.gradientMode && custom.gradientMode !== 'none' && !stack) {
    return { ...fill, fillgradient: { type: 'vertical', colorscale: [[0, withAlpha(color, 0)], [1, withAlpha(color, Math.min(1, opacity * 1.6))]] } };
  }
  return { ...fill, fillcolor: withAlpha(color, opacity) };
}

const stacking = ({ stack, custom, field, run = 0 }) => ({
  stackgroup: `${custom.stacking.group ?? 'A'}-${field.config.unit ?? ''}-${run}`,
  stackgaps: 'infer zero',
  groupnorm: stack === 'percent' ? 'fraction' : '',
});

function layout(view, shown, axes, area) {
  const percent = shown.length > 0 && shown.every(({ stack }) => stack === 'percent');
  const left = axes.left && percent ? valueAxis([0, 1], area.clientHeight, { unit: 'percentunit' }) : axes.left;
  const margin = { l: left ? axisRoom(left) : 10, r: axes.right ? axisRoom(axes.right) : 10, t: 8, b: 22 };
  return {
    margin,
    hovermode: false,
    barmode: shown.some(({ stack }) => stack) ? 'relative' : 'overlay',
    bargap: 0.15,
    xaxis: timeAxis(view.range, area.clientWidth - margin.l - margin.r),
    yaxis: left ? { ...left, range: withEdges(left.range, area.clientHeight - 30) } : { visible: false, fixedrange: true },
    ...(axes.right ? { yaxis2: { ...axes.right, range: withEdges(axes.right.range, area.clientHeight - 30), overlaying: 'y', side: 'right', showgrid: !left } } : {}),
    ...MARK_AXIS,
    shapes: [...thresholdShapes(shown, axes), ...annotationShapes(view)],
  };
}

/** Lines or areas at the thresholds, where they are within the axis. */
function thresholdShapes(shown, axes) {
  const owner = shown.find(({ custom }) => (custom.thresholdsStyle?.mode ?? 'off') !== 'off');
  const axis = owner && (axes.isRight(owner) ? axes.right : axes.left);
  if (!axis) return [];
  const mode = owner.custom.thresholdsStyle.mode;
  const [low, high] = axis.range;
  const steps = owner.field.config.thresholds?.steps ?? [];
  const common = { xref: 'paper', x0: 0, x1: 1, yref: axes.isRight(owner) ? 'y2' : 'y', layer: 'below' };
  const areas = !mode.includes('area') ? [] : steps.map((step, index) => {
    const [bottom, top] = [Math.max(low, step.value ?? low), Math.min(high, steps[index + 1]?.value ?? high)];
    return { ...common, type: 'rect', y0: bottom, y1: Math.max(bottom, top), fillcolor: withAlpha(step.color, 0.09), line: { width: 0 } };
  });
  const inside = mode === 'area' ? [] : steps.filter(({ value }) => typeof value === 'number' && value >= low && value <= high);
  const dash = mode.startsWith('dashed') ? 'dash' : 'solid';
  const line = (color) => ({ color: withAlpha(color, 0.75), width: 1.2, dash });
  return [...areas, ...inside.map(({ value, color }) => ({ ...common, type: 'line', y0: value, y1: value, line: line(color) }))];
}
