// The server's API. A failure is an ApiError whose message can be shown as it is.

export class ApiError extends Error {
  constructor(message, type) {
    super(message);
    this.type = type;
  }

  /** Prometheus itself is the trouble, so every other query fails the same way. */
  get prometheusDown() {
    return this.type.startsWith('err-claw-preview-') && /unreachable|not-prometheus/.test(this.type);
  }
}

async function call(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new ApiError(`This page's own server at ${location.origin} does not answer; is claw-preview still running?`, 'server');
  }
  const text = await response.text();
  let body;
  try {
    body = JSON.parse(text);
  } catch {
    throw new ApiError(`${path} answered ${response.status}: ${text.slice(0, 200)}`, 'server');
  }
  if (!response.ok || body.status === 'error') throw new ApiError(body.error ?? text, String(body.errorType ?? response.status));
  return body;
}

const post = (path, parameters, signal) => call(path, { method: 'POST', body: new URLSearchParams(parameters), signal });

export const getConfig = () => call('/api/config');
export const getDashboards = () => call('/api/dashboards');
export const getDashboard = (uid) => call(`/api/dashboards/${encodeURIComponent(uid)}`);

/** Where each kind of data source is asked. */
const DOORS = { prometheus: '/api', loki: '/api/loki' };

/** Instant query at `time` (seconds). Gives Prometheus' (or Loki's) `data` with `warnings` beside it. */
export const query = (expr, { time, signal, source = 'prometheus' }) =>
  post(`${DOORS[source]}/query`, { query: expr, time }, signal).then(withWarnings);

/** Range query; `start`, `end` and `step` in seconds. */
export const queryRange = (expr, { start, end, step, limit, signal, source = 'prometheus' }) =>
  post(`${DOORS[source]}/query_range`, { query: expr, start, end, step, ...(limit ? { limit } : {}) }, signal).then(withWarnings);

/** Values of a variable query such as label_values(up, job). */
export const variableValues = (text, { start, end }, source = 'prometheus') =>
  post(`${DOORS[source]}/vars`, { query: text, start, end }).then((body) => body.data);

// Prometheus' `infos` (a metric's name is unusual) help those who write queries, not those who read panels.
const withWarnings = (body) => ({ ...body.data, warnings: body.warnings ?? [] });
