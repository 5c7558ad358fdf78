// The tooltip of a time series panel, and one crosshair through all of them.

import { h } from './dom.js';
import { displayText } from './fields.js';
import { fullTime } from './time.js';

const MAX_ROWS = 16;
const NEAR_PIXELS = 9;
const views = new WeakMap();
const areas = new Set();
const bubble = h('div', { class: 'tip hover', hidden: true });

/**
 * Show values under the pointer over `area`. `view`: {range, margin, axes: {left, right}, items, annotations, mode, sort};
 * an item: {name, color, times, data, field, right}. Called after each draw; listeners are made once.
 */
export function attachHover(area, view) {
  if (!views.has(area)) listen(area);
  views.set(area, view);
  areas.add(area);
}

function listen(area) {
  area.append(h('i', { class: 'crosshair', hidden: true }));
  area.addEventListener('pointermove', (event) => move(area, event));
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

function move(area, event) {
  const view = views.get(area);
  const box = area.getBoundingClientRect();
  const { left, width, top, height } = inner(area, view);
  const share = (event.clientX - box.left - left) / width;
  const time = view.range.from + share * (view.range.to - view.range.from);
  const inside = share >= 0 && share <= 1;
  eachArea((other) => crosshair(other, inside ? time : null));
  const pointed = 1 - (event.clientY - box.top - top) / height;
  const rows = inside ? tooltipRows(view, time, pointed) : [];
  const notes = inside ? nearAnnotations(view, time, width) : [];
  bubble.hidden = view.mode === 'none' || rows.length + notes.length === 0;
  if (!bubble.hidden) show(rows, notes, event);
}

function crosshair(area, time) {
  const view = views.get(area);
  const line = area.querySelector(':scope > .crosshair');
  const share = (time - view.range.from) / (view.range.to - view.range.from);
  line.hidden = time === null || share < 0 || share > 1;
  const { left, width, top, height } = inner(area, view);
  line.style.cssText = `left: ${left + share * width}px; top: ${top}px; height: ${height}px`;
}

/** The values at a time, as the panel orders them: [{name, color, text, at, value}]. With mode single, the nearest to the pointer only. */
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

function rowAt({ name, color, times, data, field, right }, time) {
  const step = times.length > 1 ? times[1] - times[0] : 1;
  const row = Math.round((time - times[0]) / step);
  const value = data[row];
  return value === null || value === undefined ? null : { name, color, value, right, at: times[row], text: displayText(field.values[row], field) };
}

function nearAnnotations({ annotations, range }, time, width) {
  const near = ((range.to - range.from) / width) * NEAR_PIXELS;
  return annotations.filter(({ from }) => Math.abs(from - time) <= near);
}

function show(rows, notes, { clientX, clientY }) {
  const more = rows.length > MAX_ROWS ? h('p', {}, `and ${rows.length - MAX_ROWS} more`) : null;
  const line = ({ name, color, text }) => h('tr', {}, h('td', {}, h('i', { style: { background: color } }), name), h('td', {}, text));
  const note = ({ text, color, from }) => h('p', {}, h('i', { style: { background: color } }), `${fullTime(from).slice(11)} ${text}`);
  const title = h('strong', {}, fullTime(rows[0]?.at ?? notes[0].from));
  const table = h('table', {}, rows.slice(0, MAX_ROWS).map(line));
  bubble.replaceChildren(title, ...notes.map(note), table, ...(more ? [more] : []));
  document.body.append(bubble);
  const { width, height } = bubble.getBoundingClientRect();
  const left = clientX + 18 + width > innerWidth ? clientX - width - 18 : clientX + 18;
  bubble.style.left = `${Math.max(4, left)}px`;
  bubble.style.top = `${Math.max(4, Math.min(clientY - 12, innerHeight - height - 8))}px`;
}
