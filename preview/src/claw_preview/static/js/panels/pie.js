// Shares of a whole.

import { chartArea, plain, plot } from '../chart.js';
import { seriesColor } from '../colors.js';
import { h } from '../dom.js';
import { singleValues } from '../fields.js';

export async function draw(body, view) {
  const options = view.panel.options ?? {};
  const items = singleValues(view.frames, options).filter(({ value }) => typeof value === 'number' && value > 0)
    .map((item, index) => ({ ...item, color: pieColor(item, index) })).sort((a, b) => b.value - a.value);
  if (!items.length) return 'empty';
  const placement = options.legend?.placement ?? 'right';
  const area = chartArea(body, legend(items, options.legend ?? {}, placement), placement);
  await plot(area, [slices(items, options)], { margin: { l: 8, r: 8, t: 8, b: 8 }, hovermode: 'closest' });
  return 'drawn';
}

const pieColor = ({ shown, field }, index) => {
  const mode = field.config?.color?.mode ?? 'palette-classic';
  return mode.startsWith('palette') ? seriesColor(index) : shown.color;
};

function slices(items, { pieType = 'pie', displayLabels = [] }) {
  const parts = displayLabels.map((label) => ({ name: 'label', value: 'text', percent: 'percent' })[label]);
  return {
    type: 'pie',
    labels: items.map(({ name }, index) => plain(name) + '\u200b'.repeat(index)), // equal names would be summed
    values: items.map(({ value }) => value),
    text: items.map(({ shown }) => plain(shown.prefix + shown.text + shown.suffix)),
    textinfo: parts.filter(Boolean).join('+') || 'none',
    hovertemplate: '<b>%{label}</b><br>%{text} (%{percent})<extra></extra>',
    hole: pieType === 'donut' ? 0.62 : 0,
    sort: false,
    direction: 'clockwise',
    marker: { colors: items.map(({ color }) => color), line: { color: '#181b1f', width: 2 } },
    textfont: { color: '#ffffff' },
  };
}

function legend(items, { showLegend = true, displayMode = 'list', values = [] }, placement) {
  if (!showLegend || displayMode === 'hidden') return null;
  const total = items.reduce((sum, { value }) => sum + value, 0);
  const cells = ({ value, shown }) => [
    values.includes('value') && h('td', {}, shown.prefix + shown.text + shown.suffix),
    values.includes('percent') && h('td', {}, `${((value / total) * 100).toFixed(value / total < 0.1 ? 1 : 0)}%`),
  ];
  const name = (item) =>
    h('span', { class: 'legend-name', title: item.name }, h('i', { style: { background: item.color } }), h('span', {}, item.name));
  const row = (item) => h('tr', {}, h('td', {}, name(item)), cells(item));
  return h('div', { class: placement === 'right' ? 'legend right table' : 'legend table' }, h('table', {}, h('tbody', {}, items.map(row))));
}
