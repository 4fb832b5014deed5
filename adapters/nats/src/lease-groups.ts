import { StreamError } from '@sluice/driver'
import type { Clock, Lease, LeaseStore, PartitionLag, StartFrom } from '@sluice/driver'
import { hasLivingMembers, resetLease } from '@sluice/lease'
import { toSequence } from './codec.ts'
import { scopeOf, startOf } from './groups.ts'
import type { Groups, Place } from './groups.ts'
import { parentsFirst } from './layout.ts'
import type { PartitionInfo } from './layout.ts'
import type { TopicView } from './topic.ts'

/** What looking after groups of key-ordered topics takes. */
export interface LeaseGroupsContext {
  readonly groups: Groups
  readonly leases: LeaseStore
  readonly failoverMs: number
  readonly clock: Clock
}

/** Groups of key-ordered topics, whose progress is in leases. */
export class LeaseGroups {
  readonly #context: LeaseGroupsContext

  constructor(context: LeaseGroupsContext) {
    this.#context = context
  }

  /** Moves the group. Members that run lose their partitions, and read on from the new place under a new epoch. */
  async move(topic: TopicView, group: string, to: StartFrom): Promise<void> {
    const { groups, leases, clock } = this.#context
    await groups.move(topic, group, to)
    const scope = scopeOf(topic.info.id, group)
    const known = new Set((await leases.list(scope)).map((lease) => lease.partition))
    const moved = (id: string): boolean => to.kind !== 'position' || to.positions[id] !== undefined
    // A child must not be free before its parents are wanted again.
    for (const { id } of parentsFirst(topic.info.partitions))
      if (known.has(id) && moved(id)) await resetLease(leases, clock, scope, id)
  }

  /** Forgets the group. Rejects with `conflict` while members run: while somebody renews its leases. */
  async forget(topic: TopicView, group: string, signal: AbortSignal): Promise<void> {
    const { groups, leases, failoverMs, clock } = this.#context
    const scope = scopeOf(topic.info.id, group)
    await groups.get(topic, group)
    if (await hasLivingMembers(leases, clock, scope, failoverMs, signal)) {
      throw new StreamError('conflict', `group "${group}" has running members on topic "${topic.name}"; end them first`)
    }
    for (const lease of await leases.list(scope)) await leases.remove(lease)
    await groups.forget(topic, group)
  }

  async lag(topic: TopicView, group: string, nowMs: number): Promise<readonly PartitionLag[]> {
    const { groups, leases } = this.#context
    const place = (await groups.get(topic, group)).value
    const byPartition = new Map(
      (await leases.list(scopeOf(topic.info.id, group))).map((lease) => [lease.partition, lease]),
    )
    return Promise.all(
      topic.info.partitions.map((partition) =>
        this.#lagOf(topic, partition, byPartition.get(partition.id), place, nowMs),
      ),
    )
  }

  async #lagOf(
    topic: TopicView,
    partition: PartitionInfo,
    lease: Lease | undefined,
    place: Place,
    nowMs: number,
  ): Promise<PartitionLag> {
    const { groups } = this.#context
    const { id } = partition
    const committed = lease?.checkpoint
    const told = { partition: id, committed, owner: lease?.owner }
    if (lease?.ended === true) return { ...told, messages: 0, ageMs: 0 }
    const from = committed === undefined ? startOf(place, id) : toSequence(committed, id) + 1
    const timeMs = await groups.timeOf(topic, from, topic.filterOf(id))
    const messages = timeMs === undefined ? 0 : await groups.pending(topic, from, id)
    return { ...told, messages, ageMs: timeMs === undefined ? 0 : Math.max(0, nowMs - timeMs) }
  }
}
