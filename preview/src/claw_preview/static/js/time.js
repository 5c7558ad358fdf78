// Time ranges and steps, computed as Grafana does.

const UNIT_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000, M: 2_592_000_000, y: 31_536_000_000 };

/** Prometheus gives at most 11000 points a series. */
const MAX_POINTS = 11_000;

// A computed interval below the first number becomes the second (milliseconds).
const ROUND_STEPS = [
  [10, 1], [15, 10], [35, 20], [75, 50], [150, 100], [350, 200], [750, 500], [1500, 1000], [3500, 2000], [7500, 5000],
  [12_500, 10_000], [17_500, 15_000], [25_000, 20_000], [45_000, 30_000], [90_000, 60_000], [210_000, 120_000],
  [450_000, 300_000], [750_000, 600_000], [1_050_000, 900_000], [1_500_000, 1_200_000], [2_700_000, 1_800_000],
  [5_400_000, 3_600_000], [9_000_000, 7_200_000], [16_200_000, 10_800_000], [32_400_000, 21_600_000],
  [86_400_000, 43_200_000], [604_800_000, 86_400_000], [1_814_400_000, 604_800_000], [3_628_800_000, 2_592_000_000],
];

/** '1m30s', '15s', '>10s' -> milliseconds; NaN when it is no duration. */
export function parseDuration(text) {
  const clean = String(text).trim().replace(/^>=?/, '');
  if (!/^(\d+(\.\d+)?(ms|[smhdwMy]))+$/.test(clean)) return NaN;
  return [...clean.matchAll(/(\d+(?:\.\d+)?)(ms|[smhdwMy])/g)].reduce((sum, [, count, unit]) => sum + count * UNIT_MS[unit], 0);
}

/** Milliseconds -> the shortest exact Prometheus duration: 90000 -> '90s', 120000 -> '2m'. */
export function formatDuration(ms) {
  for (const unit of ['d', 'h', 'm', 's']) {
    if (ms >= UNIT_MS[unit] && ms % UNIT_MS[unit] === 0) return `${ms / UNIT_MS[unit]}${unit}`;
  }
  return `${Math.max(1, Math.round(ms))}ms`;
}

/** 'now', 'now-6h', 'now-1d/d' -> milliseconds since 1970; `roundUp` for the end of a range. */
export function parseTime(text, now, roundUp = false) {
  const match = /^now(?:-(\w+))?(?:\/([dwMy]))?$/.exec(String(text).trim());
  if (!match) {
    const parsed = /^\d+$/.test(text) ? Number(text) : Date.parse(text);
    return Number.isFinite(parsed) ? parsed : NaN;
  }
  const moment = now - (match[1] ? parseDuration(match[1]) : 0);
  return match[2] ? roundToUnit(moment, match[2], roundUp) : moment;
}

function roundToUnit(ms, unit, roundUp) {
  const date = new Date(ms);
  date.setHours(0, 0, 0, 0);
  if (unit === 'w') date.setDate(date.getDate() - ((date.getDay() + 6) % 7));
  if (unit === 'M' || unit === 'y') date.setDate(1);
  if (unit === 'y') date.setMonth(0);
  if (!roundUp) return date.getTime();
  const days = { d: [0, 0, 1], w: [0, 0, 7], M: [0, 1, 0], y: [1, 0, 0] }[unit];
  return new Date(date.getFullYear() + days[0], date.getMonth() + days[1], date.getDate() + days[2]).getTime() - 1;
}

/** The range {from, to} of a dashboard as milliseconds; an unreadable one is the last hour. */
export function resolveRange({ from, to }, now = Date.now()) {
  const end = parseTime(to, now, true);
  const start = parseTime(from, now);
  return start < end ? { from: start, to: end } : { from: now - UNIT_MS.h, to: now };
}

/** The nearest interval of the 1-2-5 (and 15, 30, ...) ladder. */
export function roundInterval(ms) {
  const step = ROUND_STEPS.find(([below]) => ms < below);
  return step ? step[1] : UNIT_MS.y;
}

/** Step of a range so that about `points` are drawn, never under `minMs`. */
export function calculateInterval(rangeMs, points, minMs) {
  const exact = rangeMs / Math.max(1, points);
  return exact < minMs ? minMs : roundInterval(exact);
}

/**
 * Step and $__rate_interval of one query, in milliseconds. The minimal step is the query's own, else the panel's, else the
 * scrape interval; a rate needs a window of four scrapes, and one scrape more than the step so that no sample falls between.
 */
export function queryInterval({ rangeMs, points, scrapeMs, panelMin, queryMin, factor = 1 }) {
  const own = parseDuration(queryMin ?? '');
  const panel = parseDuration(panelMin ?? '');
  const minMs = own || panel || scrapeMs;
  const safeMs = roundInterval(rangeMs / MAX_POINTS);
  const stepMs = Math.max(calculateInterval(rangeMs, points, minMs), safeMs) * factor;
  const requested = own || scrapeMs;
  return { stepMs, rateMs: Math.max(stepMs + requested, 4 * requested) };
}

const TICK_STEPS = [
  1000, 5000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000, 900_000, 1_800_000, 3_600_000, 7_200_000, 10_800_000,
  21_600_000, 43_200_000, 86_400_000, 172_800_000, 604_800_000,
];

/** Marks of a time axis: [{at, text}], at most about `count`. */
export function timeTicks(from, to, count) {
  const wanted = (to - from) / Math.max(1, count);
  const step = TICK_STEPS.find((candidate) => candidate >= wanted) ?? Math.ceil(wanted / UNIT_MS.w) * UNIT_MS.w;
  const shift = new Date(from).getTimezoneOffset() * 60_000;
  const ticks = [];
  for (let at = Math.ceil((from - shift) / step) * step + shift; at <= to; at += step) ticks.push({ at, text: clock(at, step) });
  return ticks;
}

const two = (number) => String(number).padStart(2, '0');

/** Local time in as many parts as a step of `step` milliseconds needs. */
export function clock(ms, step) {
  const date = new Date(ms);
  const day = `${two(date.getMonth() + 1)}/${two(date.getDate())}`;
  const minutes = `${two(date.getHours())}:${two(date.getMinutes())}`;
  if (step >= UNIT_MS.d) return day;
  if (step >= 6 * UNIT_MS.h) return `${day} ${minutes}`;
  return step < 60_000 ? `${minutes}:${two(date.getSeconds())}` : minutes;
}

/** Local date and time to the second. */
export function fullTime(ms) {
  const date = new Date(ms);
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** Local time as Plotly wants it: it draws what it takes for UTC. */
export const plotTime = (ms) => ms - new Date(ms).getTimezoneOffset() * 60_000;
