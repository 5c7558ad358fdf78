// Panels, rows and variables as plain objects: Grafana's classic JSON, schemaVersion 42.
// A constructor takes (title, targets, options). `unit` and `description` are required: leaving one out is an
// evaluation error. Options that every panel knows:
//   unit, description, w, h          size in the 24 columns; positions, ids and refIds are computed
//   thresholds                       { warning, critical } or one of them; with `below: true` low values are the bad ones
//   min, max, decimals, no_value     of the axis or the number
//   stack, fill                      time series: areas on top of each other
//   overrides, links, transformations, with     Grafana's own, for what only one panel needs; `with` is merged last
local prometheus = { type: 'prometheus', uid: '${datasource}' };
local loki = { type: 'loki', uid: '${loki}' };

local letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ';
local lettered(targets) = std.mapWithIndex(function(index, target) { refId: letters[index] } + target, targets);

local required(options, title, key) = std.get(options, key, error 'panel %s: must provide %s' % [title, key]);

// Steps of a threshold: the colour applies from the value upwards.
local steps(thresholds) =
  local limits = { base: 'green' } + thresholds;
  local heights = [height for height in ['warning', 'critical'] if height in limits];
  local colours = { warning: 'orange', critical: 'red' };
  if std.get(thresholds, 'below', false) then
    // A step's colour lies above it: each height gives the one below it its colour.
    local falling = std.reverse(heights);
    [{ color: colours[falling[0]], value: null }] + [
      { color: if index + 1 < std.length(falling) then colours[falling[index + 1]] else 'green', value: limits[falling[index]] }
      for index in std.range(0, std.length(falling) - 1)
    ]
  else [{ color: limits.base, value: null }] + [{ color: colours[height], value: limits[height] } for height in heights];

local defaults(title, options, custom) =
  local optional = { min: 'min', max: 'max', decimals: 'decimals', noValue: 'no_value', mappings: 'mappings', links: 'links' };
  {
    unit: required(options, title, 'unit'),
    color: { mode: if std.objectHas(options, 'thresholds') then 'thresholds' else 'palette-classic' },
    custom: custom,
    thresholds: {
      mode: 'absolute',
      steps: if std.objectHas(options, 'thresholds') then steps(options.thresholds) else [{ color: 'green', value: null }],
    },
  } + {
    [field]: options[optional[field]]
    for field in std.objectFields(optional)
    if std.get(options, optional[field]) != null  // null takes a constructor's default back
  };

local panel(type, title, targets, grafana, custom, options) = {
  type: type,
  title: title,
  description: required(options, title, 'description'),
  datasource: targets[0].datasource,
  targets: lettered(targets),
  options: grafana,
  fieldConfig: { defaults: defaults(title, options, custom), overrides: std.get(options, 'overrides', []) },
  gridPos: { w: std.get(options, 'w', 8), h: std.get(options, 'h', 8) },
  [if std.objectHas(options, 'transformations') then 'transformations']: options.transformations,
} + std.get(options, 'with', {});

local last = { calcs: ['lastNotNull'], fields: '', values: false };
local legend(placement='bottom', calcs=[]) = {
  displayMode: if calcs == [] then 'list' else 'table',
  placement: placement,
  showLegend: true,
  calcs: calcs,
};
local tooltip = { mode: 'multi', sort: 'desc' };

{
  // ---- Queries ---------------------------------------------------------------------------------------------
  range(expr, legend='__auto', extra={}):: {
    datasource: prometheus,
    expr: expr,
    legendFormat: legend,
    range: true,
  } + extra,
  instant(expr, legend='__auto', extra={}):: {
    datasource: prometheus,
    expr: expr,
    legendFormat: legend,
    instant: true,
    range: false,
  } + extra,
  logql(expr, legend='', instant=false):: {
    datasource: loki,
    expr: expr,
    [if legend != '' then 'legendFormat']: legend,
    queryType: if instant then 'instant' else 'range',
  },

  // ---- Panels ----------------------------------------------------------------------------------------------
  stat(title, targets, options):: panel('stat', title, targets, {
    graphMode: 'area',
    colorMode: 'value',
    justifyMode: 'auto',
    orientation: 'auto',
    percentChangeColorMode: 'standard',
    reduceOptions: last,
    showPercentChange: false,
    textMode: if std.length(targets) > 1 then 'value_and_name' else 'auto',
    wideLayout: true,
  }, {}, { w: 4, h: 4 } + options) + {
    // A single number is green while all is well, whatever the palette.
    fieldConfig+: { defaults+: { color: { mode: 'thresholds' } } },
  },

  gauge(title, targets, options):: panel('gauge', title, targets, {
    minVizHeight: 75,
    minVizWidth: 75,
    orientation: 'auto',
    reduceOptions: last,
    showThresholdLabels: false,
    showThresholdMarkers: true,
    sizing: 'auto',
  }, {}, { w: 4, h: 4, min: 0, max: 1 } + options) + {
    fieldConfig+: { defaults+: { color: { mode: 'thresholds' } } },
  },

  // Bars of the latest value of each series.
  bargauge(title, targets, options):: panel('bargauge', title, targets, {
    displayMode: 'basic',
    legend: legend() { showLegend: false },
    maxVizHeight: 30,
    minVizHeight: 12,
    minVizWidth: 8,
    namePlacement: 'left',
    orientation: 'horizontal',
    reduceOptions: last,
    showUnfilled: true,
    sizing: 'auto',
    valueMode: 'color',
  }, {}, { min: 0 } + options),

  // Lines over time; thresholds are drawn as dashed lines.
  timeseries(title, targets, options):: panel('timeseries', title, targets, {
    legend: legend('bottom', std.get(options, 'calcs', [])),
    tooltip: tooltip,
  }, {
    drawStyle: 'line',
    fillOpacity: if std.get(options, 'stack', false) then 40 else std.get(options, 'fill', 8),
    lineInterpolation: 'linear',
    lineWidth: 1,
    showPoints: 'never',
    spanNulls: false,
    stacking: { group: 'A', mode: if std.get(options, 'stack', false) then 'normal' else 'none' },
    thresholdsStyle: { mode: if std.objectHas(options, 'thresholds') then 'dashed' else 'off' },
  }, { min: 0 } + options) + {
    // Thresholds are lines here, they do not colour the series.
    fieldConfig+: { defaults+: { color: { mode: 'palette-classic' } } },
  },

  table(title, targets, options):: panel('table', title, targets, {
    cellHeight: 'sm',
    frameIndex: 0,
    showHeader: true,
    // A column, greatest first; or { displayName, desc }.
    sortBy: [if std.isString(column) then { displayName: column, desc: true } else column for column in std.get(options, 'sort_by', [])],
  }, { align: 'auto', cellOptions: { type: 'auto' }, filterable: false, minWidth: 70 }, { w: 24 } + options),

  piechart(title, targets, options):: panel('piechart', title, targets, {
    displayLabels: ['percent'],
    legend: legend('right') { displayMode: 'table', values: ['value', 'percent'] },
    orientation: 'auto',
    pieType: 'donut',
    reduceOptions: last,
    tooltip: { mode: 'single', sort: 'none' },
  }, {}, options),

  // Cells of colour: buckets of a histogram (targets with format 'heatmap'), or one row per series.
  heatmap(title, targets, options):: panel('heatmap', title, targets, {
    calculate: false,
    cellGap: 1,
    cellValues: { unit: std.get(options, 'cell_unit', 'short') },
    color: { mode: 'scheme', scheme: 'Oranges', exponent: 0.5, fill: 'dark-orange', reverse: false, steps: 64 },
    exemplars: { color: 'rgba(255,0,255,0.7)' },
    filterValues: { le: 1e-9 },
    legend: { show: true },
    rowsFrame: { layout: 'auto' },
    showValue: 'never',
    tooltip: { mode: 'single', showColorScale: true, yHistogram: false },
    yAxis: { axisPlacement: 'left', reverse: false, unit: required(options, title, 'unit') },
  }, { scaleDistribution: { type: 'linear' } }, { w: 12 } + options),

  // One coloured bar per series over time: how long a thing was in which state.
  state_timeline(title, targets, options):: panel('state-timeline', title, targets, {
    alignValue: 'left',
    legend: legend() { showLegend: false },
    mergeValues: true,
    rowHeight: 0.9,
    showValue: 'never',
    tooltip: { mode: 'single', sort: 'none' },
  }, { fillOpacity: 70, lineWidth: 0, spanNulls: false }, { w: 12 } + options),

  logs(title, targets, options):: panel('logs', title, targets, {
    dedupStrategy: 'none',
    enableLogDetails: true,
    prettifyLogMessage: false,
    showCommonLabels: false,
    showLabels: false,
    showTime: true,
    sortOrder: 'Descending',
    wrapLogMessage: true,
  }, {}, { unit: 'none', w: 24 } + options),

  // Words; the only panel without a query, hence without a unit.
  text(title, content, options={}):: {
    type: 'text',
    title: title,
    description: required(options, title, 'description'),
    gridPos: { w: std.get(options, 'w', 24), h: std.get(options, 'h', 3) },
    options: { mode: 'markdown', content: content },
  },

  // A row's title is the question that its panels answer.
  row(question, panels, folded=false)::
    assert std.endsWith(question, '?') : 'row %s: its title must be a question' % question;
    { title: question, panels: panels, folded: folded },

  // What 1 and 0 mean, for the option `mappings`.
  yes_or_no(yes, no):: [{ type: 'value', options: { '0': { text: no, index: 0 }, '1': { text: yes, index: 1 } } }],

  // Steps of a threshold, for a single column of a table.
  thresholds(limits):: { mode: 'absolute', steps: steps(limits) },

  // ---- Layout: rows flow from left to right and wrap at 24 columns -----------------------------------------
  // What a fold carries along is an array: its elements are worked out once, the fields of an object at every look,
  // which doubles the work with each panel.
  local flow(panels, top) =
    local flowed = std.foldl(
      function(at, one)
        local x = at[0], y = at[1], bottom = at[2], out = at[3];
        local size = one.gridPos;
        local wraps = x + size.w > 24;
        local place = { x: if wraps then 0 else x, y: if wraps then bottom else y };
        [place.x + size.w, place.y, std.max(bottom, place.y + size.h), out + [one { gridPos: size + place }]],
      panels,
      [0, top, top, []]
    );
    { bottom: flowed[2], panels: flowed[3] },
  local placed(rows) = std.foldl(
    function(at, row)
      local y = at[0], out = at[1];
      local flowed = flow(row.panels, y + 1);
      local header = {
        type: 'row',
        title: row.title,
        collapsed: row.folded,
        gridPos: { x: 0, y: y, w: 24, h: 1 },
        panels: if row.folded then flowed.panels else [],
      };
      if row.folded then [y + 1, out + [header]] else [flowed.bottom, out + [header] + flowed.panels],
    rows,
    [0, []]
  )[1],
  local numbered(panels) = std.foldl(
    function(at, one)
      local next = at[0], out = at[1];
      local inner = std.get(one, 'panels', []);
      [
        next + 1 + std.length(inner),
        out + [one {
          id: next,
          [if std.objectHas(one, 'panels') then 'panels']: std.mapWithIndex(
            function(index, child) child { id: next + 1 + index }, inner
          ),
        }],
      ],
    panels,
    [1, []]
  )[1],
  layout(rows):: numbered(placed(rows)),

  // ---- Variables -------------------------------------------------------------------------------------------
  variable: {
    // Which data source of a kind to ask; its value is a uid.
    datasource(name, type, label, uid):: {
      name: name,
      label: label,
      type: 'datasource',
      query: type,
      current: { text: label, value: uid, selected: true },
      hide: 0,
      includeAll: false,
      multi: false,
      options: [],
      refresh: 1,
      regex: '',
      skipUrlSync: false,
    },

    // Values of a label; `select` is a selector such as 'up{job=~"$job"}'. Starts at All unless `start` says where.
    // All is `all`; where that is null, it is every value that there is, so that one variable narrows the next.
    label_values(name, label, select, start=null, all='.+'):: self.query(
      name, prometheus, { qryType: 1, query: 'label_values(%s, %s)' % [select, label], refId: name }, start, all
    ),

    // The same of the streams in Loki.
    stream_values(name, label, start=null):: self.query(
      name, loki, { label: label, refId: name, stream: '', type: 1 }, start, '.+'
    ) { label: label },

    query(name, source, query, start, all):: {
      name: name,
      label: name,
      type: 'query',
      datasource: source,
      query: query,
      [if all != null then 'allValue']: all,
      current: if start == null then { text: ['All'], value: ['$__all'], selected: true }
      else { text: [start], value: [start], selected: true },
      hide: 0,
      includeAll: true,
      multi: true,
      options: [],
      refresh: 2,  // when the time range changes: instances come and go
      regex: '',
      skipUrlSync: false,
      sort: 1,
    },

    // What a reader types; empty at first.
    text(name, label):: {
      name: name,
      label: label,
      type: 'textbox',
      query: '',
      current: { text: '', value: '', selected: true },
      hide: 0,
      options: [],
      skipUrlSync: false,
    },

    // A choice of few values, of which there may be several at once.
    custom(name, values):: {
      name: name,
      label: name,
      type: 'custom',
      query: std.join(',', values),
      allValue: '.*',
      current: { text: ['All'], value: ['$__all'], selected: true },
      hide: 0,
      includeAll: true,
      multi: true,
      options: [],
      skipUrlSync: false,
    },
  },

  annotation(name, expr, color, title, text):: {
    name: name,
    datasource: prometheus,
    enable: true,
    expr: expr,
    hide: false,
    iconColor: color,
    step: '60s',
    textFormat: text,
    titleFormat: title,
    useValueForTime: false,
  },
}
