// The chart library and what all charts drawn with it share.

import { h } from './dom.js';
import { plotTime, timeTicks } from './time.js';
import { valueTicks } from './units.js';

const FONT = "Inter, 'Helvetica Neue', Roboto, 'DejaVu Sans', sans-serif";
const TEXT = 'rgb(150, 151, 166)';
const GRID = 'rgba(204, 204, 220, 0.07)';
/** How the texts of an axis stand beside it. */
export const LABELS = { ticks: '', ticklabelstandoff: 6, automargin: false };

/** Draw or update a chart in place; an update keeps the element, so nothing flickers. */
export async function plot(element, traces, layout) {
  const base = {
    paper_bgcolor: 'rgba(0, 0, 0, 0)',
    plot_bgcolor: 'rgba(0, 0, 0, 0)',
    font: { family: FONT, size: 11.5, color: TEXT },
    showlegend: false,
    dragmode: false,
    hoverlabel: { bgcolor: '#22252b', bordercolor: '#3a3d46', font: { family: FONT, size: 12, color: '#ccccdc' }, namelength: 60 },
    width: Math.max(40, element.clientWidth),
    height: Math.max(30, element.clientHeight),
  };
  await window.Plotly.react(element, traces, { ...base, ...layout }, { displayModeBar: false, responsive: false, showTips: false });
}

/** Take a chart out of an element. */
export function clear(element) {
  if (element.classList.contains('js-plotly-plot')) window.Plotly.purge(element);
  element.replaceChildren();
}

/** The time axis of a panel `width` pixels wide. */
export function timeAxis({ from, to }, width) {
  const ticks = timeTicks(from, to, Math.max(2, Math.min(10, width / 85)));
  return {
    type: 'date',
    range: [plotTime(from), plotTime(to)],
    tickvals: ticks.map(({ at }) => plotTime(at)),
    ticktext: ticks.map(({ text }) => text),
    gridcolor: GRID,
    zeroline: false,
    showline: false,
    ...LABELS,
    fixedrange: true,
  };
}

/** A value axis in a unit. */
export function valueAxis([low, high], height, { unit, decimals, title } = {}) {
  const ticks = valueTicks(low, high, Math.max(2, Math.min(7, height / 42)), unit, decimals);
  return {
    range: [low, high],
    tickvals: ticks.map(({ at }) => at),
    ticktext: ticks.map(({ text }) => text),
    gridcolor: GRID,
    zeroline: false,
    ...LABELS,
    fixedrange: true,
    ...(title ? { title: { text: title, font: { size: 11 }, standoff: 6 } } : {}),
    longest: Math.max(0, ...ticks.map(({ text }) => text.length)),
  };
}

/** Pixels the axis' texts need. */
export const axisRoom = ({ longest = 0, title }) => 16 + longest * 6.6 + (title ? 18 : 0);

/** Text as the chart library may show it: it reads a little HTML. */
export const plain = (text) => String(text).replace(/&/g, '&amp;').replace(/</g, '&lt;');

/** Room around the data: a little above and below; from zero where the data is near it. */
export function padded(low, high, { min, max, fromZero } = {}) {
  if (!Number.isFinite(low) || !Number.isFinite(high)) return [min ?? 0, max ?? 1];
  const span = high - low || Math.abs(high) || 1;
  let [bottom, top] = [low - span * 0.08, high + span * 0.08];
  if (low >= 0 && (bottom < 0 || fromZero)) bottom = 0;
  if (high <= 0 && (top > 0 || fromZero)) top = 0;
  if (low === high && low > 0) [bottom, top] = [0, low * 2];
  const range = [min ?? bottom, max ?? top];
  return range[0] < range[1] ? range : [range[0], range[0] + 1];
}

/** Two pixels more at both ends, so that a line at the very top or bottom, such as one at zero, is seen. */
export function withEdges([low, high], pixels) {
  const edge = ((high - low) / Math.max(40, pixels)) * 2;
  return [low - edge, high + edge];
}

/** Lines of a legend under a chart take this much of a panel; a line is so many pixels high. */
const LEGEND_SHARE = 0.36;
const LEGEND_LINE = 20;

/** Whole lines only, and a sign that there are more. */
function fitLegend(body, legend) {
  const lines = Math.max(1, Math.floor((body.clientHeight * LEGEND_SHARE) / LEGEND_LINE));
  legend.style.maxHeight = `${lines * LEGEND_LINE + 2}px`;
  legend.classList.toggle('more', legend.scrollHeight > legend.clientHeight + 4);
}

/** The element a chart is drawn in, kept between draws, with this legend under or beside it. */
export function chartArea(body, legend, placement = 'bottom') {
  let area = body.querySelector(':scope > .plot');
  if (!area) {
    clear(body);
    area = h('div', { class: 'plot' });
    body.append(area);
  }
  const old = body.querySelector(':scope > .legend');
  const scrolled = old?.scrollTop ?? 0;
  old?.remove();
  body.classList.toggle('beside', placement === 'right');
  if (legend) {
    body.append(legend);
    if (placement !== 'right') fitLegend(body, legend);
    legend.scrollTop = scrolled;
  }
  return area;
}
