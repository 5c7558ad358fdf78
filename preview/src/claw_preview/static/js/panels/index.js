// What can be drawn, by panel type; and why the rest cannot.

import { draw as barchart } from './barchart.js';
import { draw as bargauge } from './bargauge.js';
import { draw as gauge } from './gauge.js';
import { draw as heatmap } from './heatmap.js';
import { draw as logs } from './logs.js';
import { draw as piechart } from './pie.js';
import { draw as stat } from './stat.js';
import { draw as stateTimeline } from './statetimeline.js';
import { draw as table } from './table.js';
import { draw as text } from './text.js';
import { draw as timeseries } from './timeseries.js';

/** Each draws `view` into an element and gives 'drawn', or 'empty' when there is nothing to see. */
export const PANELS = {
  barchart, bargauge, gauge, heatmap, logs, piechart, stat, 'state-timeline': stateTimeline, 'status-history': stateTimeline, table, text, timeseries,
};

const OTHERS = {
  traces: 'Traces come from a trace store; this page reads Prometheus only.',
  alertlist: 'The list of alerts is a part of Grafana itself; ask Alertmanager for it.',
  dashlist: 'The list of dashboards is this page\'s start page.',
};

/** Why this panel cannot be drawn here, as {head, detail}, or null. `sources`: the kinds of data source that are here. */
export function undrawable(panel, sources) {
  const named = [panel.datasource, ...(panel.targets ?? []).map((target) => target.datasource)];
  const foreign = named.map((source) => source?.type).find((type) => type && !sources.has(type) && !OWN_SOURCES.has(type));
  const not = (detail) => ({ head: 'Not drawn here', detail });
  if (OTHERS[panel.type]) return not(OTHERS[panel.type]);
  if (!PANELS[panel.type]) return not(`Panels of type "${panel.type}" are not drawn here; Grafana draws them.`);
  if (foreign === 'loki') return { head: 'Needs Loki', detail: NO_LOKI };
  return foreign ? not(`It reads a data source of type "${foreign}"; this page reads Prometheus and Loki.`) : null;
}

/** Those of Grafana itself, which a panel may name without asking anything. */
const OWN_SOURCES = new Set(['datasource', 'grafana', '__expr__']);

export const NO_LOKI = 'It reads log lines. Where there is a Loki, start the preview with --loki and its address.';
