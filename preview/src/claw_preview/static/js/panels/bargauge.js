// One bar per value.

import { withAlpha } from '../colors.js';
import { h } from '../dom.js';
import { fieldBounds, scaleOf, shareOf, singleValues } from '../fields.js';
import { linkedItem } from '../links.js';

export function draw(body, view) {
  const options = view.panel.options ?? {};
  const items = singleValues(view.frames, options);
  if (!items.some(({ value }) => value !== null)) return 'empty';
  const found = fieldBounds(items.map(({ field, value }) => ({ ...field, values: [value] })));
  const flat = body.clientWidth > body.clientHeight * 2.6 && items.length < 9;
  const upright = options.orientation === 'vertical' || (options.orientation !== 'horizontal' && flat);
  body.replaceChildren(h('div', { class: upright ? 'bars upright' : 'bars' }, items.map((item) => bar(item, found, view, upright))));
  return 'drawn';
}

function bar(item, found, view, upright) {
  const { name, value, field, shown } = item;
  const { displayMode = 'gradient', showUnfilled = true } = view.panel.options ?? {};
  const scale = scaleOf(field, found);
  const share = shareOf(value, scale);
  const text = shown.prefix + shown.text + shown.suffix;
  const style = {
    [upright ? 'height' : 'width']: `${(share * 100).toFixed(1)}%`,
    background: displayMode === 'gradient' ? gradient(field, shown.color, { scale, share, upright }) : withAlpha(shown.color, 0.55),
    'border-color': shown.color,
  };
  return linkedItem(item, view, { class: 'bar', title: `${name}: ${text}` },
    h('div', { class: 'bar-name' }, name),
    h('div', { class: showUnfilled ? 'bar-track' : 'bar-track bare' }, h('div', { class: 'bar-fill', style })),
    h('div', { class: 'bar-value', style: { color: shown.color } }, text));
}

/** From threshold to threshold, as far as the bar reaches. */
function gradient(field, color, { scale, share, upright }) {
  const direction = upright ? '0deg' : '90deg';
  const steps = field.config?.thresholds?.steps ?? [];
  const place = ({ value }) => (typeof value === 'number' ? shareOf(value, scale) : 0) / share;
  const reached = share > 0 ? steps.filter((step) => place(step) <= 1) : [];
  if ((field.config?.color?.mode ?? 'thresholds') !== 'thresholds' || reached.length < 2) {
    return `linear-gradient(${direction}, ${withAlpha(color, 0.3)}, ${withAlpha(color, 0.8)})`;
  }
  const stops = reached.map((step) => `${withAlpha(step.color, 0.75)} ${(place(step) * 100).toFixed(1)}%`);
  return `linear-gradient(${direction}, ${stops.join(', ')})`;
}
