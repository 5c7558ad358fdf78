// Which state each series was in, as one band per series.

import { readableOn, withAlpha } from '../colors.js';
import { h } from '../dom.js';
import { display, seriesOf } from '../fields.js';
import { linkedItem } from '../links.js';
import { fullTime, timeTicks } from '../time.js';

export function draw(body, view) {
  const series = seriesOf(view.frames).filter(({ field }) => field.values.some((value) => value !== null));
  if (!series.length) return 'empty';
  const { showValue = 'auto', mergeValues = true, rowHeight = 0.9 } = view.panel.options ?? {};
  const bands = series.map((item) => ({ item, states: states(item, view, mergeValues) }));
  const names = nameRoom(series, body);
  const width = Math.max(100, body.clientWidth - names - 20);
  body.replaceChildren(h('div', { class: 'states', style: { '--names': `${names}px` } },
    bands.map(({ item, states: list }) => band(item, list, view, { width, showValue, rowHeight })), axis(view.range, width), marks(view)));
  return 'drawn';
}

/** Pixels that the names need, at most a third. */
const nameRoom = (series, { clientWidth }) => Math.min(clientWidth / 3, 10 + Math.max(...series.map(({ name }) => name.length)) * 7);

/** Runs of equal states: [{from, to, shown, row}]. */
export function states({ times, field }, { range, stepMs }, mergeValues = true) {
  const runs = [];
  times.forEach((time, row) => {
    const value = field.values[row];
    const last = runs.at(-1);
    const shown = display(value, field);
    const same = last && last.open && mergeValues && last.shown.text === shown.text && last.shown.color === shown.color;
    const to = Math.min(range.to, time + (stepMs ?? (times[1] ?? range.to) - times[0]));
    if (value === null) {
      if (last) last.open = false;
    } else if (same) last.to = to;
    else runs.push({ from: Math.max(range.from ?? time, time), to, shown, row, open: true });
  });
  return runs;
}

function band(item, list, view, { width, showValue, rowHeight }) {
  const { name } = item;
  const { range } = view;
  const span = range.to - range.from;
  const piece = ({ from, to, shown, row }) => {
    const text = shown.prefix + shown.text + shown.suffix;
    const share = (to - from) / span;
    const fits = showValue === 'always' || (showValue === 'auto' && share * width > text.length * 7 + 8);
    const style = {
      left: `${((from - range.from) / span) * 100}%`,
      width: `${share * 100}%`,
      background: withAlpha(shown.color, 0.78),
      color: readableOn(shown.color),
    };
    const attributes = { class: 'state', style, title: `${name}: ${text}\n${fullTime(from)} – ${fullTime(to)}` };
    return linkedItem({ field: item.field, row }, view, attributes, fits ? text : '');
  };
  return h('div', { class: 'state-row' }, h('div', { class: 'state-name', title: name }, name),
    h('div', { class: 'state-band', style: { height: `${Math.min(1, rowHeight) * 100}%` } }, list.map(piece)));
}

function axis(range, width) {
  const place = (at) => `${((at - range.from) / (range.to - range.from)) * 100}%`;
  const half = ((range.to - range.from) / width) * 18; // a text must not stick out
  const ticks = timeTicks(range.from + half, range.to - half, Math.min(10, width / 85));
  return h('div', { class: 'state-row state-axis' }, h('div', { class: 'state-name' }),
    h('div', { class: 'state-band' }, ticks.map(({ at, text }) => h('span', { style: { left: place(at) } }, text))));
}

/** What happened, as lines through all bands. */
function marks({ annotations = [], range }) {
  const line = ({ from, color, text }) => h('i', {
    style: { left: `${((from - range.from) / (range.to - range.from)) * 100}%`, 'border-bottom-color': color, 'border-left-color': color },
    title: `${fullTime(from)}\n${text}`,
  });
  const inside = annotations.filter(({ from }) => from >= range.from && from <= range.to);
  return h('div', { class: 'state-marks' }, h('div', {}, inside.map(line)));
}
