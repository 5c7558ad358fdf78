// One big number (or one per series), with the line of how it came about.

import { cssColor, readableOn, withAlpha } from '../colors.js';
import { h, s } from '../dom.js';
import { singleValues } from '../fields.js';
import { linkedItem } from '../links.js';

const WIDTH_OF_LETTER = 0.58;

export function draw(body, view) {
  const options = view.panel.options ?? {};
  const items = singleValues(view.frames, options);
  if (!items.some(({ value }) => value !== null)) return 'empty';
  const [columns, rows] = tiles(items.length, body, options.orientation);
  const box = { width: body.clientWidth / columns, height: body.clientHeight / rows, many: items.length > 1, longest: Math.max(...items.map(({ name }) => name.length)) };
  const style = { 'grid-template-columns': `repeat(${columns}, 1fr)`, 'grid-template-rows': `repeat(${rows}, 1fr)` };
  body.replaceChildren(h('div', { class: 'stats', style }, items.map((item) => tile(item, box, options, view))));
  return 'drawn';
}

/** Columns and rows that leave each of `count` tiles a shape near `aspect`:1. */
export function tiles(count, { clientWidth: width, clientHeight: height }, orientation = 'auto', aspect = 2) {
  if (orientation === 'horizontal') return [1, count];
  if (orientation === 'vertical') return [count, 1];
  let best = [1, count];
  let bestSize = 0;
  for (let columns = 1; columns <= count; columns += 1) {
    const rows = Math.ceil(count / columns);
    const size = Math.min(width / columns / aspect, height / rows);
    if (size > bestSize * 1.01) [best, bestSize] = [[columns, rows], size];
  }
  return best;
}

function tile(item, box, { colorMode = 'value', graphMode = 'none', textMode = 'auto', justifyMode = 'auto' }, view) {
  const { shown } = item;
  const many = box.many;
  const withName = textMode === 'value_and_name' || textMode === 'name' || (textMode === 'auto' && many);
  const withValue = textMode !== 'name' && textMode !== 'none';
  const filled = colorMode.startsWith('background');
  const ink = filled ? readableOn(shown.color) : colorMode === 'none' ? cssColor('text') : shown.color;
  const graph = graphMode === 'area' && item.values.filter((value) => value !== null).length > 1;
  const text = shown.prefix + shown.text + shown.suffix;
  const lines = withName && withValue ? 2 : 1;
  const size = fitting(text, box.width - 24, (box.height - 12) * (graph ? 0.5 : 0.62) / (lines === 2 ? 1.35 : 1));
  const background = filled ? `linear-gradient(120deg, ${shown.color}, ${withAlpha(shown.color, 0.78)})` : undefined;
  const centered = justifyMode === 'center' || (justifyMode === 'auto' && !graph && !many);
  const layout = ['stat', !graph && 'middle', centered && 'center'].filter(Boolean).join(' ');
  const nameStyle = { 'font-size': `${Math.max(11, Math.min(16, size * 0.42, (box.width - 24) / (box.longest * WIDTH_OF_LETTER)))}px`, color: filled ? ink : undefined };
  return linkedItem(item, view, { class: layout, style: { background, color: ink }, title: `${item.name}: ${text}` },
    graph && sparkline(item, filled ? readableOn(shown.color) : ink),
    withName && h('div', { class: 'stat-name', style: nameStyle }, item.name),
    withValue && h('div', { class: 'stat-value', style: { 'font-size': `${size}px` } },
      h('span', { class: 'affix' }, shown.prefix), shown.text, h('span', { class: 'affix' }, shown.suffix)));
}

/** Font size at which `text` fits a box. */
export function fitting(text, width, height) {
  return Math.max(12, Math.min(height, width / (Math.max(2, text.length) * WIDTH_OF_LETTER), 64));
}

/** A filled line of the values, 100 x 40 units, stretched over its parent; broken where nothing is known. */
export function sparkline({ values, field }, color) {
  const numbers = values.filter(isNumber);
  const low = field.config?.min ?? Math.min(...numbers);
  const span = (field.config?.max ?? Math.max(...numbers)) - low || 1;
  const place = (value, index) => {
    const height = Math.min(1, Math.max(0, (value - low) / span)) * 34;
    return `${((index / Math.max(1, values.length - 1)) * 100).toFixed(2)},${(38 - height).toFixed(2)}`;
  };
  const lines = [[]];
  values.forEach((value, index) => (isNumber(value) ? lines.at(-1).push(place(value, index)) : lines.push([])));
  return s('svg', { class: 'sparkline', viewBox: '0 0 100 40', preserveAspectRatio: 'none', 'aria-hidden': 'true' },
    lines.filter((line) => line.length > 1).map((line) => [
      s('path', { d: `M${line[0].split(',')[0]},40 L${line.join(' L')} L${line.at(-1).split(',')[0]},40 Z`, fill: color, 'fill-opacity': 0.14 }),
      s('path', { d: `M${line.join(' L')}`, class: 'sparkline-line', stroke: color }),
    ]));
}

const isNumber = (value) => typeof value === 'number' && Number.isFinite(value);
