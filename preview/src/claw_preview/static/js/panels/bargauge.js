// One bar per value.

import { blend, cssColor, withAlpha } from '../colors.js';
import { h } from '../dom.js';
import { fieldBounds, singleValues } from '../fields.js';

export function draw(body, view) {
  const options = view.panel.options ?? {};
  const items = singleValues(view.frames, options);
  if (!items.some(({ value }) => value !== null)) return 'empty';
  const found = fieldBounds(items.map(({ field, value }) => ({ ...field, values: [value] })));
  const upright = options.orientation === 'vertical' || (options.orientation !== 'horizontal' && body.clientWidth > body.clientHeight * 2.6 && items.length < 9);
  body.replaceChildren(h('div', { class: upright ? 'bars upright' : 'bars' }, items.map((item) => bar(item, found, options, upright))));
  return 'drawn';
}

function bar({ name, value, field, shown }, found, { displayMode = 'gradient', showUnfilled = true }, upright) {
  const natural = { percentunit: 1, percent: 100 }[field.config?.unit];
  const [min, max] = [field.config?.min ?? Math.min(0, found.min), field.config?.max ?? natural ?? found.max];
  const share = Math.min(1, Math.max(0, ((value ?? min) - min) / (max - min || 1)));
  const percent = `${(share * 100).toFixed(1)}%`;
  const text = shown.prefix + shown.text + shown.suffix;
  const style = { [upright ? 'height' : 'width']: percent, background: paint(field, shown.color, displayMode, { min, max, share, upright }), 'border-color': shown.color };
  return h('div', { class: 'bar', title: `${name}: ${text}` },
    h('div', { class: 'bar-name' }, name),
    h('div', { class: showUnfilled ? 'bar-track' : 'bar-track bare' }, h('div', { class: 'bar-fill', style })),
    h('div', { class: 'bar-value', style: { color: shown.color } }, text));
}

function paint(field, color, displayMode, { min, max, share, upright }) {
  if (displayMode !== 'gradient') return withAlpha(color, 0.55);
  const steps = field.config?.thresholds?.steps ?? [];
  const direction = upright ? '0deg' : '90deg';
  const mode = field.config?.color?.mode ?? 'thresholds';
  if (mode !== 'thresholds' || steps.length < 2 || share === 0) return `linear-gradient(${direction}, ${withAlpha(color, 0.3)}, ${withAlpha(color, 0.8)})`;
  const place = (step) => (typeof step.value === 'number' ? (step.value - min) / (max - min || 1) : 0) / share;
  const stops = steps.filter((step) => place(step) <= 1).map((step) => `${withAlpha(blend([cssColor(step.color), cssColor(step.color)], 0), 0.75)} ${(place(step) * 100).toFixed(1)}%`);
  return stops.length > 1 ? `linear-gradient(${direction}, ${stops.join(', ')})` : withAlpha(color, 0.7);
}
