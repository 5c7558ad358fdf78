// What can be drawn, by panel type; and why the rest cannot.

import { draw as barchart } from './barchart.js';
import { draw as bargauge } from './bargauge.js';
import { draw as gauge } from './gauge.js';
import { draw as heatmap } from './heatmap.js';
import { draw as piechart } from './pie.js';
import { draw as stat } from './stat.js';
import { draw as stateTimeline } from './statetimeline.js';
import { draw as table } from './table.js';
import { draw as text } from './text.js';
import { draw as timeseries } from './timeseries.js';

/** Each draws `view` into an element and gives 'drawn', or 'empty' when there is nothing to see. */
export const PANELS = {
  barchart, bargauge, gauge, heatmap, piechart, stat, 'state-timeline': stateTimeline, 'status-history': stateTimeline, table, text, timeseries,
};

const OTHERS = {
  logs: 'Log lines come from Loki; this page reads Prometheus only.',
  traces: 'Traces come from a trace store; this page reads Prometheus only.',
  alertlist: 'The list of alerts is a part of Grafana itself; ask Alertmanager for it.',
  dashlist: 'The list of dashboards is this page\'s start page.',
};

/** Why this panel cannot be drawn here, or null. */
export function undrawable(panel) {
  const sources = [panel.datasource, ...(panel.targets ?? []).map((target) => target.datasource)];
  const foreign = sources.map((source) => source?.type).find((type) => type && !KNOWN_SOURCES.has(type));
  if (OTHERS[panel.type]) return OTHERS[panel.type];
  if (!PANELS[panel.type]) return `Panels of type "${panel.type}" are not drawn here; Grafana draws them.`;
  return foreign ? `It reads a data source of type "${foreign}"; this page reads Prometheus only.` : null;
}

const KNOWN_SOURCES = new Set(['prometheus', 'datasource', 'grafana', '__expr__']);
