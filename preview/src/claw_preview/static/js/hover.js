// The tooltip of a time series panel, and one crosshair through all of them.

import { h } from './dom.js';
import { displayText } from './fields.js';
import { fullTime } from './time.js';

const MAX_ROWS = 16;
const NEAR_PIXELS = 9;
const views = new WeakMap();
const areas = new Set();
const bubble = h('div', { class: 'tip hover', hidden: true });
const menu = h('div', { class: 'tip value-menu', hidden: true });

/**
 * Show values under the pointer over `area`. `view`: {range, margin, axes: {left, right}, items, annotations, mode, sort};
 * an item: {name, color, times, data, field, right}; `linksOf(item, row)` gives where a value leads. Called after each draw; listeners are made once.
 */
export function attachHover(area, view) {
  if (!views.has(area)) listen(area);
  views.set(area, view);
  areas.add(area);
}

function listen(area) {
  area.append(h('i', { class: 'crosshair', hidden: true }));
  area.addEventListener('pointermove', (event) => move(area, event));
  area.addEventListener('click', (event) => openMenu(area, event));
  area.addEventListener('pointerleave', () => {
    bubble.hidden = true;
    eachArea((other) => crosshair(other, null));
  });
}

function eachArea(visit) {
  for (const area of areas) {
    if (area.isConnected) visit(area);
    else areas.delete(area);
  }
}

/** Pixels of the drawing inside its margins. */
function inner(area, { margin }) {
  return { left: margin.l, width: area.clientWidth - margin.l - margin.r, top: margin.t, height: area.clientHeight - margin.t - margin.b };
}

/** The time, and the share of the height, that is pointed at. */
function placeOf(area, event) {
  const view = views.get(area);
  const box = area.getBoundingClientRect();
  const { left, width, top, height } = inner(area, view);
  const share = (event.clientX - box.left - left) / width;
  const time = view.range.from + share * (view.range.to - view.range.from);
  return { time, pointed: 1 - (event.clientY - box.top - top) / height, inside: share >= 0 && share <= 1, width };
}

function move(area, event) {
  const view = views.get(area);
  const { time, pointed, inside, width } = placeOf(area, event);
  area.classList.toggle('leads', Boolean(view.linksOf && view.items.some(({ field }) => field.config?.links?.length)));
  eachArea((other) => crosshair(other, inside ? time : null));
  const rows = inside ? tooltipRows(view, time, pointed) : [];
  const notes = inside ? nearAnnotations(view, time, width) : [];
  bubble.hidden = view.mode === 'none' || rows.length + notes.length === 0;
  if (!bubble.hidden) show(rows, notes, event);
}

/** Where the value nearest to the pointer leads, as a menu beside it. */
function openMenu(area, event) {
  const view = views.get(area);
  const { time, pointed, inside } = placeOf(area, event);
  const [row] = inside ? tooltipRows({ ...view, mode: 'single' }, time, pointed) : [];
  const links = row ? view.linksOf?.(row.item, row.row) ?? [] : [];
  if (!links.length) return;
  event.stopPropagation();
  bubble.hidden = true;
  const entry = ({ title, href, blank }) => h('a', { href, target: blank ? '_blank' : null, rel: 'noreferrer' }, title, ' ↗');
  menu.replaceChildren(h('strong', {}, row.name), h('span', {}, `${row.text} · ${fullTime(row.at).slice(11)}`), ...links.map(entry));
  menu.hidden = false;
  document.body.append(menu);
  place(menu, event);
}

function closeMenu(event) {
  if (event.type === 'click' || event.key === 'Escape') menu.hidden = true;
}
document.addEventListener('click', closeMenu);
document.addEventListener('keydown', closeMenu);

function crosshair(area, time) {
  const view = views.get(area);
  const line = area.querySelector(':scope > .crosshair');
  const share = (time - view.range.from) / (view.range.to - view.range.from);
  line.hidden = time === null || share < 0 || share > 1;
  const { left, width, top, height } = inner(area, view);
  line.style.cssText = `left: ${left + share * width}px; top: ${top}px; height: ${height}px`;
}

/** The values at a time, as the panel orders them: [{item, row, name, color, text, at, value}]. With mode single, the nearest to the pointer only. */
export function tooltipRows({ items, mode = 'multi', sort = 'none', axes }, time, pointed = 0) {
  const rows = items.map((item) => rowAt(item, time)).filter(Boolean);
  if (mode === 'single') {
    const distance = ({ value, right }) => {
      const [low, high] = (right ? axes.right : axes.left)?.range ?? [0, 1];
      return Math.abs((value - low) / (high - low) - pointed);
    };
    return rows.sort((a, b) => distance(a) - distance(b)).slice(0, 1);
  }
  if (sort === 'desc') rows.sort((a, b) => b.value - a.value);
  if (sort === 'asc') rows.sort((a, b) => a.value - b.value);
  return rows;
}

function rowAt(item, time) {
  const { name, color, times, data, field, right } = item;
  const step = times.length > 1 ? times[1] - times[0] : 1;
  const row = Math.round((time - times[0]) / step);
  const value = data[row];
  return value === null || value === undefined ? null : { item, row, name, color, value, right, at: times[row], text: displayText(field.values[row], field) };
}

function nearAnnotations({ annotations, range }, time, width) {
  const near = ((range.to - range.from) / width) * NEAR_PIXELS;
  return annotations.filter(({ from }) => Math.abs(from - time) <= near);
}

function show(rows, notes, event) {
  const more = rows.length > MAX_ROWS ? h('p', {}, `and ${rows.length - MAX_ROWS} more`) : null;
  const line = ({ name, color, text }) => h('tr', {}, h('td', {}, h('i', { style: { background: color } }), name), h('td', {}, text));
  const note = ({ text, color, from }) => h('p', {}, h('i', { style: { background: color } }), `${fullTime(from).slice(11)} ${text}`);
  const title = h('strong', {}, fullTime(rows[0]?.at ?? notes[0].from));
  const table = h('table', {}, rows.slice(0, MAX_ROWS).map(line));
  bubble.replaceChildren(title, ...notes.map(note), table, ...(more ? [more] : []));
  document.body.append(bubble);
  place(bubble, event);
}

/** Beside the pointer, inside the window. */
function place(element, { clientX, clientY }) {
  const { width, height } = element.getBoundingClientRect();
  const left = clientX + 18 + width > innerWidth ? clientX - width - 18 : clientX + 18;
  element.style.left = `${Math.max(4, left)}px`;
  element.style.top = `${Math.max(4, Math.min(clientY - 12, innerHeight - height - 8))}px`;
}
