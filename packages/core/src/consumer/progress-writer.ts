import { StreamError } from '@sluice/driver'
import type { Clock, Commit, CommitOutcome, LogSource, Logger, Random, Timer } from '@sluice/driver'
import { backoffMs } from '../backoff.ts'
import type { Delivery } from './delivery.ts'
import type { LogPartition, SettledRun } from './log-partition.ts'
import type { ConsumerSettings } from './settings.ts'

/** What a progress writer works with. */
export interface ProgressDeps {
  readonly topicName: string
  readonly source: LogSource
  readonly settings: ConsumerSettings
  /** Outputs and progress go in one transaction. */
  readonly transactional: boolean
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly onFenced: (partition: LogPartition, error: StreamError) => void
  readonly onCommitted: (partition: LogPartition) => void
  readonly onEndCommitted: (partition: LogPartition) => void
  readonly onFailed: (error: StreamError) => void
  /** The outputs of these deliveries are stored; they no longer need room. */
  readonly onStored: (deliveries: readonly Delivery[]) => void
}

interface Write {
  readonly partition: LogPartition
  readonly commit: Commit
  readonly run: SettledRun | undefined
  /** How many of the partition's records are committed once it is stored. */
  readonly records: number
}

const backoff = { baseMs: 50, maxMs: 5_000 }
const maxOutputs = 1_000

/** Takes watermarks to the backend: one write at a time, at most every `commitIntervalMs`, again until it succeeds. */
export class ProgressWriter {
  readonly #deps: ProgressDeps
  readonly #dirty = new Set<LogPartition>()
  readonly #stop = new AbortController()
  #writing: Promise<void> | undefined
  #timer: Timer | undefined
  #lastMs = -Infinity
  #failures = 0

  constructor(deps: ProgressDeps) {
    this.#deps = deps
  }

  /** Something of the partition was settled, or it ended. */
  touch(partition: LogPartition): void {
    this.#dirty.add(partition)
    if (this.#timer !== undefined || this.#writing !== undefined || this.#stop.signal.aborted) return
    this.#schedule(this.#lastMs + this.#deps.settings.commitIntervalMs - this.#deps.clock.monotonic())
  }

  /** Writes what these partitions have reached, now; gives up after `timeoutMs`. */
  async flush(partitions: readonly LogPartition[], timeoutMs: number): Promise<void> {
    const { clock } = this.#deps
    const end = clock.monotonic() + timeoutMs
    for (const partition of partitions) if (partition.owned) this.#dirty.add(partition)
    while (partitions.some((partition) => this.#dirty.has(partition) && this.#next(partition) !== undefined)) {
      await (this.#writing ?? this.#write())
      if (this.#failures > 0 && clock.monotonic() >= end) return
      if (this.#failures > 0) await this.#pause()
    }
    await this.#writing
  }

  /** Writes the last progress of everything, then stops for good. Trouble is logged: the records will come again. */
  async stop(): Promise<void> {
    this.#cancelTimer()
    await this.flush([...this.#dirty], 5_000)
    this.#stop.abort(new StreamError('closed', 'the consumer is closed'))
    this.#cancelTimer()
  }

  #cancelTimer(): void {
    this.#timer?.cancel()
    this.#timer = undefined
  }

  #schedule(delayMs: number): void {
    this.#timer = this.#deps.clock.after(Math.max(0, delayMs), () => {
      this.#timer = undefined
      void this.#write()
    })
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => this.#deps.clock.after(backoff.baseMs, resolve))
  }

  #write(): Promise<void> {
    this.#writing ??= this.#writeOnce().finally(() => {
      this.#writing = undefined
      this.#lastMs = this.#deps.clock.monotonic()
      if (this.#dirty.size === 0 || this.#timer !== undefined || this.#stop.signal.aborted) return
      const { random, settings } = this.#deps
      this.#schedule(this.#failures > 0 ? backoffMs(backoff, this.#failures, random) : settings.commitIntervalMs)
    })
    return this.#writing
  }

  async #writeOnce(): Promise<void> {
    const writes: Write[] = []
    for (const partition of this.#dirty) {
      const write = this.#next(partition)
      if (write !== undefined) writes.push(write)
    }
    this.#dirty.clear()
    if (writes.length === 0) return
    try {
      const outcomes = await this.#store(writes)
      this.#failures = 0
      writes.forEach((write, index) => this.#settle(write, outcomes[index] as CommitOutcome))
    } catch (cause) {
      this.#failed(
        writes,
        StreamError.from(cause, `storing the progress of group "${this.#deps.settings.group}" failed`),
      )
    }
  }

  async #store(writes: readonly Write[]): Promise<readonly CommitOutcome[]> {
    const { source, transactional } = this.#deps
    const commits = writes.map((write) => write.commit)
    if (!transactional) return source.commit(commits, this.#stop.signal)
    if (source.transact === undefined) throw new StreamError('internal', 'the source has no transactions')
    await source.transact(
      writes.flatMap((write) => write.run?.outputs ?? []),
      commits,
      this.#stop.signal,
    )
    return writes.map(() => ({ ok: true }))
  }

  /** What there is to write for a partition; `undefined`: nothing new. */
  #next(partition: LogPartition): Write | undefined {
    if (!partition.owned || partition.endCommitted) return undefined
    const run = this.#deps.transactional ? partition.takeSettledRun(maxOutputs) : undefined
    const through = this.#deps.transactional ? run?.through : partition.watermark.value
    const ended =
      partition.complete ||
      (partition.ended && run !== undefined && partition.watermark.size === 0 && this.#isAll(partition, run))
    if (through === partition.committed && !ended) return undefined
    if (through === undefined && !ended) return undefined
    const commit: Commit = {
      partition: partition.id,
      epoch: partition.epoch,
      through: through ?? partition.committed,
      ended,
    }
    const records = run === undefined ? partition.watermark.reached : partition.committedRecords + run.deliveries.length
    return { partition, commit, run, records }
  }

  #isAll(partition: LogPartition, run: SettledRun): boolean {
    return partition.unwritten === run.deliveries.length
  }

  #settle(write: Write, outcome: CommitOutcome): void {
    const { partition, commit, records, run } = write
    if (!outcome.ok) {
      if (outcome.error.code === 'fenced') return this.#deps.onFenced(partition, outcome.error)
      return this.#failed([write], outcome.error)
    }
    partition.committed = commit.through
    partition.committedRecords = records
    if (run !== undefined) {
      this.#deps.onStored(partition.dropSettledRun(run))
    }
    if (commit.ended) {
      partition.endCommitted = true
      return this.#deps.onEndCommitted(partition)
    }
    this.#deps.onCommitted(partition)
    if (this.#next(partition) !== undefined) this.#dirty.add(partition)
  }

  #failed(writes: readonly Write[], error: StreamError): void {
    const { logger, settings, topicName } = this.#deps
    if (error.code === 'fenced') {
      // A transaction is refused as a whole; the partition that was lost is named, the others go on.
      const lost = writes.filter(({ partition }) => partition.id === error.details['partition'])
      for (const { partition } of lost.length > 0 ? lost : writes) this.#deps.onFenced(partition, error)
      if (lost.length > 0) for (const { partition } of writes) if (partition.owned) this.#dirty.add(partition)
      return
    }
    if (!error.retryable && error.code !== 'aborted') return this.#deps.onFailed(error)
    this.#failures++
    for (const { partition } of writes) this.#dirty.add(partition)
    logger.warn(
      { topic: topicName, group: settings.group, code: error.code, failures: this.#failures },
      `progress could not be stored and will be tried again: ${error.message}`,
    )
  }
}
