// Links between dashboards, which keep variables and time; and links in cells.

import { displayText } from './fields.js';
import { fieldName } from './frames.js';
import { builtin, interpolate, writeAddress } from './variables.js';

/** `url` with the cell's and the page's values in place. `address`: {time, variables} of the page. */
export function fillLink(url, { scope, address, fields = [], field, row }) {
  const column = (name) => fields.find((candidate) => fieldName(candidate) === name || candidate.name === name);
  const parts = {
    __data: (path) => column(/^fields(?:\.|\[")(.+?)(?:"\])?$/.exec(path)?.[1])?.values[row],
    __value: (path) => (path === 'text' ? displayText(field.values[row], field) : field?.values[row]),
    __field: (path) => (path === 'name' ? fieldName(field) : field?.labels[path.replace('labels.', '')]),
  };
  const entries = Object.entries(parts).map(([name, find]) => [name, { ...builtin(''), at: (path) => encodeURIComponent(find(path) ?? '') }]);
  const time = { ...builtin(String(addressOf(address, { keepTime: true }))), raw: true };
  const all = { ...builtin(String(addressOf(address, { includeVars: true }))), raw: true };
  return safe(interpolate(url, new Map([...scope, ...entries, ['__url_time_range', time], ['__all_variables', all]]), 'url'));
}

/** A dashboard's file may name any address; only a page may be opened. */
function safe(url) {
  return /^(https?:|\/|\?|#|[\w-]+(\/|\?|$))/i.test(url.trim()) ? url : '#';
}

/** The parameters a link hands on. */
function addressOf({ time, variables }, { keepTime, includeVars }) {
  const parameters = new URLSearchParams();
  if (keepTime) {
    parameters.set('from', time.from);
    parameters.set('to', time.to);
  }
  if (includeVars) writeAddress(variables, parameters);
  return parameters;
}

function extended(url, parameters) {
  const text = parameters.toString();
  return text ? `${url}${url.includes('?') ? '&' : '?'}${text}` : url;
}

/** The links of a dashboard as [{title, href, blank, tooltip, current}]; `all` is the list of dashboards. */
export function dashboardLinks(dashboard, all, scope, address) {
  return (dashboard.links ?? []).flatMap((link) => {
    const parameters = addressOf(address, link);
    const common = { blank: Boolean(link.targetBlank), tooltip: link.tooltip ?? '' };
    if (link.type === 'dashboards') {
      const fitting = all.filter(({ tags }) => (link.tags ?? []).every((tag) => tags.includes(tag)));
      return fitting.map(({ uid, title }) => ({ ...common, title, href: extended(`/d/${uid}`, parameters), current: uid === dashboard.uid }));
    }
    return [{ ...common, title: link.title || link.url, href: extended(fillLink(link.url ?? '', { scope, address }), parameters), current: false }];
  });
}
