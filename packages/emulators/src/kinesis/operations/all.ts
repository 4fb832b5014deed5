import { consumerOperations } from './consumers.ts'
import { monitoringOperations } from './monitoring.ts'
import type { Operations } from './operation.ts'
import { recordOperations } from './records.ts'
import { retentionOperations } from './retention.ts'
import { shardOperations } from './shards.ts'
import { streamOperations } from './streams.ts'
import { tagOperations } from './tags.ts'

/** Every call with one answer. */
export const operations: Operations = {
  ...streamOperations,
  ...shardOperations,
  ...retentionOperations,
  ...tagOperations,
  ...monitoringOperations,
  ...recordOperations,
  ...consumerOperations,
}

/** Every call; the last is answered with a stream of events. */
export const callNames: readonly string[] = [...Object.keys(operations), 'SubscribeToShard']
