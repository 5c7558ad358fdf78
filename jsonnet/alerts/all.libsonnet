// Every file of alerts: name under prometheus/rules/ -> content.
local alert = import '../lib/alert.libsonnet';
local config = import '../config.libsonnet';

alert.withLinks({
  'application-alerts': import 'application.libsonnet',
  'datastores-alerts': import 'datastores.libsonnet',
  'hosts-alerts': import 'hosts.libsonnet',
  'monitoring-alerts': import 'monitoring.libsonnet',
  'probes-alerts': import 'probes.libsonnet',
  'users-alerts': import 'users.libsonnet',
}, config.urls)
