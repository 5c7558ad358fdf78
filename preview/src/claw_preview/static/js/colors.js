// Colours by the names dashboards use.

const HUES = {
  red: ['#FFA6B0', '#FF7383', '#F2495C', '#E02F44', '#C4162A'],
  orange: ['#FFCB7D', '#FFB357', '#FF9830', '#FF780A', '#FA6400'],
  yellow: ['#FFF899', '#FFEE52', '#FADE2A', '#F2CC0C', '#E0B400'],
  green: ['#C8F2C2', '#96D98D', '#73BF69', '#56A64B', '#37872D'],
  blue: ['#C0D8FF', '#8AB8FF', '#5794F2', '#3274D9', '#1F60C4'],
  purple: ['#DEB6F2', '#CA95E5', '#B877D9', '#A352CC', '#8F3BB8'],
};
const SHADES = ['super-light-', 'light-', '', 'semi-dark-', 'dark-'];
const NAMED = { text: '#CCCCDC', transparent: 'rgba(0, 0, 0, 0)', white: '#FFFFFF', black: '#000000', gray: '#8E8E8E', grey: '#8E8E8E' };
for (const [hue, tones] of Object.entries(HUES)) tones.forEach((tone, index) => { NAMED[SHADES[index] + hue] = tone; });

/** One colour per series, in Grafana's order. */
const CLASSIC = [
  '#73BF69', '#F2CC0C', '#8AB8FF', '#FF780A', '#F2495C', '#5794F2', '#B877D9', '#705DA0', '#37872D', '#FADE2A', '#447EBC',
  '#C15C17', '#E0B400', '#1F60C4', '#6D1F62', '#584477', '#B7DBAB', '#F4D598', '#70DBED', '#F9BA8F', '#F29191', '#82B5D8',
];

export const CONTINUOUS = {
  'continuous-GrYlRd': ['#73BF69', '#F2CC0C', '#F2495C'],
  'continuous-RdYlGr': ['#F2495C', '#F2CC0C', '#73BF69'],
  'continuous-BlYlRd': ['#1F60C4', '#F2CC0C', '#F2495C'],
  'continuous-YlRd': ['#FFEE52', '#F2495C'],
  'continuous-BlPu': ['#1F60C4', '#B877D9'],
  'continuous-YlBl': ['#FFEE52', '#1F60C4'],
  'continuous-blues': ['#16202e', '#5794F2'],
  'continuous-reds': ['#2e161b', '#F2495C'],
  'continuous-greens': ['#172a18', '#73BF69'],
  'continuous-purples': ['#221630', '#B877D9'],
};

/** Colour scales of heat maps, dark (few) to bright (many). */
export const SCHEMES = {
  Oranges: ['#2b1a10', '#7a2e08', '#d9480f', '#fd8d3c', '#fee6ce'],
  Reds: ['#2a1214', '#7f1520', '#cb181d', '#fb6a4a', '#fee0d2'],
  Greens: ['#10241a', '#005a32', '#238b45', '#74c476', '#e5f5e0'],
  Blues: ['#101d2e', '#08519c', '#3182bd', '#6baed6', '#deebf7'],
  Purples: ['#1c1430', '#54278f', '#756bb1', '#9e9ac8', '#efedf5'],
  Spectral: ['#5e4fa2', '#3288bd', '#abdda4', '#fee08b', '#f46d43', '#9e0142'],
  Turbo: ['#30123b', '#4777ef', '#1bd0d5', '#62fc6b', '#d2e935', '#fe9b2d', '#da3907', '#7a0403'],
  Viridis: ['#440154', '#3b528b', '#21918c', '#5ec962', '#fde725'],
  Inferno: ['#0b0724', '#57106e', '#bc3754', '#f98e09', '#fcffa4'],
  Magma: ['#0b0924', '#51127c', '#b73779', '#fc8961', '#fcfdbf'],
  Plasma: ['#0d0887', '#7e03a8', '#cc4778', '#f89540', '#f0f921'],
  RdYlGn: ['#d73027', '#fee08b', '#1a9850'],
  YlOrRd: ['#33230d', '#bd6b0b', '#fd8d3c', '#feb24c', '#ffffcc'],
};

/** A colour of a dashboard (name or CSS) as CSS. */
export const cssColor = (name) => NAMED[name] ?? name ?? NAMED.text;

/** The colour of the series with this number. */
export const seriesColor = (index) => CLASSIC[index % CLASSIC.length];

/** The same colour with this opacity, 0-1. */
export function withAlpha(color, alpha) {
  const [r, g, b] = channels(color);
  return `rgba(${r}, ${g}, ${b}, ${alpha})`;
}

function channels(color) {
  const css = cssColor(color);
  const hex = /^#([0-9a-f]{3}|[0-9a-f]{6,8})$/i.exec(css)?.[1];
  if (hex) {
    const full = hex.length === 3 ? [...hex].map((digit) => digit + digit).join('') : hex;
    return [0, 2, 4].map((at) => parseInt(full.slice(at, at + 2), 16));
  }
  return (css.match(/[\d.]+/g) ?? [204, 204, 220]).slice(0, 3).map(Number);
}

/** The colour at `share` (0-1) of a list of colours. */
export function blend(colors, share) {
  const place = Math.min(1, Math.max(0, share)) * (colors.length - 1);
  const index = Math.min(colors.length - 2, Math.floor(place));
  const [from, to] = [channels(colors[index]), channels(colors[index + 1])];
  const mixed = from.map((channel, at) => Math.round(channel + (to[at] - channel) * (place - index)));
  return `rgb(${mixed.join(', ')})`;
}

/** Black or white, whichever reads better on this colour. */
export function readableOn(color) {
  const [r, g, b] = channels(color);
  return r * 0.299 + g * 0.587 + b * 0.114 > 150 ? '#141619' : '#ffffff';
}

/** The threshold step a value is in; null is below the first number. */
export function thresholdStep(value, thresholds, bounds = {}) {
  const steps = thresholds?.steps ?? [{ value: null, color: 'green' }];
  const { min = 0, max = 100 } = bounds;
  const share = thresholds?.mode === 'percentage' ? ((value - min) / (max - min || 1)) * 100 : value;
  return steps.findLast((step) => step.value === null || step.value === undefined || share >= step.value) ?? steps[0];
}

/** Colour of one value of a field: mapping first, then the field's colour mode. */
export function valueColor(value, config, { index = 0, mapped, bounds } = {}) {
  if (mapped?.color) return cssColor(mapped.color);
  const mode = config.color?.mode ?? 'thresholds';
  if (mode === 'fixed' || mode === 'shades') return cssColor(config.color.fixedColor ?? 'text');
  if (mode.startsWith('palette')) return seriesColor(index);
  if (CONTINUOUS[mode]) {
    const { min = 0, max = 100 } = bounds ?? {};
    return blend(CONTINUOUS[mode], (value - min) / (max - min || 1));
  }
  if (typeof value !== 'number') return cssColor(thresholdStep(-Infinity, config.thresholds)?.color);
  return cssColor(thresholdStep(value, config.thresholds, bounds)?.color);
}
