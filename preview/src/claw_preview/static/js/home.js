// The start page: all dashboards, and the files that are broken.

import { firstSentence, h } from './dom.js';

/** Show the list in `root`. */
export function showHome(root, { dashboards, broken, config }) {
  document.title = 'Dashboards · Claw';
  const empty = h('p', { class: 'hint' }, `There is no dashboard in ${config.dashboards}. `, h('code', {}, 'make generate'), ' writes them.');
  root.replaceChildren(
    h('div', { class: 'home-head' }, h('h1', {}, 'Dashboards'),
      h('p', {}, 'Drawn from the live Prometheus at ', h('code', {}, config.prometheus_url), '.')),
    ...broken.map(brokenFile),
    dashboards.length ? h('div', { class: 'cards' }, dashboards.map(card)) : empty);
  document.body.dataset.settled = 'true';
}

function card({ uid, title, description, tags, panels }) {
  return h('a', { class: 'card', href: `/d/${uid}` },
    h('h2', {}, title), h('p', {}, firstSentence(description) || uid),
    h('footer', {}, h('span', {}, `${panels} panel${panels === 1 ? '' : 's'}`), tags.map((tag) => h('span', { class: 'tag' }, tag))));
}

const brokenFile = ({ file, reason }) => h('div', { class: 'banner', role: 'alert' }, h('strong', {}, file), ` ${reason}.`);
