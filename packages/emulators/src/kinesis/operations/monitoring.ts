import { list, required, text } from '../shape.ts'
import { byNameOrArn, operation } from './operation.ts'
import type { Operation, Operations } from './operation.ts'

const allMetrics = [
  'IncomingBytes',
  'IncomingRecords',
  'OutgoingBytes',
  'OutgoingRecords',
  'WriteProvisionedThroughputExceeded',
  'ReadProvisionedThroughputExceeded',
  'IteratorAgeMilliseconds',
]

export const monitoringOperations: Operations = {
  EnableEnhancedMonitoring: monitoring((metrics, named) => new Set([...metrics, ...named])),
  DisableEnhancedMonitoring: monitoring((metrics, named) => new Set([...metrics].filter((one) => !named.has(one)))),
}

function monitoring(
  change: (metrics: ReadonlySet<string>, named: ReadonlySet<string>) => ReadonlySet<string>,
): Operation {
  return operation(
    {
      ...byNameOrArn,
      ShardLevelMetrics: required(list(text({ oneOf: [...allMetrics, 'ALL'] }), { min: 1, max: 7 })),
    },
    (input, { service, region }) => {
      const stream = service.stream(region, input)
      const named = input.ShardLevelMetrics.flatMap((metric) => (metric === 'ALL' ? allMetrics : [metric ?? '']))
      const current = [...stream.metrics]
      const desired = change(stream.metrics, new Set(named))
      stream.metrics.clear()
      for (const metric of desired) stream.metrics.add(metric)
      service.changed(region, stream)
      return {
        StreamName: stream.name,
        StreamARN: stream.origin.arn,
        CurrentShardLevelMetrics: current,
        DesiredShardLevelMetrics: [...desired],
      }
    },
  )
}
