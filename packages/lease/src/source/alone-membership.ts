import { StreamError } from '@sluice/driver'
import type { Clock, CommitOutcome, Logger, PartitionId, Timer } from '@sluice/driver'
import { generations } from '../discovery.ts'
import type { ListedPartition } from '../options.ts'
import type { Membership } from './membership.ts'
import type { PartitionReader } from './partition-reading.ts'

/** What a reader without a group works with. */
export interface AloneMembershipOptions<Start> {
  /** For log lines. */
  readonly topic: string
  readonly reader: PartitionReader<Start>
  readonly clock: Clock
  readonly logger: Logger
  /** How often the topic is looked up again, to see whether it has grown. Milliseconds. */
  readonly everyMs: number
  /** Looks the topic up. `ended`: nothing in the partition is wanted, and its children may be read. */
  listPartitions(): Promise<readonly ListedPartition[]>
  startOf(partition: PartitionId): Start
}

/** Reads every partition, parents before their children, and keeps no progress. */
export class AloneMembership<Start> implements Membership {
  readonly #options: AloneMembershipOptions<Start>
  readonly #begun = new Set<PartitionId>()
  readonly #drained = new Set<PartitionId>()
  #partitions: readonly ListedPartition[] = []
  #timer: Timer | undefined
  #closed = false

  constructor(options: AloneMembershipOptions<Start>) {
    this.#options = options
  }

  async start(): Promise<void> {
    this.#partitions = await this.#options.listPartitions()
    this.#assignReady()
    this.#look()
  }

  refresh(): void {
    void this.#lookNow()
  }

  drained(partition: PartitionId): void {
    this.#drained.add(partition)
    this.#assignReady()
    // What came of it may be newer than the last look.
    void this.#lookNow()
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
    const { clock, everyMs } = this.#options
    this.#timer?.cancel()
    this.#timer = clock.after(everyMs, () => void this.#lookNow().finally(() => this.#look()))
  }

  async #lookNow(): Promise<void> {
    if (this.#closed) return
    const { topic, reader, logger } = this.#options
    try {
      this.#partitions = await this.#options.listPartitions()
      if (this.#closed) return
      reader.topicChanged()
      this.#assignReady()
    } catch (error) {
      if (!this.#closed) logger.warn({ topic, error }, 'the topic could not be looked up; it is tried again')
    }
  }

  #assignReady(): void {
    if (this.#closed) return
    const { reader, startOf } = this.#options
    const known = new Set(this.#partitions.map((partition) => partition.id))
    for (const { id, parents, ended } of generations(this.#partitions).flat()) {
      if (this.#begun.has(id)) continue
      if (ended === true) {
        this.#begun.add(id)
        this.#drained.add(id)
        continue
      }
      if (!parents.every((parent) => this.#drained.has(parent) || !known.has(parent))) continue
      this.#begun.add(id)
      reader.assign(id, 0, startOf(id))
    }
  }
}
