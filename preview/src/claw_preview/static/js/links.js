// Links between dashboards, which keep variables and time; and links in cells.

import { h } from './dom.js';
import { displayText } from './fields.js';
import { fieldName } from './frames.js';
import { builtin, interpolate, writeAddress } from './variables.js';

/** `url` with the cell's and the page's values in place. `address`: {time, variables} of the page. */
export function fillLink(url, place) {
  return safe(interpolate(url, placed(place, encodeURIComponent), 'url'));
}

/** The same for words. */
const fillText = (text, place) => interpolate(text, placed(place, String), 'title');

/** What a link may name: the cell, its column, its row, and the page's time and variables. */
function placed({ scope, address, fields = [], field, row }, write) {
  const column = (name) => fields.find((candidate) => fieldName(candidate) === name || candidate.name === name);
  const parts = {
    __data: (path) => column(/^fields(?:\.|\[")(.+?)(?:"\])?$/.exec(path)?.[1])?.values[row],
    __value: (path) => ({ text: () => displayText(field.values[row], field), time: () => timeOf(fields, row) }[path] ?? (() => field?.values[row]))(),
    __field: (path) => (path === 'name' ? fieldName(field) : field?.labels[labelIn(path)]),
    __series: () => field && fieldName(field),
  };
  const entries = Object.entries(parts).map(([name, find]) => [name, { ...builtin(''), at: (path) => write(find(path) ?? '') }]);
  const time = { ...builtin(String(addressOf(address, { keepTime: true }))), raw: true };
  const all = { ...builtin(String(addressOf(address, { includeVars: true }))), raw: true };
  return new Map([...scope, ...entries, ['__url_time_range', time], ['__all_variables', all]]);
}

const timeOf = (fields, row) => fields.find(({ type }) => type === 'time')?.values[row];

/** labels.x or labels["x"] */
const labelIn = (path) => /^labels(?:\.|\[")(.+?)(?:"\])?$/.exec(path)?.[1] ?? path;

/** A dashboard's file may name any address; only a page may be opened. */
function safe(url) {
  return /^(https?:|\/|\?|#|[\w-]+(\/|\?|$))/i.test(url.trim()) ? url : '#';
}

/** It needs a value to lead somewhere: which series, which time. */
const POINTED = /\$\{__(value|data|field|series)/;

/** The links of a panel that need no value: its own, and those of its fields: [{title, href, blank}]. */
export function panelLinks({ links = [], fieldConfig }, scope, address) {
  const ofFields = (fieldConfig?.defaults?.links ?? []).filter(({ url }) => !POINTED.test(url ?? ''));
  return [...links, ...ofFields].map((link) => ({
    title: interpolate(link.title || link.url, scope, 'title'),
    href: extended(fillLink(link.url ?? '', { scope, address }), addressOf(address, link)),
    blank: Boolean(link.targetBlank),
  }));
}

/** The links of one value: [{title, href, blank}]. `row` is its place in the columns. */
export function valueLinks(field, { scope, address, fields, row }) {
  return (field.config?.links ?? []).filter(({ url }) => url).map((link) => ({
    title: fillText(link.title || 'Open', { scope, address, fields, field, row }),
    href: fillLink(link.url, { scope, address, fields, field, row }),
    blank: Boolean(link.targetBlank),
  }));
}

/** An element for one of singleValues' items: a link where its field has one. */
export function linkedItem({ field, value, row }, view, attributes, ...children) {
  const [link] = valueLinks(field, { scope: view.scope, address: view.address, fields: [field], row: row ?? field.values.lastIndexOf(value) });
  if (!link) return h('div', attributes, ...children);
  return h('a', { ...attributes, href: link.href, title: `${attributes.title}\n${link.title} ↗`, target: link.blank ? '_blank' : null, rel: 'noreferrer' }, ...children);
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
