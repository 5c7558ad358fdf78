// The tools above a dashboard: variables, time range, refresh.

import { h } from './dom.js';
import { NO_LOKI } from './panels/index.js';
import { parseDuration } from './time.js';
import { ALL, SOURCE_NAMES, selected } from './variables.js';

const RANGES = {
  '5m': 'Last 5 minutes', '15m': 'Last 15 minutes', '30m': 'Last 30 minutes', '1h': 'Last 1 hour', '3h': 'Last 3 hours', '6h': 'Last 6 hours',
  '12h': 'Last 12 hours', '24h': 'Last 24 hours', '2d': 'Last 2 days', '7d': 'Last 7 days', '30d': 'Last 30 days',
};
const REFRESHES = ['', '5s', '10s', '15s', '30s', '1m', '5m', '15m', '30m', '1h'];
const MANY = 8;

const option = (value, text, chosen) => h('option', { value, selected: value === chosen }, text);

/** The choice of time range; an unusual one of a dashboard is a choice too. */
export function rangeControl(time, onchange) {
  const value = `${time.from}|${time.to}`;
  const choices = Object.entries(RANGES).map(([span, text]) => [`now-${span}|now`, text]);
  if (!choices.some(([known]) => known === value)) choices.push([value, `${time.from} to ${time.to}`]);
  const change = (event) => {
    const [from, to] = event.target.value.split('|');
    onchange({ from, to });
  };
  return h('label', { class: 'control' }, h('span', { class: 'sr' }, 'Time range'),
    h('select', { class: 'range', onchange: change }, choices.map(([known, text]) => option(known, text, value))));
}

/** The refresh button with its interval. */
export function refreshControl(interval, { onrefresh, oninterval }) {
  const choices = REFRESHES.includes(interval) ? REFRESHES : [...REFRESHES, interval];
  return h('div', { class: 'control joined' },
    h('button', { type: 'button', class: 'refresh', title: 'Refresh now', 'aria-label': 'Refresh now', onclick: onrefresh }, '⟳'),
    h('label', {}, h('span', { class: 'sr' }, 'Refresh interval'),
      h('select', { onchange: (event) => oninterval(event.target.value) }, choices.map((span) => option(span, span || 'Off', interval)))));
}

/** Milliseconds of a refresh interval; 0 is off. */
export const refreshMs = (interval) => Math.max(0, parseDuration(interval) || 0);

/** The tool of one variable. */
export function variableControl(variable, onchange) {
  const picker = variable.needs ? needed : variable.kind === 'textbox' ? textBox : variable.multi ? manyOf : oneOf;
  return h('div', { class: 'control variable', 'data-variable': variable.name, title: variable.description },
    variable.hide === 1 ? null : h('span', { class: 'label' }, variable.label), picker(variable, onchange));
}

/** Its data source is not here, so nothing can be chosen. */
const needed = ({ needs }) => h('span', { class: 'needs', title: needs === 'loki' ? NO_LOKI : null }, `needs ${SOURCE_NAMES[needs] ?? needs}`);

/** The switch of one kind of annotation. */
export function annotationControl(kind, onchange) {
  const change = (event) => onchange(event.target.checked);
  return h('label', { class: 'toggle', title: `Show ${kind.name} on the time axes` },
    h('input', { type: 'checkbox', checked: kind.on, onchange: change }), h('i', { style: { background: kind.color } }), kind.name);
}

function textBox(variable, onchange) {
  const change = (event) => onchange([event.target.value]);
  return h('input', { type: 'text', value: variable.value[0] ?? '', 'aria-label': variable.label, onchange: change });
}

function oneOf(variable, onchange) {
  const all = variable.includeAll ? [option(ALL, 'All', variable.value[0])] : [];
  const options = variable.options.map(({ text, value }) => option(value, text, variable.value[0]));
  const none = all.length + options.length ? [] : [option('', 'none', '')];
  return h('select', { 'aria-label': variable.label, onchange: (event) => onchange([event.target.value]) }, all, options, none);
}

/** Checkboxes that open under a summary; they take effect when closed. */
function manyOf(variable, onchange) {
  const chosen = new Set(variable.value);
  const choices = [...(variable.includeAll ? [{ text: 'All', value: ALL }] : []), ...variable.options];
  const boxes = choices.map(({ text, value }) => ({ value, text, input: h('input', { type: 'checkbox', value, checked: chosen.has(value) }) }));
  const rows = boxes.map(({ input, text }) => h('label', {}, input, h('span', {}, text)));
  const menu = h('div', { class: 'menu' }, boxes.length > MANY ? searchBox(rows) : null, rows);
  menu.addEventListener('change', (event) => exclusive(boxes, event.target));
  const text = summary(variable);
  const details = h('details', { class: 'dropdown' }, h('summary', { 'aria-label': `${variable.label}: ${text}` }, text), menu);
  details.addEventListener('toggle', () => {
    const values = boxes.filter(({ input }) => input.checked).map(({ value }) => value);
    if (!details.open && values.join() !== variable.value.join()) onchange(values);
  });
  return details;
}

/** All and single values exclude each other. */
function exclusive(boxes, changed) {
  if (changed.type !== 'checkbox' || !changed.checked) return;
  for (const { input } of boxes) if (input !== changed && (input.value === ALL || changed.value === ALL)) input.checked = false;
}

function searchBox(rows) {
  const filter = (event) => rows.forEach((row) => {
    row.hidden = !row.textContent.toLowerCase().includes(event.target.value.toLowerCase());
  });
  return h('input', { type: 'search', placeholder: 'Search', 'aria-label': 'Search', oninput: filter });
}

function summary(variable) {
  if (variable.value[0] === ALL) return 'All';
  const texts = selected(variable).map((value) => variable.options.find((choice) => choice.value === value)?.text ?? value);
  return texts.join(' + ') || 'none';
}

/** Menus close on a click elsewhere and on Escape. */
export function closeMenus(event) {
  for (const menu of document.querySelectorAll('details.dropdown[open]')) {
    if (event.key === 'Escape' || (event.type === 'click' && !menu.contains(event.target))) menu.open = false;
  }
}
