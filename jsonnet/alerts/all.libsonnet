// Every file of alerts: name under prometheus/rules/ -> content.
local alert = import '../lib/alert.libsonnet';
local config = import '../config.libsonnet';

alert.complete({
  'agents-alerts': import 'agents.libsonnet',
  'application-alerts': import 'application.libsonnet',
  'datastores-alerts': import 'datastores.libsonnet',
  'hosts-alerts': import 'hosts.libsonnet',
  'money-alerts': import 'money.libsonnet',
  'logs-alerts': import 'logs.libsonnet',
  'monitoring-alerts': import 'monitoring.libsonnet',
  'probes-alerts': import 'probes.libsonnet',
  'providers-alerts': import 'providers.libsonnet',
  'users-alerts': import 'users.libsonnet',
}, config.teams, config.urls)
