// What a receiver is sent through: each channel of config.receivers as Alertmanager, or the relay, wants it.

// Files that docker-compose.prod.yml hands over one by one; all others are in the folder secrets/notify/, which
// Alertmanager and the relay see as a whole.
local single = ['alertmanager_oncall_url', 'alertmanager_team_url', 'alertmanager_watchdog_url'];
local folder = 'notify/';

local sign_hint = "choose 'sign' among the security settings of the bot, and write its secret into that file";

// type -> the keys that it must have (with what to do) and those that it may have.
local types = {
  email: { must: { to: 'the address to write to' }, may: [] },
  slack: { must: { url_file: 'the file with the address of the incoming webhook' }, may: ['channel'] },
  pagerduty: { must: { key_file: 'the file with the integration key (Events API v2)' }, may: ['url'] },
  webhook: { must: { url_file: 'the file with the address' }, may: [] },
  wecom: { must: { url_file: "the file with the address of the group's bot" }, may: [] },
  dingtalk: {
    must: { url_file: "the file with the address of the group's bot", secret_file: sign_hint },
    may: [],
  },
  feishu: {
    must: { url_file: "the file with the address of the group's bot", secret_file: sign_hint },
    may: [],
  },
};
local by_relay = ['dingtalk', 'feishu', 'wecom'];

local startsWith(text, part) = std.length(text) >= std.length(part) && text[:std.length(part)] == part;
local list(names) = std.join(', ', names);

// A file as the programs name it: relative to the folder that they run in.
local file(where, name) =
  assert std.member(single, name) || (startsWith(name, folder) && std.length(name) > std.length(folder)) :
         "%s: the file '%s' is neither in notify/ nor one of %s; write 'notify/%s', and put it into secrets/notify/"
         % [where, name, list(single), name];
  'secrets/' + name;

local checked(receiver, channel) =
  local type = std.get(channel, 'type', error 'receiver %s: a channel must provide type, one of %s' % [receiver, list(std.objectFields(types))]);
  local known = if std.objectHas(types, type) then types[type] else
    error "receiver %s: '%s' is no type of channel; there are %s" % [receiver, type, list(std.objectFields(types))];
  local keys = std.objectFields(known.must) + known.may + ['type'];
  local missing = [key for key in std.objectFields(known.must) if std.get(channel, key, '') == ''];
  local unknown = [key for key in std.objectFields(channel) if !std.member(keys, key)];
  assert missing == [] : 'receiver %s: its %s channel lacks %s: %s' % [receiver, type, missing[0], known.must[missing[0]]];
  assert unknown == [] : "receiver %s: '%s' is no setting of a %s channel; there are %s" % [receiver, unknown[0], type, list(keys)];
  channel;

local languageOf(receiver, options, fallback) =
  local language = std.get(options, 'language', fallback);
  assert std.member(['en', 'zh'], language) : "receiver %s: its language is '%s', not one of en, zh" % [receiver, language];
  language;

local channelsOf(receiver, options) =
  local unknown = [key for key in std.objectFields(options) if !std.member(['channels', 'language'], key)];
  assert unknown == [] : "receiver %s: '%s' is no setting of a receiver; there are channels, language" % [receiver, unknown[0]];
  [checked(receiver, channel) for channel in std.get(options, 'channels', [])];

// The name of a bot at the relay: that of its receiver, and a number where one has several of a kind.
local named(receiver, channels) = std.mapWithIndex(
  function(index, channel)
    local before = std.length([c for c in channels[:index] if c.type == channel.type]);
    channel { name: if before == 0 then receiver else '%s-%d' % [receiver, before + 1] },
  channels
);

local emailServer(receiver, email) =
  if email == null then
    error 'receiver %s has an email channel, but config.email is null: say there which mail server sends' % receiver
  else
    local username = std.get(email, 'username', null);
    {
      smarthost: std.get(email, 'smarthost', error "config.email must provide smarthost, such as 'smtp.example.com:587'"),
      from: std.get(email, 'from', error "config.email must provide from, such as 'claw@example.com'"),
      [if std.objectHas(email, 'require_tls') then 'require_tls']: email.require_tls,
      [if username != null then 'auth_username']: username,
      [if username != null then 'auth_password_file']:
        file('config.email', std.get(email, 'password_file', error 'config.email has a username, but no password_file')),
    };

{
  // The integrations of one receiver, in Alertmanager's words.
  //
  //   context: { email, language, relay_url, send_resolved }
  receiver(name, options, context)::
    local language = languageOf(name, options, context.language);
    local channels = named(name, channelsOf(name, options));
    // Also where none of its channels has words of its own.
    assert language != '' : 'never';
    local where(channel) = 'receiver %s, %s' % [name, channel.type];
    local say(part) = '{{ template "claw.%s.%s" . }}' % [language, part];
    local resolved = { send_resolved: context.send_resolved };
    local link(part, words) = { href: '{{ template "claw.%s" . }}' % part, text: '{{ template "claw.%s.%s" . }}' % [language, words] };
    local integrations = {
      email(channel):: emailServer(name, context.email) + resolved + {
        to: channel.to,
        headers: { Subject: say('title') },
        html: say('email.html'),
        text: say('email.text'),
      },
      slack(channel):: resolved {
        api_url_file: file(where(channel), channel.url_file),
        [if std.objectHas(channel, 'channel') then 'channel']: channel.channel,
        color: '{{ template "claw.colour" . }}',
        title: say('title'),
        title_link: '{{ template "claw.dashboard" . }}',
        fallback: say('title'),
        text: say('slack.text'),
        footer: '',
      },
      pagerduty(channel):: resolved {
        routing_key_file: file(where(channel), channel.key_file),
        [if std.objectHas(channel, 'url') then 'url']: channel.url,
        client: 'Claw',
        client_url: '{{ template "claw.dashboard" . }}',
        description: say('pagerduty.description'),
        severity: '{{ template "claw.severity" . }}',
        source: '{{ with .CommonLabels.host }}{{ . }}{{ else }}{{ .CommonLabels.job }}{{ end }}',
        component: '{{ .CommonLabels.job }}',
        group: '{{ .CommonLabels.team }}',
        class: '{{ .CommonLabels.alertname }}',
        details: { firing: say('pagerduty.firing'), resolved: say('pagerduty.resolved'), num_firing: '{{ .Alerts.Firing | len }}', num_resolved: '{{ .Alerts.Resolved | len }}' },
        links: [link('dashboard', 'word.dashboard'), link('runbook', 'word.runbook'), link('silence', 'word.silence')],
      },
      webhook(channel):: resolved { url_file: file(where(channel), channel.url_file) },
      // What the relay is told needs no secret; it answers after the chat service did.
      relayed(channel):: resolved {
        url: '%s/%s/%s' % [context.relay_url, channel.type, channel.name],
        timeout: '20s',
      },
    };
    local of(types) = [channel for channel in channels if std.member(types, channel.type)];
    local rendered = {
      email_configs: [integrations.email(channel) for channel in of(['email'])],
      slack_configs: [integrations.slack(channel) for channel in of(['slack'])],
      pagerduty_configs: [integrations.pagerduty(channel) for channel in of(['pagerduty'])],
      webhook_configs: [integrations.webhook(channel) for channel in of(['webhook'])]
                       + [integrations.relayed(channel) for channel in of(by_relay)],
    };
    { name: name } + { [key]: rendered[key] for key in std.objectFields(rendered) if rendered[key] != [] },

  // The bots that the relay serves, in relay.yml's words.
  bots(name, options, fallback)::
    local language = languageOf(name, options, fallback);
    [
      {
        type: channel.type,
        name: channel.name,
        language: language,
        url_file: file('receiver ' + name, channel.url_file),
        [if std.objectHas(channel, 'secret_file') then 'secret_file']: file('receiver ' + name, channel.secret_file),
      }
      for channel in named(name, channelsOf(name, options))
      if std.member(by_relay, channel.type)
    ],

  // The channels of a receiver, checked.
  of: channelsOf,

  file: file,
}
