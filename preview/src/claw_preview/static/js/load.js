// From a panel's JSON to its frames: queries, transformations, field configuration.

import { query, queryRange } from './api.js';
import { configure } from './fields.js';
import { toFrames } from './frames.js';
import { parseDuration, queryInterval } from './time.js';
import { transform } from './transform.js';
import { interpolate, makeScope, withIntervals } from './variables.js';

/** The queries of a panel that are asked. */
export const activeTargets = (panel) => (panel.targets ?? []).filter((target) => !target.hide && target.expr?.trim());

/** The kind of data source a query asks. */
export const sourceOf = (target, panel) => target.datasource?.type ?? panel.datasource?.type ?? 'prometheus';

/** As many log lines as a person may scroll through. */
const MAX_LINES = 500;

/** The range a panel shows: the page's, or its own "last 24h" and "a week earlier". */
export function panelRange(panel, range) {
  const own = parseDuration(String(panel.timeFrom ?? '').replace(/^now-/, ''));
  const shift = parseDuration(String(panel.timeShift ?? '').replace(/^now-/, '')) || 0;
  const to = range.to - shift;
  return { from: own ? to - own : range.from - shift, to };
}

/**
 * Ask a panel's queries. `context`: {variables, range, width, scrapeMs, signal}.
 * Gives {frames, notes, range, stepMs, scope}.
 */
export async function loadPanel(panel, context) {
  const range = panelRange(panel, context.range);
  const scope = makeScope(context.variables, range);
  const targets = activeTargets(panel);
  const answers = await Promise.all(targets.map((target) => ask(target, panel, { ...context, range, scope, many: targets.length > 1 })));
  const { frames, notes } = transform(answers.flatMap((answer) => answer.frames), panel.transformations);
  const warnings = answers.flatMap((answer) => answer.warnings);
  return { frames: configure(frames, panel.fieldConfig), notes: [...notes, ...warnings], range, scope, stepMs: answers[0]?.stepMs };
}

async function ask(target, panel, { range, scope, width, scrapeMs, signal, many }) {
  const text = (value) => (value ? interpolate(value, scope) : undefined);
  const intervals = queryInterval({
    rangeMs: range.to - range.from,
    points: panel.maxDataPoints ?? width,
    scrapeMs,
    panelMin: text(panel.interval),
    queryMin: text(target.interval),
    factor: target.intervalFactor,
  });
  const queryScope = withIntervals(scope, intervals);
  const source = KNOWN_SOURCES.has(sourceOf(target, panel)) ? sourceOf(target, panel) : 'prometheus';
  const expr = interpolate(target.expr, queryScope, source);
  const { stepMs } = intervals;
  const aligned = { from: Math.floor(range.from / stepMs) * stepMs, to: Math.floor(range.to / stepMs) * stepMs };
  const limit = source === 'loki' ? Math.min(target.maxLines || MAX_LINES, MAX_LINES) : undefined;
  const span = panel.type === 'logs' ? range : aligned; // lines have no grid; the newest count most
  const data = await named(many && target.refId, () => (isInstant(target)
    ? query(expr, { time: range.to / 1000, signal, source })
    : queryRange(expr, { start: span.from / 1000, end: span.to / 1000, step: stepMs / 1000, limit, signal, source })));
  const { format, numbered } = shapeOf(target, source);
  const frames = toFrames(data, { ...target, format }, { expr, scope: queryScope, range: aligned, stepMs, many: many || numbered });
  return { frames, warnings: data.warnings, stepMs };
}

const KNOWN_SOURCES = new Set(['prometheus', 'loki']);

/** Loki's queries say it in a word, Prometheus' by two switches. */
const isInstant = ({ queryType, instant, range }) => queryType === 'instant' || (instant && !range && queryType !== 'range');

/** Grafana makes a table of what Loki counts at one moment, whose last column bears the query's letter. */
export const shapeOf = (target, source) =>
  (source === 'loki' && isInstant(target) ? { format: 'table', numbered: true } : { format: target.format, numbered: false });

/** An error says which of several queries it is about. */
async function named(refId, run) {
  try {
    return await run();
  } catch (error) {
    if (refId && error.name !== 'AbortError' && !error.prometheusDown) error.message = `Query ${refId}: ${error.message}`;
    throw error;
  }
}
