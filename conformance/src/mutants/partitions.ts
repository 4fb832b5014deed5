import { StreamError } from '@sluice/driver'
import type { Driver, LogSource, PartitionEvents, PartitionId, Position, SubscribeOptions } from '@sluice/driver'
import { override } from '../override.ts'
import { onLog, onQueue } from './mutant.ts'
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
          (source) => ({ poll: (credit, signal) => nothingWhenDeleted(source.poll(credit, signal)) }),
          withoutNotFound,
        ),
    }),
  },
  {
    name: 'queue-deleted-not-told',
    bug: 'a queue of a topic that was deleted brings nothing, for ever',
    killedBy: 'life/topic-deleted',
    order: 'none',
    infect: () => ({
      mutate: (driver) =>
        onQueue(
          driver,
          (source) => ({ pull: (credit, signal) => nothingWhenDeleted(source.pull(credit, signal)) }),
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
  {
    name: 'rewind-noop',
    bug: 'reading never goes back',
    killedBy: 'consume/parked-key-comes-back',
    infect: () => ({ mutate: (driver) => onLog(driver, () => ({ rewind: () => undefined })) }),
  },
  {
    name: 'rewind-skips-one',
    bug: 'reading goes back to behind the record that was asked for',
    killedBy: 'consume/parked-key-comes-back',
    infect: () => ({
      mutate: (driver) =>
        onLog(driver, (source) => ({
          rewind: (partition, at) => source.rewind(partition, String(Number(at) + 1) as Position),
        })),
    }),
  },
  {
    name: 'pause-noop',
    bug: 'a partition that is held back is read on',
    killedBy: 'flow/uncommitted-bounded',
    infect: () => ({ mutate: (driver) => onLog(driver, () => ({ pause: () => undefined })) }),
  },
  {
    name: 'resume-noop',
    bug: 'a partition that was held back is never read again',
    killedBy: 'flow/uncommitted-bounded',
    infect: () => ({ mutate: (driver) => onLog(driver, () => ({ resume: () => undefined })) }),
  },
  {
    name: 'lost-not-told',
    bug: 'a partition that was lost is taken from its reader in silence',
    killedBy: 'group/loss-aborts-handlers',
    infect: () => ({
      mutate: (driver) =>
        onLog(
          driver,
          () => ({}),
          (options) => ({ ...options, events: override(options.events, { lost: () => undefined }) }),
        ),
    }),
  },
  {
    name: 'retention-bytes-ignored',
    bug: 'a topic keeps all records, however many bytes it may keep',
    killedBy: 'admin/retention-bytes',
    infect: () => ({ mutate: keepEverything }),
  },
]

/** A driver that writes down how many bytes a topic may keep, and no more. */
function keepEverything(driver: Driver): Driver {
  const told = new Map<string, number | undefined>()
  const { admin } = driver
  return override(driver, {
    admin: override(admin, {
      setRetention: (name, retention, signal) => {
        if ('retentionBytes' in retention) told.set(name, retention.retentionBytes)
        return admin.setRetention(name, { ...retention, retentionBytes: 1e12 }, signal)
      },
      describeTopic: async (name, signal) => ({
        ...(await admin.describeTopic(name, signal)),
        retentionBytes: told.get(name),
      }),
    }),
  })
}

async function nothingWhenDeleted<T>(reading: Promise<readonly T[]>): Promise<readonly T[]> {
  try {
    return await reading
  } catch (error) {
    if (!StreamError.is(error, 'not-found')) throw error
    await new Promise((resolve) => setTimeout(resolve, 50))
    return []
  }
}

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
