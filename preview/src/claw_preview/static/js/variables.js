// Dashboard variables: their choices, their values in the address, and their place in queries and titles.

import { parseDuration, formatDuration, roundInterval } from './time.js';

export const ALL = '$__all';

const REFERENCE = /\$(\w+)|\[\[(\w+?)(?::(\w+))?\]\]|\$\{(\w+)((?:\.[^:}]+)*)(?::([^}]+))?\}/g;

const escapeString = (text) => text.replace(/\\/g, '\\\\').replace(/'/g, "\\'").replace(/"/g, '\\"');
const escapeRegex = (text) => text.replace(/\\/g, '\\\\\\\\').replace(/[$^*{}[\]'+?.()|]/g, '\\\\$&').replace(/"/g, '\\"');
const escapePattern = (text) => text.replace(/[\\^$*+?.()|[\]{}/]/g, '\\$&');
const group = (values) => (values.length === 1 ? values[0] : `(${values.join('|')})`);

// How `${name:format}` writes a list of values.
const FORMATS = {
  regex: (values) => group(values.map(escapePattern)),
  pipe: (values) => values.join('|'),
  csv: (values) => values.join(','),
  raw: (values) => values.join(','),
  text: (values) => values.join(' + '),
  json: (values) => JSON.stringify(values.length === 1 ? values[0] : values),
  glob: (values) => (values.length === 1 ? values[0] : `{${values.join(',')}}`),
  doublequote: (values) => values.map((value) => `"${value}"`).join(','),
  singlequote: (values) => values.map((value) => `'${value}'`).join(','),
  percentencode: (values) => values.map(encodeURIComponent).join(','),
  queryparam: (values, name) => values.map((value) => `var-${name}=${encodeURIComponent(value)}`).join('&'),
};

// How a plain `$name` is written, by what the text is for.
const PURPOSES = {
  loki(variable, values) {
    if (variable.kind === 'builtin' || variable.kind === 'interval') return values.join(',');
    return variable.multi || variable.includeAll ? group(values.map(escapeRegex)) : values[0] ?? '';
  },
  prometheus(variable, values) {
    if (variable.kind === 'builtin' || variable.kind === 'interval') return values.join(',');
    return variable.multi || variable.includeAll ? group(values.map(escapeRegex)) : escapeString(values[0] ?? '');
  },
  title: (variable, values) => (isAll(variable) ? 'All' : values.join(' + ')),
  url: (variable, values) => (variable.raw ? values.join(',') : values.map(encodeURIComponent).join(',')),
  text: (_variable, values) => values.join(','),
};

const isAll = (variable) => variable.includeAll && variable.value[0] === ALL;

/** The values a variable stands for now. */
export function selected(variable) {
  return isAll(variable) ? variable.options.map((option) => option.value) : variable.value;
}

/**
 * Put values in place of $name, ${name:format} and [[name]]; `purpose`: prometheus, loki, title, url or text.
 * A name nobody knows stays as it is.
 */
export function interpolate(text, scope, purpose = 'text') {
  return String(text ?? '').replace(REFERENCE, (whole, plain, square, squareFormat, curly, path, curlyFormat) => {
    const name = plain ?? square ?? curly;
    const variable = scope.get(name);
    if (!variable) return whole;
    if (path && variable.at) return variable.at(path.slice(1), curlyFormat) ?? whole;
    return write(variable, squareFormat ?? curlyFormat, purpose);
  });
}

function write(variable, format, purpose) {
  const custom = isAll(variable) && variable.allValue;
  if (custom && format !== 'text' && purpose !== 'title' && format !== 'queryparam') return variable.allValue;
  if (format === 'queryparam') return FORMATS.queryparam(variable.value, variable.name);
  if (format === 'text') return PURPOSES.title(variable, selected(variable));
  const writer = FORMATS[format];
  return writer ? writer(selected(variable).map(String), variable.name) : PURPOSES[purpose](variable, selected(variable).map(String));
}

/** A scope entry of the page's own, such as __interval. */
export const builtin = (value) => ({ kind: 'builtin', value: [String(value)], options: [] });

/** The scope of a dashboard: its variables and the time ones. */
export function makeScope(variables, { from, to }) {
  const rangeMs = to - from;
  return new Map([
    ...variables.map((variable) => [variable.name, variable]),
    ['__range', builtin(`${Math.round(rangeMs / 1000)}s`)],
    ['__range_s', builtin(Math.round(rangeMs / 1000))],
    ['__range_ms', builtin(rangeMs)],
    ['__from', { ...builtin(from), at: (_path, format) => timeAs(from, format) }],
    ['__to', { ...builtin(to), at: (_path, format) => timeAs(to, format) }],
  ]);
}

const timeAs = (ms, format) => (format === 'date' ? new Date(ms).toISOString() : String(ms));

/** The same scope with the steps of one query. */
export function withIntervals(scope, { stepMs, rateMs }) {
  return new Map([
    ...scope,
    ['__interval', builtin(formatDuration(stepMs))],
    ['__interval_ms', builtin(stepMs)],
    ['__auto', builtin(formatDuration(stepMs))],
    ['__rate_interval', builtin(formatDuration(rateMs))],
    ['__rate_interval_ms', builtin(rateMs)],
  ]);
}

/** A variable of a dashboard's JSON, without its choices yet. */
export function readVariable(json) {
  const current = json.current?.value;
  return {
    kind: json.type,
    name: json.name,
    label: json.label || json.name,
    description: json.description ?? '',
    hide: json.hide ?? 0,
    multi: Boolean(json.multi),
    includeAll: Boolean(json.includeAll),
    allValue: json.allValue || undefined,
    sort: json.sort ?? 0,
    regex: json.regex ?? '',
    query: queryText(json),
    json,
    options: [],
    value: current === undefined || current === '' ? [] : [current].flat().map(String),
  };
}

function queryText({ query, definition, type }) {
  if (typeof query === 'string') return query;
  if (!query) return definition ?? '';
  if (query.query) return query.query;
  const from = query.metric || query.stream;
  const metric = from ? `${from}, ` : '';
  return type === 'query' && query.label ? `label_values(${metric}${query.label})` : definition ?? '';
}

/** Pieces of "a, b\, c, text : value". */
export function customOptions(text) {
  return text.split(/(?<!\\),/).map((part) => part.trim().replace(/\\,/g, ',')).filter(Boolean).map((part) => {
    const pair = /^(.+?)\s+:\s+(.+)$/.exec(part);
    return pair ? { text: pair[1], value: pair[2] } : { text: part, value: part };
  });
}

/** Values of a query, as choices: the variable's regex picks or cuts, `sort` orders. */
export function queryOptions(values, { regex, sort }) {
  const seen = new Map();
  for (const value of values) {
    const picked = pick(value, regex);
    if (picked && !seen.has(picked.value)) seen.set(picked.value, picked);
  }
  return order([...seen.values()], sort);
}

function pick(value, regex) {
  if (!regex) return { text: value, value };
  const parts = /^\/(.*)\/([gimsuy]*)$/.exec(regex);
  const match = new RegExp(parts ? parts[1] : regex, (parts?.[2] ?? '').replace('g', '')).exec(value);
  if (!match) return null;
  const named = match.groups ?? {};
  const chosen = named.value ?? named.text ?? match[1] ?? value;
  return { text: named.text ?? chosen, value: chosen };
}

const byText = (a, b) => a.text.localeCompare(b.text);
const byNumber = (a, b) => (parseFloat(a.text.replace(/^\D+/, '')) || 0) - (parseFloat(b.text.replace(/^\D+/, '')) || 0);
const ORDERS = [null, byText, (a, b) => byText(b, a), byNumber, (a, b) => byNumber(b, a), byText, (a, b) => byText(b, a),
  (a, b) => a.text.localeCompare(b.text, undefined, { numeric: true }), (a, b) => b.text.localeCompare(a.text, undefined, { numeric: true })];

function order(options, sort) {
  return ORDERS[sort] ? options.sort(ORDERS[sort]) : options;
}

// Where each kind of variable has its choices from.
export const RESOLVERS = {
  query: async (variable, scope, { ask }) => {
    const source = sourceOf(variable);
    return queryOptions(await ask(interpolate(variable.query, scope, source), source), variable);
  },
  custom: (variable) => customOptions(variable.query),
  interval: (variable, scope) => intervalOptions(variable, scope),
  datasource: ({ query }) => [{ text: SOURCE_NAMES[query] ?? query, value: query }],
  constant: (variable) => [{ text: variable.query, value: variable.query }],
  textbox: (variable) => [{ text: variable.value[0] ?? variable.query, value: variable.value[0] ?? variable.query }],
};

function intervalOptions({ query, json }, scope) {
  const options = customOptions(query);
  if (!json.auto) return options;
  const wanted = Number(scope.get('__range_ms').value[0]) / (json.auto_count || 30);
  const auto = formatDuration(Math.max(parseDuration(json.auto_min) || 0, roundInterval(wanted)));
  return [{ text: `auto (${auto})`, value: auto }, ...options];
}

/** The kind of data source a variable's choices come from. */
const sourceOf = ({ kind, query, json }) => (kind === 'datasource' ? query : (kind === 'query' && json.datasource?.type) || 'prometheus');

/** How the sources a page can have are called. */
export const SOURCE_NAMES = { prometheus: 'Prometheus', loki: 'Loki' };

/** Find the choices of a variable and keep its value among them. `site`: {sources (types that are here), ask(query, source)}. */
export async function resolve(variable, scope, site) {
  const resolver = RESOLVERS[variable.kind];
  variable.needs = site.sources.has(sourceOf(variable)) ? null : sourceOf(variable);
  variable.options = resolver && !variable.needs ? await resolver(variable, scope, site) : [];
  if (variable.kind !== 'textbox') keepValue(variable);
  else variable.value = [variable.options[0].value];
}

function keepValue(variable) {
  const known = new Set(variable.options.map((option) => option.value));
  if (variable.includeAll && (variable.value[0] === ALL || variable.value[0] === 'All')) variable.value = [ALL];
  else variable.value = variable.value.filter((value) => known.has(value));
  if (!variable.multi) variable.value = variable.value.slice(0, 1);
  if (variable.value.length === 0) variable.value = variable.includeAll ? [ALL] : variable.options.slice(0, 1).map((option) => option.value);
}

/** Take values from the page's address. */
export function readAddress(variables, parameters) {
  for (const variable of variables) {
    const values = parameters.getAll(`var-${variable.name}`);
    if (values.length) variable.value = values.map((value) => (value === 'All' ? ALL : value));
  }
}

/** Put values into an address. */
export function writeAddress(variables, parameters) {
  for (const variable of variables) {
    parameters.delete(`var-${variable.name}`);
    if (variable.json?.skipUrlSync || variable.kind === 'constant') continue; // a hidden one is handed on: it was chosen elsewhere
    for (const value of variable.value) parameters.append(`var-${variable.name}`, value);
  }
}
