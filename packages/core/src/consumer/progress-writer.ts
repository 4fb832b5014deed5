import { StreamError } from '@sluice/driver'
import type { Clock, Commit, CommitOutcome, ErrorCode, LogSource, Logger, Random, Timer } from '@sluice/driver'
import { backoffMs } from '../backoff.ts'
import { isOfTopic } from '../of-topic.ts'
import { within } from '../within.ts'
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
  /** The outputs of a delivery were refused for good: false when no dead letter can take their place. */
  readonly onRefused: (delivery: Delivery, error: StreamError) => boolean
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
/** The most bytes of outputs that one transaction stores, unless its first delivery alone has more. */
const maxOutputBytes = 8 * 1024 * 1024

/** Said of a transaction, these are about one of its records, and stay as long as that record is in it. */
const refusals: ReadonlySet<ErrorCode> = new Set([
  'not-found',
  'invalid-argument',
  'permission-denied',
  'too-large',
  'conflict',
  'unsupported',
])

/**
 * Takes watermarks to the backend: one write at a time, at most every `commitIntervalMs`, again until it succeeds.
 *
 * A transaction that is refused for good is taken apart: its messages are stored one by one, so that the one whose
 * outputs cannot be stored is found and dead-lettered, or the one partition that was lost is given up.
 */
export class ProgressWriter {
  readonly #deps: ProgressDeps
  readonly #dirty = new Set<LogPartition>()
  /** How many deliveries at the head of a partition are stored each by itself. */
  readonly #apart = new WeakMap<LogPartition, number>()
  /** Partitions whose next output is refused and has no dead letter, with how often and what ends the wait for the next try. */
  readonly #stuck = new Map<LogPartition, { readonly times: number; readonly timer: Timer | undefined }>()
  readonly #stop = new AbortController()
  /** What is being written. */
  #inFlight: readonly LogPartition[] = []
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

  /** Writes what these partitions have reached, now; gives up after `timeoutMs`, also when the backend does not answer. */
  async flush(partitions: readonly LogPartition[], timeoutMs: number): Promise<void> {
    const { clock } = this.#deps
    const end = clock.monotonic() + timeoutMs
    const left = (): number => Math.max(0, end - clock.monotonic())
    for (const partition of partitions) if (partition.owned) this.#dirty.add(partition)
    while (partitions.some((partition) => this.#dirty.has(partition) && this.#next(partition) !== undefined)) {
      if (!(await within(clock, this.#writing ?? this.#write(), left()))) return
      if (this.#failures > 0 && left() === 0) return
      if (this.#failures > 0) await this.#pause()
    }
    if (this.#writing !== undefined) await within(clock, this.#writing, left())
  }

  /** Writes the last progress of everything, then stops for good. Trouble is logged: the records will come again. */
  async stop(timeoutMs: number): Promise<void> {
    this.#cancelTimer()
    await this.flush([...new Set([...this.#dirty, ...this.#inFlight])], timeoutMs)
    this.#stop.abort(new StreamError('closed', 'the consumer is closed'))
    this.#cancelTimer()
  }

  #cancelTimer(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    for (const { timer } of this.#stuck.values()) timer?.cancel()
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
    let writes: readonly Write[] = []
    try {
      writes = this.#takeWrites()
      if (writes.length === 0) return
      this.#inFlight = writes.map((write) => write.partition)
      this.#settleAll(writes, await this.#store(writes))
    } catch (cause) {
      this.#failed(
        writes,
        StreamError.from(cause, `storing the progress of group "${this.#deps.settings.group}" failed`),
      )
    } finally {
      this.#inFlight = []
    }
  }

  #takeWrites(): readonly Write[] {
    const apart = [...this.#dirty].find((partition) => this.#apart.has(partition) && !this.#isStuck(partition))
    const taken = apart === undefined ? [...this.#dirty] : [apart]
    for (const partition of taken) this.#dirty.delete(partition)
    return taken.flatMap((partition) => this.#next(partition) ?? [])
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
    if (!partition.owned || partition.endCommitted || this.#isStuck(partition)) return undefined
    const run = this.#deps.transactional
      ? partition.takeSettledRun(maxOutputs, maxOutputBytes, this.#apart.has(partition) ? 1 : Infinity)
      : undefined
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

  /** Pauses grow while nothing can be stored; partitions that can do not wait for others. */
  #settleAll(writes: readonly Write[], outcomes: readonly CommitOutcome[]): void {
    const failed: Write[] = []
    let error: StreamError | undefined
    for (const [index, write] of writes.entries()) {
      const outcome = outcomes[index] as CommitOutcome
      if (outcome.ok) this.#settle(write)
      else if (outcome.error.code === 'fenced') this.#deps.onFenced(write.partition, outcome.error)
      else {
        failed.push(write)
        // One that ends the consumer tells more than one that passes.
        if (error?.retryable !== false) ({ error } = outcome)
      }
    }
    if (failed.length < writes.length) this.#failures = 0
    if (error !== undefined) this.#failed(failed, error)
  }

  #settle({ partition, commit, records, run }: Write): void {
    partition.committed = commit.through
    partition.committedRecords = records
    if (run !== undefined) this.#deps.onStored(partition.dropSettledRun(run))
    this.#stuck.delete(partition)
    this.#putTogether(partition)
    if (commit.ended) {
      partition.endCommitted = true
      return this.#deps.onEndCommitted(partition)
    }
    this.#deps.onCommitted(partition)
    if (this.#next(partition) !== undefined) this.#dirty.add(partition)
  }

  #failed(writes: readonly Write[], error: StreamError): void {
    const { logger, settings, topicName, transactional } = this.#deps
    if (error.code === 'fenced') return this.#fenced(writes, error)
    if (transactional && refusals.has(error.code)) return this.#refused(writes, error)
    if (!error.retryable && error.code !== 'aborted') return this.#deps.onFailed(error)
    this.#failures++
    for (const { partition } of writes) this.#dirty.add(partition)
    logger.warn(
      {
        topic: topicName,
        group: settings.group,
        code: error.code,
        failures: this.#failures,
        partitions: writes.length,
      },
      `progress could not be stored and will be tried again: ${error.message}`,
    )
  }

  /** A transaction is refused as a whole. Where the partition that was lost is not named, each is asked for by itself. */
  #fenced(writes: readonly Write[], error: StreamError): void {
    const named = writes.filter(({ partition }) => partition.id === error.details['partition'])
    const lost = writes.length === 1 ? writes : named
    for (const { partition } of lost) this.#deps.onFenced(partition, error)
    if (lost.length === 0) return this.#takeApart(writes)
    for (const { partition } of writes) if (partition.owned) this.#dirty.add(partition)
  }

  #refused(writes: readonly Write[], error: StreamError): void {
    const deliveries = writes.flatMap((write) => write.run?.deliveries ?? [])
    const [delivery] = deliveries
    if (writes.length > 1 || deliveries.length > 1) return this.#takeApart(writes)
    // Without outputs it is the progress itself that is refused.
    if (delivery?.outputs === undefined) return this.#deps.onFailed(error)
    const outputs = delivery.outputs.map(({ record }) => record)
    // No message is given up for a topic that is not there. Of a dead letter's own, its messages wait for it.
    if (!delivery.refused && isOfTopic(error, outputs)) return this.#deps.onFailed(error)
    for (const { partition } of writes) {
      if (this.#deps.onRefused(delivery, error)) this.#dirty.add(partition)
      else this.#waitStuck(partition)
    }
  }

  /** Whether it waits for the next try. */
  #isStuck(partition: LogPartition): boolean {
    return this.#stuck.get(partition)?.timer !== undefined
  }

  /** Others go on meanwhile. */
  #waitStuck(partition: LogPartition): void {
    const { clock, random } = this.#deps
    const times = (this.#stuck.get(partition)?.times ?? 0) + 1
    const timer = clock.after(backoffMs(backoff, times, random), () => {
      this.#stuck.delete(partition)
      if (!partition.owned) return
      this.#stuck.set(partition, { times, timer: undefined })
      this.touch(partition)
    })
    this.#stuck.set(partition, { times, timer })
  }

  #takeApart(writes: readonly Write[]): void {
    for (const { partition, run } of writes) {
      this.#apart.set(partition, run?.deliveries.length ?? 1)
      this.#dirty.add(partition)
    }
  }

  /** One more was stored by itself. */
  #putTogether(partition: LogPartition): void {
    const left = this.#apart.get(partition)
    if (left === undefined) return
    if (left > 1) this.#apart.set(partition, left - 1)
    else this.#apart.delete(partition)
  }
}
