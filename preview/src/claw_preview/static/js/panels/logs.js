// Log lines, newest first, coloured by how bad they are; a click on one shows its labels.

import { h } from '../dom.js';
import { fullTime } from '../time.js';

const MOST = 500;
const LEVELS = [
  ['critical', /^(crit|critical|fatal|panic|alert|emerg)/i], ['error', /^err/i], ['warning', /^warn/i], ['info', /^(info|notice)/i],
  ['debug', /^(debug|trace|verbose)/i],
];
const LEVEL_LABELS = ['level', 'detected_level', 'severity'];

export function draw(body, view) {
  const options = view.panel.options ?? {};
  const lines = linesOf(view.frames, options);
  if (!lines.length) return 'empty';
  view.memory.open ??= new Set();
  const scrolled = body.querySelector('.lines')?.scrollTop ?? 0;
  const element = h('div', { class: options.wrapLogMessage === false ? 'lines' : 'lines wrapped', tabindex: '0' },
    lines.slice(0, MOST).map((line) => row(line, options, view)));
  body.replaceChildren(element);
  element.scrollTop = scrolled;
  return 'drawn';
}

/** [{time, line, labels, level}] as the panel orders them. */
export function linesOf(frames, { sortOrder = 'Descending' }) {
  const lines = frames.filter((frame) => frame.lines).flatMap(({ fields: [times, texts, labels] }) =>
    times.values.map((time, index) => ({ time, line: texts.values[index], labels: labels.values[index], level: levelOf(labels.values[index]) })));
  lines.sort((a, b) => (sortOrder === 'Ascending' ? a.time - b.time : b.time - a.time));
  return lines;
}

/** critical, error, warning, info, debug or unknown. */
export function levelOf(labels) {
  const word = LEVEL_LABELS.map((label) => labels[label]).find(Boolean) ?? '';
  return LEVELS.find(([, pattern]) => pattern.test(word))?.[0] ?? 'unknown';
}

function row({ time, line, labels, level }, { showTime = true, showLabels = false, prettifyLogMessage = false, enableLogDetails = true }, { memory }) {
  const key = `${time} ${line}`;
  const details = () => h('dl', { class: 'line-labels' }, Object.entries(labels).sort().flatMap(([name, value]) => [h('dt', {}, name), h('dd', {}, value)]));
  const element = h('div', { class: `line ${level}`, title: level },
    showTime && h('time', {}, fullTime(time)),
    showLabels && h('span', { class: 'line-stream' }, Object.entries(labels).map(([name, value]) => `${name}=${value}`).join(' ')),
    h('span', { class: 'line-text' }, prettifyLogMessage ? pretty(line) : line));
  if (!enableLogDetails) return element;
  const toggle = () => {
    const shown = element.nextElementSibling?.classList.contains('line-labels') ? element.nextElementSibling : null;
    if (shown) shown.remove();
    else element.after(details());
    if (shown) memory.open.delete(key);
    else memory.open.add(key);
  };
  element.addEventListener('click', () => getSelection().isCollapsed && toggle());
  return memory.open.has(key) ? [element, details()] : element;
}

function pretty(line) {
  try {
    return JSON.stringify(JSON.parse(line), null, 2);
  } catch {
    return line;
  }
}
