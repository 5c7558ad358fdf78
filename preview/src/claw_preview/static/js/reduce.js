// One number from a column: the calculations panels and legends offer.

const present = (values) => values.filter((value) => value !== null && value !== undefined && !Number.isNaN(value));
const numbers = (values) => present(values).filter((value) => typeof value === 'number');
const sum = (values) => numbers(values).reduce((total, value) => total + value, 0);
const orNull = (calculate) => (values) => (numbers(values).length ? calculate(numbers(values)) : null);
const mean = orNull((values) => sum(values) / values.length);
const max = orNull((values) => values.reduce((a, b) => Math.max(a, b)));
const min = orNull((values) => values.reduce((a, b) => Math.min(a, b)));

export const CALCULATIONS = {
  lastNotNull: (values) => present(values).at(-1) ?? null,
  last: (values) => values.at(-1) ?? null,
  firstNotNull: (values) => present(values)[0] ?? null,
  first: (values) => values[0] ?? null,
  sum: orNull(sum),
  mean,
  max,
  min,
  median: orNull((values) => percentile(values, 50)),
  count: (values) => values.length,
  distinctCount: (values) => new Set(values).size,
  range: (values) => (numbers(values).length ? max(values) - min(values) : null),
  diff: orNull((values) => values.at(-1) - values[0]),
  delta: orNull((values) => values.slice(1).reduce((total, value, index) => total + Math.max(0, value - values[index]), 0)),
  variance: orNull(variance),
  stdDev: orNull((values) => Math.sqrt(variance(values))),
  allIsNull: (values) => present(values).length === 0,
};

export const CALCULATION_NAMES = {
  lastNotNull: 'Last', last: 'Last', firstNotNull: 'First', first: 'First', sum: 'Total', mean: 'Mean', max: 'Max', min: 'Min',
  median: 'Median', count: 'Count', range: 'Range', diff: 'Change', delta: 'Increase', stdDev: 'StdDev', distinctCount: 'Distinct',
};

function variance(values) {
  const middle = sum(values) / values.length;
  return values.reduce((total, value) => total + (value - middle) ** 2, 0) / values.length;
}

function percentile(values, rank) {
  const sorted = [...values].sort((a, b) => a - b);
  const place = ((sorted.length - 1) * rank) / 100;
  const below = sorted[Math.floor(place)];
  return below + (sorted[Math.ceil(place)] - below) * (place % 1);
}

/** The calculation named `name` over values; p1-p99 are percentiles; an unknown one is the last value. */
export function reduce(values, name) {
  const rank = /^p(\d{1,2})$/.exec(name)?.[1];
  if (rank) return numbers(values).length ? percentile(numbers(values), Number(rank)) : null;
  return (CALCULATIONS[name] ?? CALCULATIONS.lastNotNull)(values);
}
