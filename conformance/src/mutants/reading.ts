import { StreamError } from '@sluice/driver'
import type { IncomingRecord, LogSource, PartitionId, Position } from '@sluice/driver'
import { override } from '../override.ts'
import { onLog, onQueue, onRecord, onRecords, onTopic } from './mutant.ts'
import type { Mutant } from './mutant.ts'

/** Bugs on the way out: what is read, and how. */
export const readingMutants: readonly Mutant[] = [
  {
    name: 'reverse-order',
    bug: 'what one read brings is handed out from the back',
    killedBy: 'consume/order-per-key',
    infect: () => ({ mutate: (driver) => onRecords(driver, (records) => records.toReversed()) }),
  },
  {
    name: 'duplicate-after-n',
    bug: 'the fiftieth record is handed out twice',
    killedBy: 'consume/every-record-once-when-nothing-fails',
    infect: () => {
      let seen = 0
      const twice = (record: IncomingRecord): IncomingRecord[] => (++seen === 50 ? [record, record] : [record])
      return { mutate: (driver) => onRecords(driver, (records) => records.flatMap(twice)) }
    },
  },
  {
    name: 'drop-headers',
    bug: 'headers are not read',
    killedBy: 'roundtrip/headers',
    infect: () => ({ mutate: (driver) => onRecord(driver, () => ({ headers: {} })) }),
  },
  {
    name: 'lowercase-values',
    bug: 'header values come back in lower case',
    killedBy: 'roundtrip/headers',
    infect: () => ({
      mutate: (driver) =>
        onRecord(driver, ({ headers }) => ({
          headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, value.toLowerCase()])),
        })),
    }),
  },
  {
    name: 'truncate-64k',
    bug: 'bodies end at 64 KiB',
    killedBy: 'roundtrip/bytes',
    infect: () => ({ mutate: (driver) => onRecord(driver, ({ body }) => ({ body: body.subarray(0, 64 * 1024) })) }),
  },
  {
    name: 'utf8-mangle',
    bug: 'bodies pass through a string',
    killedBy: 'roundtrip/bytes',
    infect: () => ({
      mutate: (driver) =>
        onRecord(driver, ({ body }) => ({ body: new TextEncoder().encode(new TextDecoder().decode(body)) })),
    }),
  },
  {
    name: 'empty-key-is-none',
    bug: 'an empty key is read as no key',
    killedBy: 'roundtrip/key',
    infect: () => ({ mutate: (driver) => onRecord(driver, ({ key }) => ({ key: key === '' ? undefined : key })) }),
  },
  {
    name: 'key-cut-at-512',
    bug: 'keys end at 512 characters',
    killedBy: 'roundtrip/key',
    infect: () => ({ mutate: (driver) => onRecord(driver, ({ key }) => ({ key: key?.slice(0, 512) })) }),
  },
  {
    name: 'key-nfc',
    bug: 'keys are normalised',
    killedBy: 'roundtrip/key',
    infect: () => ({ mutate: (driver) => onRecord(driver, ({ key }) => ({ key: key?.normalize('NFC') })) }),
  },
  {
    name: 'time-is-read-time',
    bug: 'the time of a record is when it was read',
    killedBy: 'roundtrip/time',
    infect: () => ({ mutate: (driver) => onRecord(driver, () => ({ timeMs: Date.now() })) }),
  },
  {
    name: 'queue-time-is-read-time',
    bug: 'the time of a record of a queue is when it was read',
    killedBy: 'roundtrip/time',
    order: 'none',
    infect: () => ({
      mutate: (driver) =>
        onQueue(driver, (source) => ({
          pull: async (credit, signal) =>
            (await source.pull(credit, signal)).map((record) => ({ ...record, timeMs: Date.now() })),
        })),
    }),
  },
  {
    name: 'unbounded-prefetch',
    bug: 'reading takes whatever there is, whatever credit was given',
    killedBy: 'flow/credits-bounded',
    infect: () => ({
      mutate: (driver) =>
        onLog(driver, (source) => ({ poll: (_, signal) => source.poll({ records: 100_000, bytes: 1e9 }, signal) })),
    }),
  },
  {
    name: 'any-text-is-a-position',
    bug: 'positions are compared as numbers, whatever they are',
    killedBy: 'position/none-is-refused',
    infect: () => ({
      mutate: (driver) => onTopic(driver, () => ({ comparePositions: (a, b) => Number(a) - Number(b) })),
    }),
  },
  {
    name: 'stop-after-transient',
    bug: 'after one failed read nothing is read any more',
    killedBy: 'errors/transient-never-kills-a-consumer',
    infect: () => ({ mutate: (driver) => onLog(driver, stopAfterFailure) }),
  },
  {
    name: 'two-consumers-after-reconnect',
    bug: 'after one failed read two loops read, and everything comes twice',
    killedBy: 'errors/transient-never-kills-a-consumer',
    infect: () => ({ mutate: (driver) => onLog(driver, doubleAfterFailure) }),
  },
  {
    name: 'skip-closed-partition',
    bug: 'partitions that were closed before the consumer started are not read',
    killedBy: 'group/reshard-split',
    infect: () => ({
      mutate: (driver) =>
        onLog(driver, async (source, { topic }) => {
          const closed = await partitionsOf(driver, topic.name, 'ended')
          return {
            poll: async (credit, signal) =>
              (await source.poll(credit, signal)).filter((record) => !closed.has(record.partition)),
          }
        }),
    }),
  },
  {
    name: 'ignore-new-partition',
    bug: 'partitions that were added after the consumer started are not read',
    killedBy: 'group/partition-growth',
    infect: () => ({
      mutate: (driver) =>
        onLog(driver, async (source, { topic }) => {
          const known = await partitionsOf(driver, topic.name, 'open')
          return {
            poll: async (credit, signal) =>
              (await source.poll(credit, signal)).filter((record) => known.has(record.partition)),
          }
        }),
    }),
  },
  {
    name: 'seek-off-by-one',
    bug: 'a group moved to a position goes on after it',
    killedBy: 'seek/position',
    infect: () => {
      const skipped = new Map<PartitionId, Position>()
      return {
        mutate: (driver) => {
          const admin = override(driver.admin, {
            seek: async (topic, group, to, signal) => {
              if (to.kind === 'position')
                for (const [partition, position] of Object.entries(to.positions)) skipped.set(partition, position)
              await driver.admin.seek(topic, group, to, signal)
            },
          })
          return override(
            onRecords(driver, (records) =>
              records.filter((record) => skipped.get(record.partition) !== record.position),
            ),
            { admin },
          )
        },
      }
    },
  },
  {
    name: 'seek-moves-the-rest',
    bug: 'a group moved to a position in one partition goes back to the earliest in all others',
    killedBy: 'seek/position',
    infect: () => ({
      mutate: (driver) =>
        override(driver, {
          admin: override(driver.admin, {
            seek: async (topic, group, to, signal) => {
              await driver.admin.seek(topic, group, to.kind === 'position' ? { kind: 'earliest' } : to, signal)
              if (to.kind === 'position') await driver.admin.seek(topic, group, to, signal)
            },
          }),
        }),
    }),
  },
  {
    name: 'seek-anywhere',
    bug: 'a group that is moved in a partition that is not there is told that it was',
    killedBy: 'seek/unknown-partition',
    infect: () => ({
      mutate: (driver) =>
        override(driver, {
          admin: override(driver.admin, {
            seek: (topic, group, to, signal) =>
              driver.admin.seek(topic, group, to, signal).catch((error: unknown) => {
                if (!StreamError.is(error, 'not-found')) throw error
              }),
          }),
        }),
    }),
  },
  {
    name: 'groups-collide',
    bug: 'all groups share one progress',
    killedBy: 'group/two-groups-each-get-all',
    infect: () => ({
      mutate: (driver) =>
        onLog(
          driver,
          () => ({}),
          (options) => (options.group === undefined ? options : { ...options, group: 'everybody' }),
        ),
    }),
  },
  {
    name: 'groups-ignore-case',
    bug: 'groups whose names differ in capital letters alone share one progress',
    killedBy: 'group/two-groups-each-get-all',
    infect: () => ({
      mutate: (driver) =>
        onLog(
          driver,
          () => ({}),
          (options) => ({ ...options, group: options.group?.toLowerCase() }),
        ),
    }),
  },
]

function stopAfterFailure(source: LogSource): Partial<LogSource> {
  let failed = false
  return {
    poll: async (credit, signal) => {
      if (!failed) {
        return source.poll(credit, signal).catch((error: unknown) => {
          failed = !signal.aborted
          throw error
        })
      }
      await new Promise((resolve) => setTimeout(resolve, 50))
      return []
    },
  }
}

function doubleAfterFailure(source: LogSource): Partial<LogSource> {
  let failed = false
  return {
    poll: async (credit, signal) => {
      try {
        const records = await source.poll(credit, signal)
        return failed ? records.flatMap((record) => [record, record]) : records
      } catch (error) {
        failed = !signal.aborted
        throw error
      }
    },
  }
}

async function partitionsOf(
  driver: Parameters<typeof onLog>[0],
  topic: string,
  state: 'open' | 'ended',
): Promise<ReadonlySet<PartitionId>> {
  const { partitions } = await driver.admin.describeTopic(topic, new AbortController().signal)
  return new Set(partitions.filter((partition) => partition.state === state).map((partition) => partition.id))
}
