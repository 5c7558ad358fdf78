// Grafana's units: a number becomes {prefix, text, suffix}.

const SI = ['', 'K', 'M', 'G', 'T', 'P'];
const SHORT = ['', ' K', ' Mil', ' Bil', ' Tri', ' Quadr'];
const COUNT = ['', 'K', 'M', 'B', 'T'];
const IEC = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'];
// Below: [seconds a unit lasts, suffix], smallest first.
const TIME = [
  [1e-9, ' ns'], [1e-6, ' µs'], [1e-3, ' ms'], [1, ' s'], [60, ' mins'], [3600, ' hours'], [86_400, ' days'],
  [604_800, ' weeks'], [31_536_000, ' years'],
];

const plain = (suffix = '', factor = 1) => ({ scale: (value) => ({ value: value * factor, suffix }), factor });

function ladder(base, steps, unit, factor = 1) {
  const scale = (value) => {
    let index = 0;
    let rest = value * factor;
    while (Math.abs(rest) >= base && index < steps.length - 1) {
      rest /= base;
      index += 1;
    }
    return { value: rest, suffix: steps[index] + unit };
  };
  return { scale, base, factor };
}

const spaced = (steps, unit) => steps.map((step) => ` ${step}${unit}`);

function milli(steps, unit, base = 1000) {
  const up = ladder(base, spaced(steps, unit), '');
  const scale = (value) => (value !== 0 && Math.abs(value) < 1 ? { value: value * 1000, suffix: ` m${unit}` } : up.scale(value));
  return { scale, base, factor: 1 };
}

function seconds(factor) {
  const scale = (value) => {
    const inSeconds = value * factor;
    const size = Math.abs(inSeconds);
    if (size === 0) return { value: 0, suffix: ' s' };
    const [length, suffix] = TIME.findLast(([from]) => size >= from * (1 - 1e-12)) ?? TIME[0];
    const scaled = inSeconds / length;
    return { value: scaled, suffix: Math.abs(scaled) === 1 && length >= 60 ? suffix.replace(/s$/, '') : suffix };
  };
  return { scale, time: factor, factor: 1 };
}

const rate = (unit) => ladder(1000, COUNT, ` ${unit}`);
const money = (prefix) => ({ ...ladder(1000, COUNT, ''), prefix });
const words = (write) => ({ write });

/** [number of seconds] -> '2 days, 3 hours': the two largest parts. */
function longDuration(value) {
  const parts = [];
  let rest = Math.abs(value);
  for (const [length, name] of [[31_536_000, 'year'], [86_400, 'day'], [3600, 'hour'], [60, 'minute'], [1, 'second']]) {
    const count = Math.floor(rest / length);
    rest -= count * length;
    if (count) parts.push(`${count} ${name}${count === 1 ? '' : 's'}`);
  }
  return (value < 0 ? '-' : '') + (parts.slice(0, 2).join(', ') || '0 seconds');
}

function clockDuration(value) {
  const total = Math.abs(Math.round(value));
  const two = (number) => String(number).padStart(2, '0');
  return `${value < 0 ? '-' : ''}${two(Math.floor(total / 3600))}:${two(Math.floor(total / 60) % 60)}:${two(total % 60)}`;
}

function fromNow(ms) {
  const { value, suffix } = seconds(0.001).scale(Math.abs(ms - Date.now()));
  const span = `${Math.round(value)}${suffix}`;
  return ms < Date.now() ? `${span} ago` : `in ${span}`;
}

const isoTime = (ms) => new Date(ms - new Date(ms).getTimezoneOffset() * 60_000).toISOString().slice(0, 19).replace('T', ' ');

const UNITS = {
  none: plain(),
  string: words(String),
  locale: words((value) => value.toLocaleString('en-US')),
  short: ladder(1000, SHORT, ''),
  sishort: ladder(1000, SI, ''),
  percent: plain('%'),
  percentunit: plain('%', 100),
  humidity: plain(' %H'),
  celsius: plain(' °C'),
  bool: words((value) => (value ? 'True' : 'False')),
  bool_yes_no: words((value) => (value ? 'Yes' : 'No')),
  bool_on_off: words((value) => (value ? 'On' : 'Off')),
  bytes: ladder(1024, spaced(IEC, 'B'), ''),
  decbytes: ladder(1000, spaced(['', 'k', 'M', 'G', 'T', 'P'], 'B'), ''),
  bits: ladder(1024, spaced(IEC, 'b'), ''),
  decbits: ladder(1000, spaced(['', 'k', 'M', 'G', 'T', 'P'], 'b'), ''),
  kbytes: ladder(1024, spaced(IEC.slice(1), 'B'), ''),
  mbytes: ladder(1024, spaced(IEC.slice(2), 'B'), ''),
  gbytes: ladder(1024, spaced(IEC.slice(3), 'B'), ''),
  binBps: ladder(1024, spaced(IEC, 'B/s'), ''),
  Bps: ladder(1000, spaced(['', 'k', 'M', 'G', 'T'], 'B/s'), ''),
  binbps: ladder(1024, spaced(IEC, 'b/s'), ''),
  bps: ladder(1000, spaced(['', 'k', 'M', 'G', 'T'], 'b/s'), ''),
  KBs: ladder(1000, spaced(['k', 'M', 'G', 'T'], 'B/s'), ''),
  MBs: ladder(1000, spaced(['M', 'G', 'T'], 'B/s'), ''),
  pps: rate('p/s'),
  ns: seconds(1e-9),
  'µs': seconds(1e-6),
  ms: seconds(1e-3),
  s: seconds(1),
  m: seconds(60),
  h: seconds(3600),
  d: seconds(86_400),
  dtdurations: words(longDuration),
  dtdurationms: words((value) => longDuration(value / 1000)),
  dthms: words(clockDuration),
  clocks: words(clockDuration),
  clockms: words((value) => clockDuration(value / 1000)),
  dateTimeAsIso: words(isoTime),
  dateTimeAsLocal: words(isoTime),
  dateTimeAsSystem: words(isoTime),
  dateTimeFromNow: words(fromNow),
  hertz: milli(SI, 'Hz'),
  rothz: milli(SI, 'Hz'),
  watt: milli(SI, 'W'),
  volt: milli(SI, 'V'),
  currencyUSD: money('$'),
  currencyEUR: money('€'),
  currencyGBP: money('£'),
  currencyCNY: money('¥'),
  currencyJPY: money('¥'),
};
for (const [id, unit] of Object.entries({
  reqps: 'req/s', ops: 'ops/s', cps: 'c/s', rps: 'rd/s', wps: 'wr/s', iops: 'io/s', eps: 'evt/s', mps: 'msg/s', recps: 'rec/s',
  rowsps: 'rows/s', opm: 'ops/m', cpm: 'c/m', reqpm: 'req/m', rpm: 'rd/m', wpm: 'wr/m', epm: 'evt/m', mpm: 'msg/m', recpm: 'rec/m',
})) UNITS[id] = rate(unit);

const CUSTOM = [
  ['prefix:', (rest) => ({ ...plain(), prefix: rest })],
  ['suffix:', (rest) => plain(rest.startsWith(' ') ? rest : ` ${rest}`)],
  ['currency:', (rest) => (rest.startsWith('financial:') ? money(rest.slice(10)) : money(rest))],
  ['count:', (rest) => rate(rest)],
  ['si:', (rest) => ladder(1000, spaced(SI, rest.replace(/^[kMGT](?=.)/, '')), '')],
  ['bool:', (rest) => words((value) => rest.split('/')[value ? 0 : 1] ?? String(Boolean(value)))],
  ['time:', () => words(isoTime)],
];

/** What is known about a unit; an unknown one is written behind the number. */
export function unitOf(id) {
  if (!id) return UNITS.none;
  if (Object.hasOwn(UNITS, id)) return UNITS[id];
  const custom = CUSTOM.find(([prefix]) => id.startsWith(prefix));
  return custom ? custom[1](id.slice(custom[0].length)) : plain(` ${id}`);
}

/** Whether a unit has its own way of being written. */
export const isUnit = (id) => Object.hasOwn(UNITS, id) || CUSTOM.some(([prefix]) => id.startsWith(prefix));

/** Decimals that show about three significant figures. */
export function autoDecimals(value) {
  if (!Number.isFinite(value) || value === 0 || Number.isInteger(value)) return 0;
  return Math.min(12, Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value)))));
}

/** A number in a unit, in parts. `decimals` undefined: as many as needed. */
export function formatParts(value, id, decimals) {
  const unit = unitOf(id);
  if (unit.write) return { prefix: '', text: unit.write(value), suffix: '' };
  if (!Number.isFinite(value)) return { prefix: '', text: value > 0 ? '∞' : value < 0 ? '-∞' : 'NaN', suffix: '' };
  const scaled = unit.scale(Number(value));
  const digits = decimals ?? autoDecimals(Number(scaled.value.toPrecision(12)));
  const text = Math.abs(scaled.value).toFixed(digits);
  const negative = scaled.value < 0 && Number(text) !== 0;
  return { prefix: (negative ? '-' : '') + (unit.prefix ?? ''), text: id === 'string' ? String(value) : text, suffix: scaled.suffix };
}

/** A number in a unit, as one text: formatValue(0.25, 's') is '250 ms'. */
export function formatValue(value, id, decimals) {
  const { prefix, text, suffix } = formatParts(value, id, decimals);
  return prefix + text + suffix;
}

const TIME_STEPS = [60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800,
  1_209_600, 2_419_200, 6_048_000, 12_096_000, 31_536_000, 63_072_000, 157_680_000, 315_360_000];

function niceStep(wanted, unit) {
  if (unit.time && wanted * unit.time > 30) {
    const step = TIME_STEPS.find((candidate) => candidate >= wanted * unit.time);
    if (step) return step / unit.time;
  }
  const factor = unit.factor ?? 1;
  const size = Math.max(1, Math.abs(wanted * factor));
  const scale = unit.base === 1024 ? 1024 ** Math.floor(Math.log(size) / Math.log(1024)) : 1;
  const rest = (wanted * factor) / scale;
  const power = 10 ** Math.floor(Math.log10(rest));
  const steps = unit.base === 1024 && rest > 10 ? [16, 32, 64, 128, 256, 512, 1024] : [1, 2, 2.5, 5, 10].map((n) => n * power);
  return ((steps.find((candidate) => candidate >= rest * (1 - 1e-9)) ?? steps.at(-1)) * scale) / factor;
}

/** Marks of a value axis between `low` and `high`: [{at, text}], about `count` of them, at round numbers of the unit. */
export function valueTicks(low, high, count, id, decimals) {
  const unit = unitOf(id);
  const step = niceStep((high - low) / Math.max(1, count), unit);
  const ticks = [];
  for (let index = Math.ceil(low / step - 1e-9); index * step <= high + step * 1e-6; index += 1) {
    ticks.push(Number((index * step).toPrecision(12)));
  }
  if (unit.write) return ticks.map((at) => ({ at, text: unit.write(at) }));
  return ticks.map((at) => ({ at, text: tickText(at, step, id, decimals) }));
}

/** A mark in its own best unit, or in that of the step where that is shorter: 8 days, not 1.142857 weeks. */
function tickText(at, step, id, decimals) {
  const unit = unitOf(id);
  const exact = exactDecimals(unit.scale(at).value);
  if (!unit.time || exact <= 2) return formatValue(at, id, decimals ?? exact);
  const { value, suffix } = unit.scale(step);
  const scaled = (at / step) * value;
  return scaled.toFixed(decimals ?? exactDecimals(scaled)) + suffix;
}

function exactDecimals(value) {
  for (let digits = 0; digits < 6; digits += 1) {
    if (Math.abs(Number(value.toFixed(digits)) - value) <= Math.abs(value) * 1e-9) return digits;
  }
  return 6;
}
