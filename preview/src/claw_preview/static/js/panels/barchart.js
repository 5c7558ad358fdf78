// Bars by category: the first text column names them, each number column is one colour.

import { axisRoom, chartArea, LABELS, padded, plain, plot, valueAxis } from '../chart.js';
import { seriesColor, valueColor, withAlpha } from '../colors.js';
import { displayText } from '../fields.js';
import { fieldName } from '../frames.js';
import { legend } from '../legend.js';
import { reduce } from '../reduce.js';

export async function draw(body, view) {
  const options = view.panel.options ?? {};
  const { names, fields } = categories(view.frames, options.xField);
  if (!names.length || !fields.length) return 'empty';
  const items = fields.map((field, index) => ({ name: fieldName(field), field, values: field.values, color: barColor(field, index) }));
  const legendOptions = { ...options.legend, showLegend: items.length > 1 && (options.legend?.showLegend ?? true) };
  const area = chartArea(body, legend(items, legendOptions, view.memory, view.redraw), legendOptions.placement);
  const shown = items.filter(({ name }) => !view.memory.hidden.has(name));
  const flat = options.orientation === 'horizontal';
  await plot(area, shown.map((item, index) => bars(item, index, names, flat)), layout(shown, names, options, area, flat));
  return 'drawn';
}

/** Category names and number columns; plain series become one category each. */
export function categories(frames, xField) {
  const table = frames.find((frame) => frame.fields.some((field) => field.type === 'string'));
  if (!table) {
    const fields = frames.flatMap((frame) => frame.fields.filter((field) => field.type === 'number'));
    if (!fields.length) return { names: [], fields: [] };
    const values = fields.map((field) => reduce(field.values, 'lastNotNull'));
    const config = { ...fields[0].config, displayName: 'Value' };
    return { names: fields.map(fieldName), fields: [{ ...fields[0], config, values }] };
  }
  const axis = table.fields.find((field) => fieldName(field) === xField) ?? table.fields.find((field) => field.type === 'string');
  const shown = (field) => field.type === 'number' && field !== axis && !field.config?.custom?.hideFrom?.viz;
  return { names: axis.values.map(String), fields: table.fields.filter(shown) };
}

function barColor(field, index) {
  const mode = field.config?.color?.mode ?? 'palette-classic';
  if (mode.startsWith('palette')) return seriesColor(index);
  return valueColor(reduce(field.values, 'max'), field.config, { index });
}

function bars({ name, field, values, color }, index, names, flat) {
  const mode = field.config?.color?.mode ?? 'palette-classic';
  const byValue = mode === 'thresholds' || mode.startsWith('continuous');
  const each = values.map((value) => (byValue ? valueColor(value, field.config, { index }) : color));
  const opacity = (field.config?.custom?.fillOpacity ?? 80) / 100;
  return {
    type: 'bar',
    name: plain(name),
    orientation: flat ? 'h' : 'v',
    x: flat ? values : names.map(plain),
    y: flat ? names.map(plain) : values,
    customdata: values.map((value) => plain(displayText(value, field))),
    hovertemplate: '%{customdata}',
    marker: { color: each.map((css) => withAlpha(css, opacity)), line: { color: each, width: 1 } },
  };
}

function layout(shown, names, { stacking = 'none' }, area, flat) {
  const sums = names.map((_name, row) => shown.reduce((sum, { values }) => sum + (values[row] ?? 0), 0));
  const values = stacking === 'none' ? shown.flatMap((item) => item.values.filter((value) => value !== null)) : sums;
  const config = shown[0]?.field.config ?? {};
  const range = stacking === 'percent' ? [0, 1] : padded(Math.min(...values), Math.max(...values), { ...config, fromZero: true });
  const axis = valueAxis(range, flat ? area.clientWidth / 2 : area.clientHeight, { unit: stacking === 'percent' ? 'percentunit' : config.unit });
  const longest = Math.min(30, Math.max(...names.map((name) => name.length)));
  const crowded = longest * names.length * 7 > area.clientWidth; // the names stand aslant
  const category = { type: 'category', ...LABELS, fixedrange: true, showgrid: false, autorange: flat ? 'reversed' : true };
  return {
    margin: flat ? { l: 16 + longest * 6.6, r: 14, t: 8, b: 24 } : { l: axisRoom(axis), r: 10, t: 8, b: crowded ? 60 : 24 },
    barmode: stacking === 'none' ? 'group' : 'relative',
    barnorm: stacking === 'percent' ? 'fraction' : '',
    bargap: 0.25,
    hovermode: flat ? 'y unified' : 'x unified',
    xaxis: flat ? axis : category,
    yaxis: flat ? category : axis,
  };
}
