import { StreamError } from '@sluice/driver'
import type { LogSource, PartitionEvents, PartitionId, SubscribeOptions } from '@sluice/driver'
import { override } from '../override.ts'
import { onLog } from './mutant.ts'
import type { Mutant } from './mutant.ts'

/** Bugs of partitions: how they end, go back, are held back and are lost. */
export const partitionMutants: readonly Mutant[] = [
  {
    name: 'emptied-never-ends',
    bug: 'a partition that ended is over only for those who were given a record of it',
    killedBy: 'group/emptied-parent',
    infect: () => ({
      mutate: (driver) => {
        // Of the subscription that is being made: it is prepared, then there is its source.
        let met = new Set<PartitionId>()
        return onLog(
          driver,
          (source) => noteMet(source, met),
          (options) => {
            const mine = (met = new Set())
            const ended: PartitionEvents['ended'] = (partition, children) => {
              if (mine.has(partition)) options.events.ended(partition, children)
            }
            return { ...options, events: override(options.events, { ended }) }
          },
        )
      },
    }),
  },
  {
    name: 'withdraw-by-name',
    bug: 'when a hand-over is done its partition is not read any more, even if a new tenure began meanwhile',
    killedBy: 'group/seek-during-handover',
    infect: () => ({
      mutate: (driver) => {
        let withdrawn = new Set<PartitionId>()
        return onLog(
          driver,
          (source) => without(source, withdrawn),
          (options) => {
            const mine = (withdrawn = new Set())
            const revoking: PartitionEvents['revoking'] = async (partitions, deadlineMs) => {
              await options.events.revoking(partitions, deadlineMs)
              for (const partition of partitions) mine.add(partition)
            }
            const assigned: PartitionEvents['assigned'] = (partition, epoch) => {
              mine.delete(partition)
              options.events.assigned(partition, epoch)
            }
            return { ...options, events: override(options.events, { revoking, assigned }) }
          },
        )
      },
    }),
  },
  {
    name: 'deleted-not-told',
    bug: 'reading a topic that was deleted finds nothing, for ever',
    killedBy: 'life/topic-deleted',
    infect: () => ({
      mutate: (driver) =>
        onLog(
          driver,
          (source) => ({
            poll: (credit, signal) =>
              source.poll(credit, signal).catch(async (error: unknown) => {
                if (!StreamError.is(error, 'not-found')) throw error
                await new Promise((resolve) => setTimeout(resolve, 50))
                return []
              }),
          }),
          withoutNotFound,
        ),
    }),
  },
  {
    name: 'deleted-told-to-readers',
    bug: 'that a topic was deleted is told to those alone who read something',
    killedBy: 'life/topic-deleted',
    infect: () => ({ mutate: (driver) => onLog(driver, () => ({}), withoutNotFound) }),
  },
]

/** A subscription that is not told that its topic is gone. */
function withoutNotFound(options: SubscribeOptions): SubscribeOptions {
  const failed: PartitionEvents['failed'] = (error) => {
    if (error.code !== 'not-found') options.events.failed(error)
  }
  return { ...options, events: override(options.events, { failed }) }
}

function noteMet(source: LogSource, met: Set<PartitionId>): Partial<LogSource> {
  return {
    poll: async (credit, signal) => {
      const records = await source.poll(credit, signal)
      for (const { partition } of records) met.add(partition)
      return records
    },
  }
}

function without(source: LogSource, partitions: ReadonlySet<PartitionId>): Partial<LogSource> {
  return {
    poll: async (credit, signal) =>
      (await source.poll(credit, signal)).filter((record) => !partitions.has(record.partition)),
  }
}
