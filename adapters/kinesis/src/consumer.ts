import { randomUUID } from 'node:crypto'
import type { KinesisClient } from '@aws-sdk/client-kinesis'
import type { OpenContext, SubscribeOptions } from '@sluice/driver'
import { AloneMembership, GroupMembership, LeasedLogSource } from '@sluice/lease'
import type { Membership } from '@sluice/lease'
import type { Calls } from './calls.ts'
import type { KinesisConfig } from './config.ts'
import { FanOut } from './fan-out.ts'
import type { FanOutConsumer } from './fan-out.ts'
import { scopeOf } from './groups.ts'
import type { Beginning, Groups } from './groups.ts'
import { placeAt } from './places.ts'
import type { Place } from './places.ts'
import { Polling } from './polling.ts'
import { ShardReading } from './reading.ts'
import type { ReadingContext } from './reading.ts'
import type { TopicView } from './topic.ts'

/** What a source works with. */
export interface SourceContext extends Pick<OpenContext, 'clock' | 'logger' | 'random'> {
  readonly client: KinesisClient
  readonly calls: Calls
  readonly config: KinesisConfig
  readonly topic: TopicView
  readonly groups: Groups
  /** The consumer of enhanced fan-out; `undefined`: shards are polled. */
  readonly fanOut: FanOutConsumer | undefined
}

/** Reads a stream's shards, those that its membership gives it. */
export class KinesisSource extends LeasedLogSource<Place> {
  constructor(context: SourceContext, { events }: SubscribeOptions, onClosed: () => void) {
    const { topic, clock, fanOut } = context
    const reading: ReadingContext = { ...context, wake: () => this.wake(), fail: (error) => events.failed(error) }
    super({
      topic: topic.name,
      clock,
      events,
      read: (partition, epoch, from) => {
        const fetcher = fanOut === undefined ? new Polling(reading, partition) : new FanOut(reading, partition, fanOut)
        return new ShardReading(reading, partition, epoch, from, fetcher)
      },
      startAt: (partition, position) => placeAt(position, partition),
      childrenOf: (partition) => topic.shards.childrenOf(partition),
      onClosed,
    })
  }
}

/** How a source takes part: as a member of its group, or alone. */
export function membershipOf(
  context: SourceContext,
  options: SubscribeOptions,
  beginning: Beginning,
  reader: KinesisSource,
  onClosed: (membership: Membership) => void,
): Membership {
  const { topic, groups, config, clock, logger, random } = context
  const { group, member, events } = options
  const { failoverMs } = config
  if (group === undefined) {
    return new AloneMembership<Place>({
      topic: topic.name,
      reader,
      clock,
      logger,
      everyMs: failoverMs,
      listPartitions: async () => {
        await topic.refresh()
        return topic.shards.all
      },
      startOf: (partition) => {
        const shard = topic.shards.byId(partition)
        return shard === undefined ? { kind: 'horizon' } : beginning(shard)
      },
    })
  }
  const store = groups.storeOf(topic, group, beginning)
  return new GroupMembership<Place>({
    store,
    scope: scopeOf(topic, group),
    member: `${member}#${randomUUID().slice(0, 8)}`,
    failoverMs,
    clock,
    random,
    logger,
    events,
    reader,
    join: () => groups.join(topic, group),
    listPartitions: async (leases) => {
      await topic.refresh()
      await groups.cleanUp(topic, group, leases)
      return groups.listed(topic.shards, leases, beginning)
    },
    startOf: (lease) => groups.placeOf(lease, topic.shards, beginning),
    onClosed,
  })
}
