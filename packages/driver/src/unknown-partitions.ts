import type { StartFrom } from './consumer.ts'
import { StreamError } from './errors.ts'
import type { PartitionId } from './record.ts'

/** Throws `not-found` when a group is to be moved in a partition that its topic does not have. */
export function refuseUnknownPartitions(
  to: StartFrom,
  topic: string,
  isKnown: (partition: PartitionId) => boolean,
): void {
  if (to.kind !== 'position') return
  const strange = Object.keys(to.positions).find((partition) => !isKnown(partition))
  if (strange === undefined) return
  throw new StreamError(
    'not-found',
    `topic "${topic}" has no partition "${strange}"; see its partitions with describeTopic`,
    {
      details: { topic, partition: strange },
    },
  )
}
