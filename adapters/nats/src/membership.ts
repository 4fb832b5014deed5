import { StreamError } from '@sluice/driver'
import type {
  Clock,
  Commit,
  CommitOutcome,
  Lease,
  LeaseStore,
  Logger,
  PartitionEvents,
  PartitionId,
  Random,
  StartFrom,
} from '@sluice/driver'
import { LeaseCoordinator } from '@sluice/lease'
import type { ListedPartition } from '@sluice/lease'
import { toSequence } from './codec.ts'
import { scopeOf, startOf } from './groups.ts'
import type { Groups, Place } from './groups.ts'
import { parentsFirst } from './layout.ts'
import type { PartitionInfo } from './layout.ts'
import type { TopicView } from './topic.ts'

/** Says which partitions a source reads. */
export interface Membership {
  start(): Promise<void>
  /** Leases and partitions are looked at now. */
  refresh(): void
  /** Everything of an ended partition was handed out. */
  drained(partition: PartitionId): void
  commit(commits: readonly Commit[]): Promise<readonly CommitOutcome[]>
  close(): Promise<void>
}

/** A partition as it is read by one member from one `assigned` to its end. */
export type Tenure = Pick<Commit, 'partition' | 'epoch'>

/** What a membership tells its reader. */
export interface Reader {
  assign(partition: PartitionId, epoch: number, from: number): void
  /** Under which tenures these are read now; those that are not read are left out. */
  tenuresOf(partitions: readonly PartitionId[]): readonly Tenure[]
  /** A partition that is read under another tenure by now stays. Says whether any was read. */
  withdraw(tenures: readonly Tenure[]): boolean
  /** The topic was read again: partitions may have ended. */
  topicChanged(): void
}

/** What a group's membership works with. */
export interface GroupContext {
  readonly topic: TopicView
  readonly groups: Groups
  readonly leases: LeaseStore
  readonly group: string
  /** Names this tenure of this member. */
  readonly owner: string
  readonly start: StartFrom
  readonly failoverMs: number
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly events: PartitionEvents
  readonly reader: Reader
  readonly onClosed: () => void
}

/** A member of a group: partitions come and go by leases, and a lease carries the progress that it guards. */
export class GroupMembership implements Membership {
  readonly #context: GroupContext
  readonly #coordinator: LeaseCoordinator

  constructor(context: GroupContext) {
    this.#context = context
    this.#coordinator = new LeaseCoordinator({
      store: context.leases,
      scope: scopeOf(context.topic.info.id, context.group),
      member: context.owner,
      clock: context.clock,
      random: context.random,
      logger: context.logger,
      failoverMs: context.failoverMs,
      // Other processes grow topics too; this is how soon a member sees it.
      discoverEveryMs: context.failoverMs,
      listPartitions: () => this.#listPartitions(),
      events: {
        acquired: (lease) => this.#acquired(lease),
        revoking: (partitions, deadlineMs) => this.#revoking(partitions, deadlineMs),
        lost: (partitions, reason) => {
          const { reader } = context
          if (reader.withdraw(reader.tenuresOf(partitions))) context.events.lost(partitions, reason)
        },
      },
    })
  }

  async start(): Promise<void> {
    const { groups, topic, group, start } = this.#context
    await groups.join(topic, group, start)
    await this.#coordinator.start()
  }

  refresh(): void {
    void this.#coordinator.refresh()
  }

  drained(): void {
    // Core commits the end once it has settled everything; the children are free then.
  }

  async commit(commits: readonly Commit[]): Promise<readonly CommitOutcome[]> {
    const outcomes = await Promise.all(commits.map((commit) => this.#commit(commit)))
    this.#context.reader.withdraw(commits.filter((commit, index) => commit.ended && outcomes[index]?.ok === true))
    return outcomes
  }

  async close(): Promise<void> {
    this.#context.onClosed()
    await this.#coordinator.close()
  }

  async #commit(commit: Commit): Promise<CommitOutcome> {
    const { partition, epoch, through, ended } = commit
    try {
      await this.#coordinator.checkpoint(partition, epoch, through, ended)
      return { ok: true }
    } catch (cause) {
      return { ok: false, error: StreamError.from(cause, `committing partition ${partition} failed`) }
    }
  }

  async #acquired(lease: Lease): Promise<void> {
    const { partition, epoch, checkpoint } = lease
    const from = checkpoint === undefined ? await this.#startOf(partition) : toSequence(checkpoint, partition) + 1
    const held = this.#coordinator.held().some((each) => each.partition === partition && each.epoch === epoch)
    if (held) this.#context.reader.assign(partition, epoch, from)
  }

  async #startOf(partition: PartitionId): Promise<number> {
    const { groups, topic, group } = this.#context
    return startOf((await groups.get(topic, group)).value, partition)
  }

  async #revoking(partitions: readonly PartitionId[], deadlineMs: number): Promise<void> {
    const { events, reader } = this.#context
    // While they are drained a seek can end the tenure, and the next one begin here.
    const tenures = reader.tenuresOf(partitions)
    await events.revoking(partitions, deadlineMs)
    reader.withdraw(tenures)
  }

  async #listPartitions(): Promise<readonly ListedPartition[]> {
    const { groups, topic, group, reader, events } = this.#context
    try {
      await topic.refresh()
    } catch (error) {
      // A member that reads nothing at the moment learns in no other way that its topic was deleted.
      if (StreamError.is(error, 'not-found')) events.failed(error)
      throw error
    }
    reader.topicChanged()
    const place = (await groups.get(topic, group)).value
    return topic.info.partitions.map((partition) => ({
      id: partition.id,
      parents: partition.parents,
      ended: isBehind(partition, place),
    }))
  }
}

/** Whether the partition ended before the place: nothing in it is wanted. */
function isBehind(partition: PartitionInfo, place: Place): boolean {
  return partition.endSequence !== undefined && partition.endSequence < startOf(place, partition.id)
}

/** What a reader without a group works with. */
export interface AloneContext {
  readonly topic: TopicView
  readonly groups: Groups
  readonly start: StartFrom
  readonly reader: Reader
  readonly clock: Clock
  readonly logger: Logger
  /** How often the topic is read again, to see whether it has grown. */
  readonly everyMs: number
}

/** Reads every partition, parents before their children, and keeps no progress. */
export class AloneMembership implements Membership {
  readonly #context: AloneContext
  readonly #begun = new Set<PartitionId>()
  readonly #drained = new Set<PartitionId>()
  #place: Place = { from: 1 }
  #timer: { cancel(): void } | undefined
  #closed = false

  constructor(context: AloneContext) {
    this.#context = context
  }

  async start(): Promise<void> {
    const { groups, topic, start } = this.#context
    await topic.refresh()
    this.#place = await groups.place(topic, start)
    this.#assignReady()
    this.#look()
  }

  refresh(): void {
    void this.#lookNow()
  }

  drained(partition: PartitionId): void {
    this.#drained.add(partition)
    this.#assignReady()
  }

  async commit(): Promise<readonly CommitOutcome[]> {
    throw new StreamError(
      'invalid-argument',
      'a reader without a group keeps no progress; subscribe with a group to commit',
    )
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#timer?.cancel()
  }

  #look(): void {
    if (this.#closed) return
    const { clock, everyMs } = this.#context
    this.#timer?.cancel()
    this.#timer = clock.after(everyMs, () => void this.#lookNow().finally(() => this.#look()))
  }

  async #lookNow(): Promise<void> {
    const { topic, reader, logger } = this.#context
    try {
      await topic.refresh()
      if (this.#closed) return
      reader.topicChanged()
      this.#assignReady()
    } catch (error) {
      logger.warn({ topic: topic.name, error }, 'the topic could not be looked up; it is tried again')
    }
  }

  #assignReady(): void {
    const { topic, reader } = this.#context
    const { partitions } = topic.info
    const known = new Set(partitions.map((partition) => partition.id))
    for (const partition of parentsFirst(partitions)) {
      if (this.#begun.has(partition.id)) continue
      if (isBehind(partition, this.#place)) {
        this.#begun.add(partition.id)
        this.#drained.add(partition.id)
        continue
      }
      if (!partition.parents.every((parent) => this.#drained.has(parent) || !known.has(parent))) continue
      this.#begun.add(partition.id)
      reader.assign(partition.id, 0, startOf(this.#place, partition.id))
    }
  }
}
