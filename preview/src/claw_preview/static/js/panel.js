// One panel on the page: its frame, its state, its drawing.

import { clear } from './chart.js';
import { h } from './dom.js';
import { panelLinks } from './links.js';
import { activeTargets, loadPanel } from './load.js';
import { PANELS, undrawable } from './panels/index.js';
import { tip } from './tip.js';
import { interpolate, makeScope } from './variables.js';

/** A panel: {element, load(context), close()}. Its state stands in data-state: loading, drawn, empty, undrawable, error. */
export function makePanel(json) {
  const title = h('button', { type: 'button', class: 'panel-title', onclick: () => enlarge(element) });
  const note = h('span', { class: 'panel-note', tabindex: '0', hidden: true }, '!');
  const links = h('span', { class: 'panel-links' });
  const body = h('div', { class: 'panel-body' });
  const element = h('section', { class: 'panel', 'data-state': 'loading', 'data-type': json.type, 'data-id': json.id },
    h('header', {}, title, json.description && tip(h('span', { class: 'panel-info', tabindex: '0' }, 'i'), json.description), links, note), body);
  const panel = { json, element, body, title, links, note, memory: { hidden: new Set() }, last: null, abort: null, failed: null, drawing: Promise.resolve() };
  const observer = new ResizeObserver(() => requestAnimationFrame(() => redraw(panel)));
  observer.observe(body);
  tip(note, '');
  return { element, json, load: (context) => load(panel, context), close: () => observer.disconnect() };
}

/** One panel over the whole page, and back. */
function enlarge(element) {
  const full = element.classList.toggle('full');
  document.body.classList.toggle('has-full', full);
}

/** Back to the dashboard, by the Escape key. */
export function closeEnlarged(event) {
  if (event.key !== 'Escape') return;
  document.querySelector('.panel.full')?.classList.remove('full');
  document.body.classList.remove('has-full');
}

/** Ask and draw. Gives the error, or null. */
async function load(panel, context) {
  setTitle(panel, context);
  const reason = undrawable(panel.json, context.sources);
  if (reason) return message(panel, 'undrawable', reason.head, reason.detail);
  panel.abort?.abort();
  panel.abort = new AbortController();
  panel.element.setAttribute('aria-busy', 'true');
  try {
    const width = Math.max(100, panel.body.clientWidth);
    const loaded = await loadPanel(panel.json, { ...context, width, signal: panel.abort.signal });
    panel.failed = null;
    panel.last = { ...loaded, address: context.address, annotations: context.annotations };
    return await redraw(panel);
  } catch (error) {
    if (error.name === 'AbortError') return null;
    fail(panel, error);
    return error;
  } finally {
    panel.element.removeAttribute('aria-busy');
  }
}

function setTitle({ json, title, links, element }, { variables, range, address }) {
  const scope = makeScope(variables, range);
  const text = interpolate(json.title ?? '', scope, 'title');
  title.textContent = text;
  title.title = text;
  links.replaceChildren(...panelLinks(json, scope, address).map(linkElement));
  element.setAttribute('aria-label', text);
}

const linkElement = ({ title, href, blank }) =>
  h('a', { href, title, target: blank ? '_blank' : null, rel: 'noreferrer' }, h('span', {}, title), ' ↗');

/** Draw what was last asked, one drawing after the other: a resize may come during one. Gives the error, or null. */
function redraw(panel) {
  panel.drawing = panel.drawing.then(() => draw(panel)).catch((error) => {
    fail(panel, error);
    return error;
  });
  return panel.drawing;
}

async function draw(panel) {
  const { last, body, json, memory } = panel;
  if (!last || body.clientWidth === 0) return null;
  if (body.querySelector(':scope > .message')) clear(body);
  const view = { ...last, panel: json, memory, redraw: () => redraw(panel) };
  const needsNothing = json.type === 'text' || activeTargets(json).length > 0;
  if (!needsNothing) return message(panel, 'empty', 'No data', 'The panel has no query.');
  const state = await PANELS[json.type](body, view);
  if (state === 'empty') message(panel, 'empty', json.fieldConfig?.defaults?.noValue ?? 'No data');
  if (panel.failed) return panel.failed; // a resize redraws what is kept, and the failure stays said
  panel.element.dataset.state = state;
  delete panel.element.dataset.error;
  remark(panel, last.notes);
  return null;
}

/** Words in place of a drawing. */
function message({ body, element }, state, head, detail) {
  clear(body);
  body.replaceChildren(h('div', { class: `message ${state}` }, h('strong', {}, head), detail ? h('span', {}, detail) : null));
  element.dataset.state = state;
  return null;
}

/** A panel that was drawn stays, with a mark; one that was not says what went wrong. */
function fail(panel, error) {
  const detail = error.prometheusDown ? 'Prometheus does not answer; see above.' : error.message;
  const kept = panel.last && panel.body.childElementCount > 0 && !panel.body.querySelector(':scope > .message');
  if (kept) remark(panel, [detail]);
  else message(panel, 'error', 'Error', detail);
  panel.failed = error;
  panel.element.dataset.state = 'error';
  panel.element.dataset.error = error.message;
}

function remark({ note }, notes) {
  note.hidden = !notes?.length;
  note.setAttribute('aria-label', [...new Set(notes)].join('\n'));
}
