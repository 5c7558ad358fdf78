// The page of one dashboard.

import { loadAnnotations, readKinds } from './annotations.js';
import { getDashboard, variableValues } from './api.js';
import { annotationControl, closeMenus, rangeControl, refreshControl, refreshMs, variableControl } from './controls.js';
import { firstSentence, h } from './dom.js';
import { dashboardLinks } from './links.js';
import { closeEnlarged, makePanel } from './panel.js';
import { undrawable } from './panels/index.js';
import { fullTime, resolveRange } from './time.js';
import { makeScope, readAddress, readVariable, resolve, writeAddress } from './variables.js';

/** Show the dashboard `uid` in `root`. `site`: {config, sources, dashboards, banner}. */
export async function showDashboard(root, uid, site) {
  const json = await getDashboard(uid);
  const parameters = new URLSearchParams(location.search);
  const page = {
    json, site, root, cycle: 0, timer: 0,
    time: { from: parameters.get('from') ?? json.time?.from ?? 'now-1h', to: parameters.get('to') ?? json.time?.to ?? 'now' },
    refresh: parameters.get('refresh') ?? (json.refresh || ''),
    variables: (json.templating?.list ?? []).map(readVariable),
    kinds: readKinds(json),
  };
  readAddress(page.variables, parameters);
  document.title = `${json.title} · Claw`;
  build(page);
  document.addEventListener('click', closeMenus);
  document.addEventListener('keydown', closeMenus);
  document.addEventListener('keydown', closeEnlarged);
  document.addEventListener('visibilitychange', () => !document.hidden && schedule(page));
  await update(page, { variables: true });
}

/** Rows with the panels below them: [{row, panels}]; the first may have no row. */
export function sections(panels) {
  const result = [];
  for (const panel of [...panels].sort(byPlace)) {
    if (panel.type === 'row') result.push({ row: panel, panels: [...(panel.panels ?? [])].sort(byPlace) });
    else if (result.length) result.at(-1).panels.push(panel);
    else result.push({ row: null, panels: [panel] });
  }
  return result;
}

const byPlace = (a, b) => (a.gridPos?.y ?? 0) - (b.gridPos?.y ?? 0) || (a.gridPos?.x ?? 0) - (b.gridPos?.x ?? 0);

function build(page) {
  page.sections = sections(page.json.panels).map(({ row, panels }) => ({ row, ...fold(row, panels, page.site.sources), panels: panels.map(makePanel) }));
  page.tools = h('div', { class: 'tools' });
  page.links = h('nav', { class: 'links', 'aria-label': 'Other dashboards' });
  page.status = h('span', { class: 'status', role: 'status' });
  page.root.replaceChildren(
    h('div', { class: 'dashboard-head' },
      h('div', {}, h('h1', {}, page.json.title), h('p', {}, firstSentence(page.json.description))), page.links),
    page.tools, ...page.sections.map((section) => sectionElement(page, section)));
}

/** A row of which nothing can be drawn starts folded and says why. */
export function fold(row, panels, sources) {
  const reasons = panels.map((panel) => undrawable(panel, sources)?.head);
  const same = row && reasons.length > 0 && reasons.every((reason) => reason && reason === reasons[0]);
  return { open: !row?.collapsed && !same, reason: same ? reasons[0].toLowerCase().replace('loki', 'Loki') : '' };
}

function sectionElement(page, section) {
  const top = Math.min(...section.panels.map(({ json }) => json.gridPos?.y ?? 0));
  for (const { element, json: { gridPos = {} } } of section.panels) {
    const { x = 0, y = 0, w = 12, h: height = 8 } = gridPos;
    element.style.setProperty('--column', `${x + 1} / span ${w}`);
    element.style.setProperty('--row', `${y - top + 1} / span ${height}`);
    element.style.setProperty('--height', height);
  }
  const grid = h('div', { class: 'panels', hidden: !section.open }, section.panels.map(({ element }) => element));
  if (!section.row) return h('section', {}, grid);
  const count = `(${section.panels.length} panel${section.panels.length === 1 ? '' : 's'})`;
  const onclick = () => {
    section.open = !section.open;
    grid.hidden = !section.open;
    button.setAttribute('aria-expanded', String(section.open));
    if (section.open) update(page);
  };
  const button = h('button', { type: 'button', class: 'row', 'aria-expanded': String(section.open), onclick },
    h('i', {}), h('span', {}, section.row.title), h('small', {}, section.reason ? `${count} ${section.reason}` : count));
  return h('section', { class: 'section' }, button, grid);
}

/** Ask everything that is visible, and draw it. When all panels are done, data-settled and data-cycle of the body say so. */
async function update(page, { variables = false } = {}) {
  page.cycle += 1;
  const { cycle } = page;
  document.body.dataset.settled = 'false';
  clearTimeout(page.timer);
  page.range = resolveRange(page.time);
  const unresolved = variables || page.variables.some((variable) => variable.options.length === 0 && !variable.needs);
  const unknown = unresolved ? await resolveVariables(page).catch((error) => error) : null;
  if (cycle !== page.cycle) return;
  writePageAddress(page);
  const trouble = await loadPanels(page).catch((error) => error) ?? unknown;
  if (cycle !== page.cycle) return;
  page.site.banner(trouble);
  page.status.textContent = trouble ? 'failed' : fullTime(Date.now()).slice(11);
  document.body.dataset.settled = 'true';
  document.body.dataset.cycle = String(cycle);
  schedule(page);
}

/** A failure leaves the variables as they are: the page says so, and the panels show what they can. */
async function resolveVariables(page) {
  const span = { start: page.range.from / 1000, end: page.range.to / 1000 };
  try {
    for (const variable of page.variables) { // in order: one may use those before it
      await resolve(variable, makeScope(page.variables, page.range), { sources: page.site.sources, ask: (text, source) => variableValues(text, span, source) });
    }
  } finally {
    showTools(page);
  }
}

async function loadPanels(page) {
  const address = { time: page.time, variables: page.variables };
  const common = { variables: page.variables, range: page.range, scrapeMs: page.site.config.scrape_interval_seconds * 1000, address, sources: page.site.sources };
  const annotations = await loadAnnotations(page.kinds, common).catch((error) => (error.prometheusDown ? [] : Promise.reject(error)));
  const panels = page.sections.filter(({ open }) => open).flatMap((section) => section.panels);
  const errors = await Promise.all(panels.map((panel) => panel.load({ ...common, annotations })));
  return errors.find((error) => error?.prometheusDown) ?? null;
}

function schedule(page) {
  clearTimeout(page.timer);
  const wait = refreshMs(page.refresh);
  if (wait && !document.hidden) page.timer = setTimeout(() => update(page), wait);
}

function showTools(page) {
  const shown = page.variables.filter(hasControl);
  const changed = (change) => (value) => {
    change(value);
    update(page, { variables: true });
  };
  const variables = shown.map((variable) => variableControl(variable, changed((value) => {
    variable.value = value;
  })));
  const kinds = page.kinds.filter(({ hidden }) => !hidden).map((kind) => annotationControl(kind, (on) => {
    kind.on = on;
    update(page);
  }));
  const range = rangeControl(page.time, changed((time) => {
    page.time = time;
  }));
  const refresh = refreshControl(page.refresh, {
    onrefresh: () => update(page, { variables: true }),
    oninterval: (interval) => {
      page.refresh = interval;
      writePageAddress(page);
      schedule(page);
    },
  });
  const times = h('div', { class: 'times' }, page.status, range, refresh);
  keepFocus(() => page.tools.replaceChildren(h('div', { class: 'variables' }, variables, kinds), times), page.tools);
  const address = { time: page.time, variables: page.variables };
  const links = dashboardLinks(page.json, page.site.dashboards, makeScope(page.variables, page.range), address);
  page.links.replaceChildren(...shortened(links).map(linkElement));
}

/** One Prometheus is no choice; a data source that is not here is worth saying. */
const hasControl = ({ hide, kind, query }) => hide !== 2 && kind !== 'constant' && !(kind === 'datasource' && query === 'prometheus');

/** What all names begin with, such as "Claw AI: ", is said once, in the dashboard's own title. */
export function shortened(links) {
  const [start] = /^[^:]+: /.exec(links[0]?.title ?? '') ?? [''];
  if (!start || links.length < 2 || !links.every(({ title }) => title.startsWith(start))) return links;
  return links.map((link) => ({ ...link, title: link.title.slice(start.length) }));
}

function linkElement({ title, href, blank, tooltip, current }) {
  return h('a', { href, title: tooltip, target: blank ? '_blank' : null, rel: 'noreferrer', 'aria-current': current ? 'page' : null }, title);
}

/** Rebuilding the tools must not take the keyboard away from them. */
function keepFocus(rebuild, root) {
  const focusable = () => [...root.querySelectorAll('select, button, summary, input')];
  const place = focusable().indexOf(document.activeElement);
  rebuild();
  if (place >= 0) focusable()[place]?.focus();
}

function writePageAddress(page) {
  const parameters = new URLSearchParams(location.search);
  parameters.set('from', page.time.from);
  parameters.set('to', page.time.to);
  parameters.set('refresh', page.refresh);
  writeAddress(page.variables, parameters);
  history.replaceState(null, '', `${location.pathname}?${parameters}`);
}
