// What users are promised. Each entry becomes recordings, burn-rate alerts and a row of the dashboards.
local config = import 'config.libsonnet';
local bound = import 'lib/bound.libsonnet';
local slo = import 'lib/slo.libsonnet';

local common = {
  window: config.slo.window,
  burn: config.slo.burn,
  windows: [pair.long for pair in config.slo.leak],
  keep: config.keep_firing_for,
};

local patient = 'endpoint!~"%s"' % config.streaming_endpoints;
local latency = config.slo.http_latency;

{
  http_availability: slo(common + config.slo.http_availability + {
    name: 'http_availability',
    alert: 'HttpAvailability',
    events: 'HTTP requests',
    verb: 'failed',
    total: 'claw_ai_http_requests_total',
    bad: 'claw_ai_http_requests_total{status=~"5.."}',
    leak: config.slo.leak,
    dashboard: 'claw-ai-slo',
  }),

  // An error that comes fast is no fast answer: failures belong to the objective above, not here.
  http_latency: slo(common + latency + {
    name: 'http_latency',
    alert: 'HttpLatency',
    events: 'HTTP requests',
    verb: 'took longer than %g s' % latency.threshold_seconds,
    total: 'claw_ai_http_request_duration_seconds_count{%s, status_class!="5xx"}' % patient,
    good: 'claw_ai_http_request_duration_seconds_bucket{le="%s", %s, status_class!="5xx"}' % [
      bound('claw_ai_http_request_duration_seconds', latency.threshold_seconds),
      patient,
    ],
    severity: 'warning',
    dashboard: 'claw-ai-slo',
  }),

  // What people left unfinished is neither good nor bad.
  ai_answers: slo(common + config.slo.ai_answers + {
    name: 'ai_answers',
    alert: 'AiAnswer',
    events: 'AI answers',
    verb: 'failed',
    total: 'claw_ai_ai_response_duration_seconds_count{status!="cancelled"}',
    bad: 'claw_ai_ai_response_duration_seconds_count{status="error"}',
    dashboard: 'claw-ai-slo',
  }),
}
