// From a number to a line in two clicks.
local colours = import '../lib/colours.libsonnet';
local grafana = import '../lib/grafana.libsonnet';
local signal = import '../lib/signal.libsonnet';
local variables = import '../lib/variables.libsonnet';
local line = import '../signals/lines.libsonnet';
local logs = import '../signals/logs.libsonnet';

local all = signal.view({});
local chosen = signal.view({ 'job=~': '$job' });
local flat = { with: { options+: { graphMode: 'none' } } };
local bars = { with: { fieldConfig+: { defaults+: { custom+: { drawStyle: 'bars', fillOpacity: 80, lineWidth: 0 } } } } };

{
  title: 'Claw AI: logs · 日志',
  description: 'Which line says it? From a number to a line in two clicks.',
  refresh: '1m',
  variables: [variables.loki] + variables.of_lines,
  rows: [
    grafana.row('How much is said, and how bad is it?', [
      all.timeseries(line.by_level, { w: 8, stack: true, overrides: colours.by_level } + bars),
      all.timeseries(line.by_service, { w: 8, stack: true } + bars),
      all.timeseries([line.errors, line.errors_yesterday], { title: 'Errors against yesterday', w: 8, overrides: [colours.ghost('yesterday')] }),
      chosen.timeseries(logs.records, { w: 8, stack: true, overrides: colours.by_level }),
      chosen.timeseries([logs.errors_now, logs.errors_yesterday], {
        title: 'Errors counted by applications',
        w: 8,
        overrides: [colours.ghost('yesterday')],
      }),
      chosen.bargauge(logs.errors_by_job, { w: 8 }),
    ]),
    grafana.row('Which line is it?', [
      all.logs(line.found, { h: 14 }),
      all.logs(line.failed, { w: 12, h: 10 }),
      all.logs(line.of_trace, { w: 12, h: 10, with: { options+: { sortOrder: 'Ascending', showLabels: true } } }),
    ]),
    grafana.row('Which message comes again and again, which one is new?', [
      all.table([line.messages], { title: 'Most frequent errors', description: line.messages.description, by: ['service', 'message'], sort_by: ['Times'], w: 12, h: 9 }),
      all.table([line.new_messages], { title: 'New errors', description: line.new_messages.description, by: ['service', 'message'], sort_by: ['Times'], w: 12, h: 9 }),
      all.timeseries(line.exceptions, { w: 24, stack: true } + bars),
    ]),
    grafana.row('What did the public door answer?', [
      all.timeseries(logs.door_by_status, { w: 8, stack: true, overrides: colours.by_status }),
      all.timeseries(line.door.unanswered, { w: 8, stack: true } + bars),
      all.timeseries([line.door.total_p95, line.door.upstream_p95], { title: 'Time at the door, p95', w: 8 }),
      all.table([line.door.failing], { title: 'Failing paths', description: line.door.failing.description, by: ['status', 'path'], sort_by: ['Answers'], w: 8, h: 9 }),
      all.table([line.door.slowest], { title: 'Slowest paths', description: line.door.slowest.description, by: ['path'], sort_by: ['Slowest'], w: 8, h: 9 }),
      all.table([line.door.scanners], { title: 'Scanners', description: line.door.scanners.description, by: ['remote_addr'], headers: { remote_addr: 'address' }, sort_by: ['Not found'], w: 8, h: 9 }),
      all.timeseries(line.door.refused, { w: 24, h: 6, stack: true } + bars),
    ]),
    grafana.row('Which AI call went wrong, and why?', [
      all.timeseries(line.ai_errors, { w: 8, h: 10, stack: true } + bars),
      all.logs(line.ai_lines, { w: 16, h: 10 }),
    ]),
    grafana.row('Does every line arrive?', [
      all.timeseries([logs.received, logs.sent], { title: 'Lines shipped and received', w: 8 }),
      all.timeseries([logs.discarded, logs.dropped], { title: 'Lines lost', w: 8 }),
      all.timeseries(logs.cut, { w: 8 }),
      all.timeseries(logs.unsent, { w: 6, min: null }),
      all.timeseries([logs.received_bytes, logs.sent_bytes], { title: 'Bytes shipped and received', w: 6 }),
      all.timeseries(logs.retried, { w: 6 }),
      all.timeseries(logs.push_p95, { w: 6 }),
    ]),
  ],
}
