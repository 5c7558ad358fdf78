// What a cause mutes: array of { source, mutes: [alert], equal: [label] }. lib/route.libsonnet insists that every alert
// named here exists and promises the labels. What users feel is never muted by a cause.
local causes = [
  // The page is about the same failures as the ticket.
  { source: 'HttpAvailabilityBudgetBurn', mutes: ['HttpAvailabilityBudgetLeak'], equal: ['job'] },
  // Connections pile up because the database does not answer. Same host only: which pool belongs to which database is
  // not known, and a warning too many is better than one too few.
  { source: 'PostgresDown', mutes: ['PoolNearlyExhausted'], equal: ['host'] },
  { source: 'RedisDown', mutes: ['RedisMemoryHigh'], equal: ['host', 'instance'] },
  // A dead machine is one page, however much it took along.
  { source: 'HostDown', mutes: ['ProbeFailed', 'PublicDoorDown', 'TargetDown'], equal: ['host'] },
  { source: 'PublicDoorDown', mutes: ['ProbeFailed'], equal: ['host', 'target'] },
];

local aiProviders = [
  // A provider that is down is one page. A quota or a key is another fault with another remedy: never muted.
  {
    source: 'AiProviderDown',
    mutes: [
      'AiAnswerSlow',
      'AiContextLengthErrors',
      'AiFallbackActive',
      'AiProviderErrorsHigh',
      'AiRateLimitHeadroomLow',
      'AiRateLimited',
      'AiRetryAmplification',
      'AiStreamStalls',
      'AiStreamsStuck',
    ],
    equal: ['job', 'provider'],
  },
  // Canaries are the exporter's: they share the provider only.
  { source: 'AiProviderDown', mutes: ['AiCanaryFailing'], equal: ['provider'] },
  {
    source: 'AiQuotaExhausted',
    mutes: ['AiFallbackActive', 'AiRateLimitHeadroomLow', 'AiRateLimited', 'AiRetryAmplification'],
    equal: ['job', 'provider'],
  },
  { source: 'AiCredentialsRejected', mutes: ['AiFallbackActive'], equal: ['job', 'provider'] },
  { source: 'AiStreamsStuck', mutes: ['AiAnswerSlow', 'AiStreamStalls'], equal: ['job', 'provider'] },
  // The limit is not near any more, it is reached.
  { source: 'AiRateLimited', mutes: ['AiFallbackActive', 'AiRateLimitHeadroomLow'], equal: ['job', 'provider', 'model'] },
  { source: 'AiProviderErrorsHigh', mutes: ['AiFallbackActive'], equal: ['job', 'provider', 'model'] },
  // What is tried again is what was refused or failed: the ticket about that names the model.
  { source: 'AiRateLimited', mutes: ['AiRetryAmplification'], equal: ['job', 'provider'] },
  { source: 'AiProviderErrorsHigh', mutes: ['AiRetryAmplification'], equal: ['job', 'provider'] },
];

local money = [
  // Whoever is told about this hour needs no forecast.
  { source: 'AiCostRunaway', mutes: ['AiBudgetForecast'], equal: ['job'] },
];

local infrastructure = [
  // Who waits in vain has no use for "nearly".
  { source: 'PoolTimeouts', mutes: ['PoolNearlyExhausted'], equal: ['job', 'host', 'pool'] },
  { source: 'PostgresDown', mutes: ['PoolTimeouts'], equal: ['host'] },
  {
    source: 'PostgresDown',
    mutes: ['PostgresConnectionsHigh', 'PostgresReplicationLag', 'PostgresTransactionTooLong', 'PostgresWraparoundNear'],
    equal: ['host', 'instance'],
  },
  { source: 'RedisDown', mutes: ['RedisPersistenceFailing', 'RedisRefusing'], equal: ['host', 'instance'] },
  // Which queue lies in which Redis is not known to the exporter of either: same host only.
  { source: 'RedisDown', mutes: ['QueueAgeHigh', 'QueueStuck'], equal: ['host'] },
  { source: 'QueueStuck', mutes: ['QueueAgeHigh'], equal: ['host', 'redis', 'queue'] },
  { source: 'HostDown', mutes: ['CollectorFailing', 'DoorErrors', 'LogShipperStuck'], equal: ['host'] },
  { source: 'PublicDoorDown', mutes: ['DoorErrors'], equal: ['host'] },
];

causes + aiProviders + money + infrastructure
