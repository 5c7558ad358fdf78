// HTTP as its users feel it.
local config = import '../config.libsonnet';
local seconds = import '../lib/duration.libsonnet';
local signal = import '../lib/signal.libsonnet';

local duration = 'claw_ai_http_request_duration_seconds';
local first_byte = 'claw_ai_http_time_to_first_byte_seconds';
local streaming = { 'endpoint=~': config.streaming_endpoints };
local limits = config.thresholds;

// Without the instance: a big fleet has a hundred thousand buckets.
local recorded_buckets = 'job_endpoint_le:claw_ai_http_request_duration_seconds_bucket:rate5m';
local recorded_requests = 'job_endpoint_status:claw_ai_http_requests:rate5m';
local recorded_by_instance = 'job_instance_status:claw_ai_http_requests:rate5m';
local recorded_in_all = 'job:claw_ai_http_requests:rate5m';

local quantiles(record, description) = [
  signal.quantile(q, duration, {
    title: 'p%g' % (q * 100),
    description: description,
    record: record,
    thresholds: limits.http_p95_seconds,
  })
  for q in [0.5, 0.95, 0.99]
];

// A column of the endpoint table: recorded per endpoint over all instances, so that a big fleet stays readable.
local recorded(spec) = signal.new({ by: ['endpoint'] } + spec);

{
  requests: signal.rate('claw_ai_http_requests_total', { title: 'Requests', unit: 'reqps' }),
  by_class: signal.new({
    title: 'Request rate by status class',
    description: 'Requests a second, stacked by status class; the dashed line is the same hour a week ago.',
    unit: 'reqps',
    by: ['status_class'],
    query(s):: 'sum by (status_class) (label_replace(%s, "status_class", "${1}xx", "status", "(.).."))' % s.averaged(recorded_by_instance),
  }),
  last_week: signal.new({
    title: 'a week ago',
    description: 'Requests a second, a week ago.',
    unit: 'reqps',
    query(s):: 'sum(avg_over_time(%s[%s] offset 1w))' % [s.recorded(recorded_in_all), s.range],
  }),
  against_last_week: signal.new({
    title: 'Traffic against last week',
    description: 'Request rate now, as a share of the rate a week ago. Empty while there is no data a week old.',
    unit: 'percentunit',
    thresholds: { warning: 0.5, critical: 0.1, below: true },
    no_value: 'no data a week ago',
    query(s):: |||
      sum(avg_over_time(%(requests)s[%(range)s]))
      /
      sum(avg_over_time(%(requests)s[%(range)s] offset 1w))
    ||| % { requests: s.recorded(recorded_in_all), range: s.range },
  }),
  hurt: signal.new({
    title: 'People hurt per minute',
    description: 'Requests that failed (5xx) or were given up by the client (499), and AI answers that failed, per minute. One person can count twice.',
    unit: 'short',
    thresholds: { warning: 1, critical: 10 },
    query(s):: |||
      60 * (
        sum(%(http)s)
        + (sum(%(answers)s) or 0 * sum(%(http)s))
      )
    ||| % {
      http: s.averaged(recorded_by_instance, { 'status=~': '5..|499' }),
      answers: s.rate('claw_ai_ai_response_duration_seconds_count', { status: 'error' }),
    },
  }),
  status_codes: signal.new({
    title: 'HTTP status codes',
    description: 'Responses in the shown time range by exact status code, the ten most frequent. 499: the client left first.',
    unit: 'short',
    by: ['status'],
    // Each value of the recording stands for the time until the next one.
    query(s):: 'topk(10, %d * sum by (status) (sum_over_time(%s[$__range])) > 0)' % [
      seconds(config.intervals.recording),
      s.recorded('job_status:claw_ai_http_requests:rate5m'),
    ],
  }),
  local errors = {
    title: 'Error rate',
    description: 'Share of requests answered with 5xx, or broken in mid-stream.',
    unit: 'percentunit',
    thresholds: limits.http_error_ratio,
  },
  errors: signal.new(errors {
    query(s):: |||
      sum(%s)
      /
      sum(%s)
    ||| % [
      s.averaged('job_instance:claw_ai_http_requests_failed:rate5m'),
      s.averaged('job_instance:claw_ai_http_requests:rate5m'),
    ],
  }),
  errors_of_endpoint: signal.share('claw_ai_http_requests_total', { 'status=~': '5..' }, errors { record: recorded_requests }),
  abandoned: signal.share('claw_ai_http_requests_total', { status: '499' }, {
    title: 'Given up by clients (499)',
    description: 'Share of requests whose client left before the answer was complete: slow without an error.',
    record: recorded_requests,
    thresholds: limits.http_error_ratio,
  }),
  refused: signal.share('claw_ai_http_requests_total', { status: '429' }, {
    title: 'Refused as too many (429)',
    description: 'Share of requests refused with 429.',
    record: recorded_requests,
    thresholds: limits.http_error_ratio,
  }),
  failures_by_endpoint: signal.new({
    title: 'Failed requests by endpoint and code',
    description: 'Requests a second answered with 4xx or 5xx, the ten largest.',
    unit: 'reqps',
    by: ['endpoint', 'status'],
    query(s):: 'topk(10, sum by (endpoint, status) (%s) > 0)' % s.averaged(recorded_requests, { 'status=~': '[45]..' }),
  }),

  // How long a stream takes says nothing about how fast it is: the recording leaves streams out.
  quantiles: quantiles(
    'job_le:%s_bucket:rate5m' % duration,
    'Duration of requests to endpoints that do not stream, to the last byte. Streaming ones are judged by their first byte.'
  ),
  quantiles_of_endpoint: quantiles(recorded_buckets, 'Duration of requests to the chosen endpoint, to the last byte.'),
  first_byte_p95: signal.quantile(0.95, first_byte, {
    title: 'first byte p95 (streaming)',
    description: 'Time to the first byte of streamed responses.',
    record: 'job_le:%s_bucket:rate5m' % first_byte,
    thresholds: limits.http_p95_seconds,
  }),
  buckets: signal.buckets(duration, {
    title: 'Response times of $endpoint',
    description: 'Requests per duration; the dots are exemplars.',
  }),
  slower_than_warning: signal.above_bound(limits.http_p95_seconds.warning, duration, {
    title: 'over %g s' % limits.http_p95_seconds.warning,
    description: 'Share of requests that took longer; counted from buckets, not estimated.',
    record: recorded_buckets,
  }),
  slower_than_critical: signal.above_bound(limits.http_p95_seconds.critical, duration, {
    title: 'over %g s' % limits.http_p95_seconds.critical,
    description: 'Share of requests that took longer.',
    record: recorded_buckets,
  }),

  // ---- By endpoint ---------------------------------------------------------------------------------------
  endpoint: {
    rate: recorded({
      title: 'Requests/s',
      description: 'Requests a second.',
      unit: 'reqps',
      query(s):: 'sum by (endpoint) (%s)' % s.recorded('job_endpoint:claw_ai_http_requests:rate5m'),
    }),
    hurt: recorded({
      title: 'Hurt/min',
      description: 'Requests per minute that failed or were given up.',
      unit: 'short',
      thresholds: { warning: 1, critical: 10 },
      query(s):: |||
        60 * (
          sum by (endpoint) (%(bad)s)
          or
          0 * sum by (endpoint) (%(all)s)
        )
      ||| % {
        bad: s.recorded('job_endpoint_status:claw_ai_http_requests:rate5m', { 'status=~': '5..|499' }),
        all: s.recorded('job_endpoint:claw_ai_http_requests:rate5m'),
      },
    }),
    local share(status) = function(s) |||
      (
        sum by (endpoint) (%(bad)s)
        or
        0 * sum by (endpoint) (%(all)s)
      )
      /
      sum by (endpoint) (%(all)s)
    ||| % {
      bad: s.recorded('job_endpoint_status:claw_ai_http_requests:rate5m', { 'status=~': status }),
      all: s.recorded('job_endpoint:claw_ai_http_requests:rate5m'),
    },
    errors: recorded({
      title: '5xx',
      description: 'Share of requests that failed.',
      unit: 'percentunit',
      thresholds: limits.http_error_ratio,
      query:: share('5..'),
    }),
    abandoned: recorded({
      title: '499',
      description: 'Share of requests given up by the client.',
      unit: 'percentunit',
      thresholds: limits.http_error_ratio,
      query:: share('499'),
    }),
    local quantile(title, record, limits={}) = recorded({
      title: title,
      description: title + ' over the last five minutes.',
      unit: 's',
      query(s):: 'max by (endpoint) (%s)' % s.recorded(record),
    } + limits),
    p50: quantile('p50', 'job_endpoint:claw_ai_http_request_duration_seconds:p50_5m'),
    p95: quantile('p95', 'job_endpoint:claw_ai_http_request_duration_seconds:p95_5m', { thresholds: limits.http_p95_seconds }),
    first_byte_p95: quantile('First byte p95', 'job_endpoint:claw_ai_http_time_to_first_byte_seconds:p95_5m', { thresholds: limits.http_p95_seconds }),
    p95_against_last_week: recorded({
      title: 'p95 against last week',
      description: 'p95 now as a multiple of the p95 a week ago.',
      unit: 'percentunit',
      thresholds: { warning: 1.5, critical: 3 },
      query(s):: |||
        max by (endpoint) (%(p95)s)
        /
        max by (endpoint) (%(p95)s offset 1w)
      ||| % { p95: s.recorded('job_endpoint:claw_ai_http_request_duration_seconds:p95_5m') },
    }),
    slowest: recorded({
      title: 'p95 by endpoint',
      description: 'p95 of the ten slowest endpoints, over all instances. The endpoints that stream take as long as their answer.',
      unit: 's',
      thresholds: limits.http_p95_seconds,
      query(s):: 'topk(10, max by (endpoint) (%s))' % s.recorded('job_endpoint:claw_ai_http_request_duration_seconds:p95_5m'),
    }),
    busiest: recorded({
      title: 'Request rate by endpoint',
      description: 'Requests a second to the twenty busiest endpoints.',
      unit: 'reqps',
      query(s):: 'topk(20, sum by (endpoint) (%s))' % s.averaged('job_endpoint:claw_ai_http_requests:rate5m'),
    }),
    failing: recorded({
      title: 'Endpoints by error rate',
      description: 'Colour: share of requests that failed (5xx), per endpoint over time.',
      unit: 'percentunit',
      query(s):: |||
        sum by (endpoint) (%(bad)s)
        /
        sum by (endpoint) (%(all)s)
      ||| % {
        bad: s.averaged(recorded_requests, { 'status=~': '5..' }),
        all: s.averaged('job_endpoint:claw_ai_http_requests:rate5m'),
      },
    }),
  },

  // ---- Streaming -----------------------------------------------------------------------------------------
  streams: {
    first_byte: signal.new({
      title: 'First byte p95',
      description: 'Time to the first byte of responses sent in more than one part; the ten slowest endpoints.',
      unit: 's',
      by: ['endpoint'],
      thresholds: limits.http_p95_seconds,
      query(s):: 'topk(10, max by (endpoint) (%s))' % s.averaged('job_endpoint:%s:p95_5m' % first_byte),
    }),
    length: signal.quantile(0.95, duration, {
      title: 'Stream length p95',
      description: 'Time from request to last byte of the endpoints that stream.',
      record: recorded_buckets,
      match: streaming,
      by: ['endpoint'],
    }),
    size: signal.mean('claw_ai_http_response_size_bytes', {
      title: 'Bytes per stream',
      description: 'Mean body size of the endpoints that stream.',
      match: streaming,
      by: ['endpoint'],
    }),
    broken: signal.share('claw_ai_http_requests_total', { 'status=~': '5..' }, {
      title: 'Broken streams',
      description: 'Share of streamed responses that failed or broke before their end.',
      record: recorded_requests,
      match: streaming,
      by: ['endpoint'],
      thresholds: limits.http_error_ratio,
    }),
    sockets: signal.gauge('claw_ai_websocket_connections', { title: 'Open WebSockets', by: ['endpoint'] }),
    socket_life: signal.new({
      title: 'Life of a WebSocket, median',
      description: 'How long connections lasted that closed lately. Seconds where there were hours: something cuts them.',
      unit: 's',
      by: ['endpoint'],
      no_value: 'no WebSocket closed lately',
      query(s):: 'max by (endpoint) (%s)' % s.averaged('job_endpoint:claw_ai_websocket_duration_seconds:p50_5m'),
    }),
    socket_closes: signal.rate('claw_ai_websocket_duration_seconds_count', {
      title: 'WebSockets closed by code',
      description: 'WebSockets closed a second, by close code: 1000 and 1001 are orderly, 1006 and 1011 are not.',
      by: ['close_code'],
      record: 'job_close_code:claw_ai_websocket_duration_seconds_count:rate5m',
    }),
  },

  active: signal.gauge('claw_ai_http_active_connections', {
    title: 'Requests in flight',
    by: ['instance'],
  }),
}
