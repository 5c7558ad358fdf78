// From a panel's JSON to its frames: queries, transformations, field configuration.

import { query, queryRange } from './api.js';
import { configure } from './fields.js';
import { legendName, toFrames } from './frames.js';
import { parseDuration, queryInterval } from './time.js';
import { transform } from './transform.js';
import { interpolate, makeScope, withIntervals } from './variables.js';

/** The queries of a panel that are asked. */
export const activeTargets = (panel) => (panel.targets ?? []).filter((target) => !target.hide && target.expr?.trim());

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
  const expr = interpolate(target.expr, queryScope, 'prometheus');
  const { stepMs } = intervals;
  const aligned = { from: Math.floor(range.from / stepMs) * stepMs, to: Math.floor(range.to / stepMs) * stepMs };
  const data = await named(many && target.refId, () => (target.instant && !target.range
    ? query(expr, { time: range.to / 1000, signal })
    : queryRange(expr, { start: aligned.from / 1000, end: aligned.to / 1000, step: stepMs / 1000, signal })));
  return { frames: toFrames(data, target, { expr, scope: queryScope, range: aligned, stepMs, many }), warnings: data.warnings, stepMs };
}

/** An error says which of several queries it is about. */
async function named(refId, run) {
  try {
    return await run();
  } catch (error) {
    if (refId && !error.prometheusDown) error.message = `Query ${refId}: ${error.message}`;
    throw error;
  }
}

/** Spans in which an annotation's expression has a value: [{color, from, to, text}]. */
export async function loadAnnotations(dashboard, { variables, range, signal }) {
  const wanted = (dashboard.annotations?.list ?? []).filter((item) => item.enable && item.expr);
  const scope = makeScope(variables, range);
  const spans = await Promise.all(wanted.map(async (item) => {
    const stepMs = Math.max(parseDuration(item.step) || 60_000, (range.to - range.from) / 1000);
    const scoped = withIntervals(scope, { stepMs, rateMs: stepMs * 4 });
    const seconds = { start: range.from / 1000, end: range.to / 1000, step: stepMs / 1000 };
    const data = await queryRange(interpolate(item.expr, scoped, 'prometheus'), { ...seconds, signal });
    return data.result.flatMap(({ metric, values }) => {
      const look = { color: item.iconColor, text: annotationText(item, metric) };
      return runs(values, stepMs).map((span) => ({ ...span, ...look }));
    });
  }));
  return spans.flat();
}

function annotationText({ name, titleFormat, textFormat }, metric) {
  const parts = [titleFormat || name, textFormat].filter(Boolean).map((format) => legendName(metric, format, name).trim());
  return parts.filter(Boolean).join(': ');
}

function runs(values, stepMs) {
  const spans = [];
  for (const [at, value] of values.filter(([, number]) => Number(number) > 0)) {
    const last = spans.at(-1);
    if (last && at * 1000 - last.to <= stepMs * 1.5) last.to = at * 1000;
    else spans.push({ from: at * 1000, to: at * 1000 });
  }
  return spans;
}
