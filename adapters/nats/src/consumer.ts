import { nuid } from '@nats-io/transport-node'
import type { LeaseStore, OpenContext, PartitionId, Position, SubscribeOptions } from '@sluice/driver'
import { AloneMembership, GroupMembership, LeasedLogSource } from '@sluice/lease'
import type { ListedPartition, Membership } from '@sluice/lease'
import { toSequence } from './codec.ts'
import type { Connection } from './connection.ts'
import { scopeOf, startOf } from './groups.ts'
import type { Groups, Place } from './groups.ts'
import type { PartitionInfo } from './layout.ts'
import { Reading } from './reading.ts'
import type { TopicView } from './topic.ts'

/** What a log source works with. */
export interface LogSourceContext extends Pick<OpenContext, 'clock' | 'logger' | 'random'> {
  readonly connection: Connection
  readonly topic: TopicView
  readonly groups: Groups
  readonly leases: LeaseStore
  readonly failoverMs: number
}

/** Reads a topic's partitions, those that its membership gives it; a reading begins at a sequence. */
export class NatsLogSource extends LeasedLogSource<number> {
  readonly #unlisten: () => void

  constructor(context: LogSourceContext, { events }: SubscribeOptions, onClosed: () => void) {
    const { connection, topic, clock } = context
    super({
      topic: topic.name,
      clock,
      events,
      read: (partition, epoch, from) =>
        new Reading(
          { ...context, wake: () => this.wake(), fail: (error) => events.failed(error) },
          partition,
          epoch,
          from,
        ),
      startAt: (partition: PartitionId, position: Position) => toSequence(position, partition),
      childrenOf: (partition) => topic.childrenOf(partition),
      onClosed,
    })
    this.#unlisten = connection.listen({ reconnected: () => this.wake(), ended: (error) => events.failed(error) })
  }

  override close(): Promise<void> {
    this.#unlisten()
    return super.close()
  }
}

/** How a source takes part: as a member of its group, or alone. */
export function membershipOf(
  context: LogSourceContext,
  options: SubscribeOptions,
  reader: NatsLogSource,
  onClosed: (membership: Membership) => void,
): Membership {
  const { topic, groups, leases, failoverMs, clock, logger, random } = context
  const { group, member, start, events } = options
  if (group === undefined) return alone(context, options, reader)
  const placeOf = async (): Promise<Place> => (await groups.get(topic, group)).value
  return new GroupMembership<number>({
    store: leases,
    scope: scopeOf(topic.info.id, group),
    member: `${member}#${nuid.next()}`,
    failoverMs,
    clock,
    random,
    logger,
    events,
    reader,
    join: async () => void (await groups.join(topic, group, start)),
    listPartitions: async () => {
      await topic.refresh()
      return listed(topic, await placeOf())
    },
    startOf: async ({ partition, checkpoint }) =>
      checkpoint === undefined ? startOf(await placeOf(), partition) : toSequence(checkpoint, partition) + 1,
    onClosed,
  })
}

function alone(context: LogSourceContext, { start }: SubscribeOptions, reader: NatsLogSource): Membership {
  const { topic, groups, failoverMs, clock, logger } = context
  let place: Place | undefined
  return new AloneMembership<number>({
    topic: topic.name,
    reader,
    clock,
    logger,
    everyMs: failoverMs,
    listPartitions: async () => {
      await topic.refresh()
      place ??= await groups.place(topic, start)
      return listed(topic, place)
    },
    startOf: (partition) => startOf(place ?? { from: 1 }, partition),
  })
}

function listed(topic: TopicView, place: Place): readonly ListedPartition[] {
  return topic.info.partitions.map((partition) => ({
    id: partition.id,
    parents: partition.parents,
    ended: isBehind(partition, place),
  }))
}

/** Whether the partition ended before the place: nothing in it is wanted. */
function isBehind(partition: PartitionInfo, place: Place): boolean {
  return partition.endSequence !== undefined && partition.endSequence < startOf(place, partition.id)
}
