// Rows and columns; a click on a column's head sorts.

import { readableOn, withAlpha } from '../colors.js';
import { h } from '../dom.js';
import { display, fieldBounds, scaleOf, shareOf } from '../fields.js';
import { fieldName, frameLength } from '../frames.js';
import { valueLinks } from '../links.js';
import { CALCULATION_NAMES, reduce } from '../reduce.js';
import { fullTime } from '../time.js';
import { compare } from '../transform.js';

const MAX_ROWS = 500;

export function draw(body, view) {
  const options = view.panel.options ?? {};
  const frame = tableFrame(view.frames, options.frameIndex ?? 0);
  if (!frame || !frameLength(frame)) return 'empty';
  const fields = frame.fields.filter((field) => !field.config?.custom?.hidden && !field.config?.custom?.hideFrom?.viz);
  const sort = view.memory.sort ?? initialSort(options, fields);
  const rows = sortedRows(frame, sort);
  const scrolled = body.querySelector('.grid')?.scrollTop ?? 0;
  const element = h('div', { class: `grid ${options.cellHeight ?? 'sm'}` }, h('table', {},
    options.showHeader === false ? null : head(fields, sort, view),
    h('tbody', {}, rows.slice(0, MAX_ROWS).map((row) => line(fields, row, { ...view, columns: frame.fields }))),
    footer(fields, options.footer)));
  body.replaceChildren(element);
  element.scrollTop = scrolled;
  return 'drawn';
}

/** The frame to show; several plain series become one table of their last values' times. */
function tableFrame(frames, index) {
  if (frames.length > 1 && frames.every((frame) => frame.series)) {
    const [times] = frames.map((frame) => frame.fields[0]);
    return { refId: '', name: '', fields: [times, ...frames.map((frame) => frame.fields[1])] };
  }
  return frames[index] ?? frames[0];
}

function initialSort({ sortBy: [rule] = [] }, fields) {
  return rule && fields.some((field) => fieldName(field) === rule.displayName) ? { name: rule.displayName, desc: Boolean(rule.desc) } : null;
}

function sortedRows(frame, sort) {
  const rows = [...Array(frameLength(frame)).keys()];
  const field = sort && frame.fields.find((candidate) => fieldName(candidate) === sort.name);
  return field ? rows.sort((a, b) => compare(field.values[a], field.values[b]) * (sort.desc ? -1 : 1)) : rows;
}

const alignment = (field) => {
  const { align } = field.config?.custom ?? {};
  return align && align !== 'auto' ? align : field.type === 'number' ? 'right' : 'left';
};

function head(fields, sort, view) {
  const cell = (field) => {
    const name = fieldName(field);
    const state = sort?.name === name ? (sort.desc ? 'descending' : 'ascending') : 'none';
    const onclick = () => {
      view.memory.sort = { name, desc: state === 'none' ? field.type === 'number' : state === 'ascending' };
      view.redraw();
    };
    const { width, minWidth } = field.config?.custom ?? {};
    return h('th', { 'aria-sort': state, style: { 'text-align': alignment(field), width: width && `${width}px`, 'min-width': minWidth && `${minWidth}px` } },
      h('button', { type: 'button', onclick }, name, state === 'none' ? '' : sort.desc ? ' ↓' : ' ↑'));
  };
  return h('thead', {}, h('tr', {}, fields.map(cell)));
}

function line(fields, row, view) {
  return h('tr', {}, fields.map((field) => {
    const shown = cellText(field, row);
    const { type = 'auto', mode } = cellOptions(field);
    const text = shown.prefix + shown.text + shown.suffix;
    const content = type === 'gauge' && typeof shown.value === 'number' ? gauge(field, shown, text) : text;
    return h('td', { style: { 'text-align': alignment(field), ...CELL_STYLES[type]?.(shown, mode) } }, linked(content, field, fields, row, view));
  }));
}

function cellText(field, row) {
  const value = field.values[row];
  if (field.type === 'time') return { prefix: '', text: fullTime(value), suffix: '', value };
  return display(value, field, { bounds: fieldBounds([field]) });
}

/** The way a cell is coloured, also in the older spelling. */
function cellOptions(field) {
  const { cellOptions: options, displayMode } = field.config?.custom ?? {};
  if (options) return options;
  const old = { 'color-background-solid': 'color-background', 'gradient-gauge': 'gauge', 'lcd-gauge': 'gauge', 'basic-gauge': 'gauge' };
  return { type: old[displayMode] ?? displayMode };
}

const CELL_STYLES = {
  'color-text': ({ color }) => ({ color }),
  'color-background': ({ color, value }, mode) => {
    const gradient = `linear-gradient(90deg, ${withAlpha(color, 0.9)}, ${withAlpha(color, 0.55)})`;
    return value === null ? {} : { background: mode === 'gradient' ? gradient : withAlpha(color, 0.85), color: readableOn(color) };
  },
};

function gauge(field, { color, value }, text) {
  const background = `linear-gradient(90deg, ${withAlpha(color, 0.35)}, ${withAlpha(color, 0.85)})`;
  const width = `${shareOf(value, scaleOf(field)) * 100}%`;
  return h('span', { class: 'cell-gauge' },
    h('i', {}, h('b', { style: { width, background, 'border-color': color } })),
    h('span', { style: { color } }, text));
}

function linked(content, field, fields, row, view) {
  const [link] = valueLinks(field, { scope: view.scope, address: view.address, fields: view.columns ?? fields, field, row });
  if (!link) return content;
  return h('a', { href: link.href, title: link.title, target: link.blank ? '_blank' : null, rel: 'noreferrer' }, content);
}

function footer(fields, { show, reducer = [], fields: wanted } = {}) {
  if (!show) return null;
  const cell = (field, index) => {
    const counted = field.type === 'number' && (!wanted?.length || wanted.includes(fieldName(field)));
    if (!counted) return h('td', {}, index === 0 ? CALCULATION_NAMES[reducer[0]] ?? '' : '');
    const shown = display(reduce(field.values, reducer[0]), field);
    return h('td', { style: { 'text-align': alignment(field) } }, shown.prefix + shown.text + shown.suffix);
  };
  return h('tfoot', {}, h('tr', {}, fields.map(cell)));
}
