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
} from '@sluice/driver'
import { LeaseCoordinator } from '../coordinator.ts'
import type { ListedPartition } from '../options.ts'
import type { Membership } from './membership.ts'
import type { PartitionReader } from './partition-reading.ts'

/** What a group's membership works with. */
export interface GroupMembershipOptions<Start> {
  readonly store: LeaseStore
  /** What is shared as one: topic and group. */
  readonly scope: string
  /** Names this tenure of this member; unique also among those that are gone. */
  readonly member: string
  /** See `LeaseCoordinatorOptions`; also how soon partitions are seen that others made. Milliseconds. */
  readonly failoverMs: number
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly events: PartitionEvents
  readonly reader: PartitionReader<Start>
  /** See `LeaseCoordinatorOptions`. */
  isDead?(member: string): boolean
  /** Makes the group when it is new. */
  join(): Promise<void>
  /** Looks the topic up. An error that does not pass ends the source: the topic was deleted, or may not be looked up. */
  listPartitions(leases: readonly Lease[]): Promise<readonly ListedPartition[]>
  /** Where reading under this lease begins. */
  startOf(lease: Lease): Start | Promise<Start>
  readonly onClosed: (membership: Membership) => void
}

/** A member of a group: partitions come and go by leases, and a lease carries the progress that it guards. */
export class GroupMembership<Start> implements Membership {
  readonly #options: GroupMembershipOptions<Start>
  readonly #coordinator: LeaseCoordinator

  constructor(options: GroupMembershipOptions<Start>) {
    const { store, scope, member, clock, random, logger, failoverMs, reader, events } = options
    this.#options = options
    this.#coordinator = new LeaseCoordinator({
      store,
      scope,
      member,
      clock,
      random,
      logger,
      failoverMs,
      // Other processes grow topics too; this is how soon a member sees it.
      discoverEveryMs: failoverMs,
      isDead: (owner) => options.isDead?.(owner) ?? false,
      listPartitions: (_signal, leases) => this.#listPartitions(leases),
      events: {
        acquired: (lease) => this.#acquired(lease),
        revoking: (partitions, deadlineMs) => this.#revoking(partitions, deadlineMs),
        lost: (partitions, reason) => {
          if (reader.withdraw(reader.tenuresOf(partitions))) events.lost(partitions, reason)
        },
        failed: (error) => events.failed(error),
      },
    })
  }

  async start(): Promise<void> {
    await this.#options.join()
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
    this.#options.reader.withdraw(commits.filter((commit, index) => commit.ended && outcomes[index]?.ok === true))
    return outcomes
  }

  async close(): Promise<void> {
    this.#options.onClosed(this)
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
    const { partition, epoch } = lease
    const from = await this.#options.startOf(lease)
    const held = this.#coordinator.held().some((each) => each.partition === partition && each.epoch === epoch)
    if (held) this.#options.reader.assign(partition, epoch, from)
  }

  async #revoking(partitions: readonly PartitionId[], deadlineMs: number): Promise<void> {
    const { events, reader } = this.#options
    // While they are drained a seek can end the tenure, and the next one begin here.
    const tenures = reader.tenuresOf(partitions)
    await events.revoking(partitions, deadlineMs)
    reader.withdraw(tenures)
  }

  async #listPartitions(leases: readonly Lease[]): Promise<readonly ListedPartition[]> {
    const listed = await this.#options.listPartitions(leases)
    this.#options.reader.topicChanged()
    return listed
  }
}
