// What the lines in Loki say. Which labels a line has is set in promtail/promtail-config.yml; a service in Loki has the
// name of its job.
local signal = import '../lib/signal.libsonnet';

local chosen = '{service=~"$job", level=~"$level"}';
local errors = '{service=~"$job", level=~"error|critical"}';
local found = '|~ `(?i)$search` | trace_id=~"$trace_id.*" | conversation_id=~"$conversation_id.*"';
// The public door writes what it answered as JSON (nginx/nginx.conf).
local door = '{service="nginx", level="info"}';
local path_class = 'label_format path=`{{ regexReplaceAll "/[^/]*[0-9][^/]*" .path "/*" }}`';
local answered = ' | json path="path", status="status", limited="limited" | drop __error__, __error_details__';

// What an event is called, with what differs from one to the next taken out.
local message = |||
  | json event="event", msg="msg", text="message"
  | drop __error__, __error_details__
  | label_format message=`{{ regexReplaceAll "[0-9a-fA-F-]{8,}|[0-9]+" (trunc 120 (or .event .msg .text __line__)) "#" }}`
|||;
local messages(range, offset='') = 'sum by (service, message) (count_over_time(%s\n%s[%s]%s))' % [errors, message, range, offset];

local count(spec, group, lines) = signal.lines({
  unit: 'short',
  by: group,
  expr: 'sum by (%s) (count_over_time(%s [$__auto]))' % [std.join(', ', group), lines],
} + spec);

{
  // ---- Volume --------------------------------------------------------------------------------------------
  by_level: count({
    title: 'Lines by level',
    description: 'Lines in each step of the picture, by level. Lines without a level are those that name none.',
  }, ['level'], chosen),
  by_service: signal.lines({
    title: 'Lines by service',
    description: 'Lines in each step of the picture, by service, the ten that say most. A service that stops to write has stopped to work.',
    unit: 'short',
    by: ['service'],
    expr: 'topk(10, sum by (service) (count_over_time(%s [$__auto])))' % chosen,
  }),
  errors: signal.lines({
    title: 'now',
    description: 'Lines of level error and critical in each step of the picture; the dashed line is yesterday.',
    unit: 'short',
    expr: 'sum(count_over_time(%s [$__auto]))' % errors,
  }),
  errors_yesterday: signal.lines({
    title: 'yesterday',
    description: 'The same, a day before.',
    unit: 'short',
    expr: 'sum(count_over_time(%s [$__auto] offset 1d))' % errors,
  }),

  // ---- Find ----------------------------------------------------------------------------------------------
  found: signal.lines({
    title: 'Lines',
    description: 'Lines of the chosen services and levels that contain the search (a regular expression, upper or lower case) and belong to the trace and the conversation. Open a line to see its trace_id and to go to every line of that trace.',
    unit: 'none',
    expr: '%s %s' % [chosen, found],
  }),
  failed: signal.lines({
    title: 'Errors only',
    description: 'The same, of level error and critical.',
    unit: 'none',
    expr: '%s %s' % [errors, found],
  }),
  of_trace: signal.lines({
    title: 'The same trace in every service',
    description: 'Every line of the trace above, whichever service wrote it. Without a trace_id: every line that belongs to one.',
    unit: 'none',
    expr: '{service=~".+"} | trace_id=~"$trace_id.*" | trace_id!=""',
  }),

  // ---- Patterns ------------------------------------------------------------------------------------------
  messages: signal.lines({
    title: 'Times',
    description: 'Error messages within the shown time range, most frequent first. Numbers and ids are taken out.',
    unit: 'short',
    by: ['service', 'message'],
    expr: 'topk(20, %s)' % messages('$__range'),
  }),
  top_messages: signal.lines({
    title: 'Times',
    description: 'The five most frequent error messages within the shown time range.',
    unit: 'short',
    by: ['service', 'message'],
    expr: 'topk(5, %s)' % messages('$__range'),
  }),
  new_messages: signal.lines({
    title: 'Times',
    description: 'Error messages within the shown time range that there were not in the time of the same length before it. Set the range to the time since your last deployment.',
    unit: 'short',
    by: ['service', 'message'],
    expr: 'topk(20, %s unless %s)' % [messages('$__range'), messages('$__range', ' offset $__range')],
  }),
  exceptions: signal.lines({
    title: 'Exceptions by type',
    description: 'Lines that name an exception, by its type, the ten most frequent.',
    unit: 'short',
    by: ['service', 'exception'],
    expr: |||
      topk(10, sum by (service, exception) (count_over_time(
        %s |~ `Error|Exception|Timeout`
        | regexp `\b(?P<exception>[A-Z]\w*(?:Error|Exception|Timeout))\b`
        | exception!="" | drop __error__ [$__auto]
      )))
    ||| % chosen,
  }),

  // ---- Door ----------------------------------------------------------------------------------------------
  door: {
    unanswered: signal.lines({
      title: 'Nobody behind the door',
      description: 'Answers 502, 503 and 504 in each step of the picture: nothing listens, or it does not answer in time.',
      unit: 'short',
      by: ['status'],
      expr: 'sum by (status) (count_over_time(%s%s | status=~"502|503|504" [$__auto]))' % [door, answered],
    }),
    refused: signal.lines({
      title: 'Held back by the rate limit',
      description: 'Requests that the limits of nginx refused, in each step of the picture, by path.',
      unit: 'short',
      by: ['path'],
      expr: 'topk(10, sum by (path) (count_over_time(%s%s | limited="yes" | %s [$__auto])))' % [door, answered, path_class],
    }),
    failing: signal.lines({
      title: 'Answers',
      description: 'Paths by answers 4xx and 5xx within the shown time range; a part with a number stands as *.',
      unit: 'short',
      by: ['status', 'path'],
      expr: 'topk(20, sum by (status, path) (count_over_time(%s%s | status=~"[45].." | %s [$__range])))' % [door, answered, path_class],
    }),
    local seconds(title, field) = signal.lines({
      title: title,
      description: 'p95 of the time until nginx had sent the whole answer, and of the time that the application took of it. What lies between is a slow client.',
      unit: 's',
      expr: 'quantile_over_time(0.95, %s | json seconds="%s" | unwrap seconds | __error__="" [$__auto]) by (service)' % [door, field],
    }),
    total_p95: seconds('whole answer', 'request_seconds'),
    upstream_p95: seconds('application', 'upstream_seconds'),
    slowest: signal.lines({
      title: 'Slowest',
      description: 'Paths by their slowest answer within the shown time range; a part with a number stands as *.',
      unit: 's',
      by: ['path'],
      expr: 'topk(20, max by (path) (max_over_time(%s | json path="path", seconds="request_seconds" | %s | unwrap seconds | __error__="" [$__range])))' % [door, path_class],
    }),
    scanners: signal.lines({
      title: 'Not found',
      description: 'Addresses by the number of their requests for what is not there (400, 403, 404, 444), within the shown time range: many mean a scanner.',
      unit: 'short',
      by: ['remote_addr'],
      expr: 'topk(10, sum by (remote_addr) (count_over_time(%s | json remote_addr="remote_addr", status="status" | drop __error__, __error_details__ | status=~"400|403|404|444" [$__range])))' % door,
    }),
  },

  // ---- AI ------------------------------------------------------------------------------------------------
  ai_errors: signal.lines({
    title: 'AI calls that went wrong, by reason',
    description: 'Lines with a field error_type or finish_reason that says why an answer failed or was cut, in each step of the picture.',
    unit: 'short',
    by: ['service', 'reason'],
    expr: |||
      sum by (service, reason) (count_over_time(
        %s | json error_type="error_type", finish_reason="finish_reason"
        | drop __error__, __error_details__
        | label_format reason=`{{ or .error_type .finish_reason }}`
        | reason!="" | reason!~"stop|tool_calls" [$__auto]
      ))
    ||| % chosen,
  }),
  ai_lines: signal.lines({
    title: 'Refused, cut and timed-out AI calls',
    description: 'Warnings and errors about models, with the request id of the provider where the application logs it: the provider asks for it.',
    unit: 'none',
    expr: '{service=~"$job", level=~"warning|error|critical"} |~ `(?i)model|provider|answer|completion|rate.?limit|quota|content.?filter|context.?length|max_tokens`',
  }),
}
