// Where the page begins: which of its two faces is wanted?

import { getConfig, getDashboards } from './api.js';
import { showDashboard } from './dashboard.js';
import { h } from './dom.js';
import { showHome } from './home.js';

const root = document.querySelector('main');
const bannerPlace = document.querySelector('#banner');

/** Trouble that concerns the whole page; null takes it away. */
function banner(error) {
  const head = error?.prometheusDown ? 'No Prometheus. ' : 'Something went wrong. ';
  const shown = error && h('div', { class: 'banner', role: 'alert' }, h('strong', {}, head), error.message);
  bannerPlace.replaceChildren(...(shown ? [shown] : []));
}

async function start() {
  const [config, { dashboards, broken }] = await Promise.all([getConfig(), getDashboards()]);
  document.querySelector('#source').textContent = config.prometheus_url.replace(/^https?:\/\//, '');
  const uid = /^\/d\/([^/]+)/.exec(location.pathname)?.[1];
  const sources = new Set(config.loki_url ? ['prometheus', 'loki'] : ['prometheus']);
  const site = { config, sources, dashboards, broken, banner };
  if (uid) await showDashboard(root, decodeURIComponent(uid), site);
  else showHome(root, site);
}

start().catch((error) => {
  banner(error);
  root.replaceChildren(h('p', { class: 'hint' }, h('a', { href: '/' }, 'All dashboards')));
  document.body.dataset.settled = 'true';
});
