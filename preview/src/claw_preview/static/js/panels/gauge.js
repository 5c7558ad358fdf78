// A value on an arc with its thresholds.

import { cssColor } from '../colors.js';
import { h, s } from '../dom.js';
import { scaleOf, shareOf, singleValues } from '../fields.js';
import { linkedItem } from '../links.js';
import { fitting, tiles } from './stat.js';

const START = -Math.PI * 1.18;
const SWEEP = Math.PI * 1.36;
const CENTER = 100;

export function draw(body, view) {
  const items = singleValues(view.frames, view.panel.options);
  if (!items.some(({ value }) => value !== null)) return 'empty';
  const named = items.length > 1;
  const [columns] = tiles(items.length, body, 'auto', 1.25);
  const style = { 'grid-template-columns': `repeat(${columns}, 1fr)` };
  body.replaceChildren(h('div', { class: 'gauges', style }, items.map((item) => gauge(item, named, view))));
  return 'drawn';
}

function gauge(item, named, view) {
  const { name, value, field, shown } = item;
  const { showThresholdMarkers = true } = view.panel.options ?? {};
  const scale = scaleOf(field);
  const share = shareOf(value, scale);
  const text = shown.prefix + shown.text + shown.suffix;
  return linkedItem(item, view, { class: 'gauge', title: `${name}: ${text}` },
    s('svg', { viewBox: '4 5 192 153', role: 'img', 'aria-label': `${name}: ${text}` },
      s('path', { d: arc(78, 0, 1), class: 'gauge-track' }),
      share > 0 && s('path', { d: arc(78, 0, share), class: 'gauge-value', stroke: shown.color }),
      showThresholdMarkers && markers(field, scale),
      s('text', { x: CENTER, y: 116, class: 'gauge-text', fill: shown.color, 'font-size': fitting(text, 104, 38) }, text)),
    named && h('div', { class: 'gauge-name' }, name));
}

function markers(field, scale) {
  const { steps = [], mode } = field.config?.thresholds ?? {};
  const place = (value) => shareOf(value, mode === 'percentage' ? { min: 0, max: 100 } : scale);
  return steps.map((step, index) => {
    const from = typeof step.value === 'number' ? place(step.value) : 0;
    const to = steps[index + 1] ? place(steps[index + 1].value) : 1;
    return to > from && s('path', { d: arc(91, from, to), class: 'gauge-threshold', stroke: cssColor(step.color) });
  });
}

function arc(radius, from, to) {
  const point = (share) => {
    const angle = START + SWEEP * share;
    return [CENTER + radius * Math.cos(angle), CENTER + radius * Math.sin(angle)].map((place) => place.toFixed(2));
  };
  const long = SWEEP * (to - from) > Math.PI ? 1 : 0;
  return `M${point(from)} A${radius},${radius} 0 ${long} 1 ${point(to)}`;
}
