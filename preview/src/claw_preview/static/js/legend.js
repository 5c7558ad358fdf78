// The legend under (or beside) a chart: a list or a table with calculations; a click shows one series alone.

import { display } from './fields.js';
import { h } from './dom.js';
import { CALCULATION_NAMES, reduce } from './reduce.js';

/** Which series are left out after a click on `name`: all others, or none when it was alone; with `add` just this one. */
export function toggled(hidden, names, name, add) {
  if (add) return new Set(hidden.has(name) ? [...hidden].filter((other) => other !== name) : [...hidden, name]);
  const alone = !hidden.has(name) && hidden.size === names.length - 1;
  return alone ? new Set() : new Set(names.filter((other) => other !== name));
}

/** The legend's element, or null. `items`: [{name, color, values, field}]; `memory.hidden` is kept between draws. */
export function legend(items, { displayMode = 'list', placement = 'bottom', calcs = [], showLegend = true }, memory, redraw) {
  if (!showLegend || displayMode === 'hidden' || !items.length) return null;
  const names = items.map((item) => item.name);
  const onclick = (name) => (event) => {
    memory.hidden = toggled(memory.hidden, names, name, event.ctrlKey || event.metaKey || event.shiftKey);
    redraw();
  };
  const entry = ({ name, color }) =>
    h('button', { type: 'button', class: 'legend-name', title: name, 'aria-pressed': String(!memory.hidden.has(name)), onclick: onclick(name) },
      h('i', { style: { background: color } }), h('span', {}, name));
  const calculated = (item, calc) => {
    const { prefix, text, suffix } = display(reduce(item.values, calc), item.field);
    return prefix + text + suffix;
  };
  const place = placement === 'right' ? 'legend right' : 'legend';
  if (displayMode !== 'table' || !calcs.length) {
    const value = (item, calc) => `${CALCULATION_NAMES[calc] ?? calc}: ${calculated(item, calc)}`;
    const values = (item) => calcs.map((calc) => h('span', { class: 'legend-value' }, value(item, calc)));
    return h('div', { class: `${place} list` }, items.map((item) => h('span', { class: 'legend-item' }, entry(item), values(item))));
  }
  const head = h('tr', {}, h('th', {}, 'Name'), calcs.map((calc) => h('th', {}, CALCULATION_NAMES[calc] ?? calc)));
  const rows = items.map((item) => h('tr', {}, h('td', {}, entry(item)), calcs.map((calc) => h('td', {}, calculated(item, calc)))));
  return h('div', { class: `${place} table` }, h('table', {}, h('thead', {}, head), h('tbody', {}, rows)));
}
