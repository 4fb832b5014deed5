import { RenewedMap, StreamError } from '@sluice/driver'
import type { Capabilities, Clock, DriverProducer, Logger, Random, SendOutcome, Timer } from '@sluice/driver'
import { backoffMs } from '../backoff.ts'
import type { RateLimiter } from '../rate-limiter.ts'
import type { Entry, Lane, Stored } from './lane.ts'
import { Lanes } from './lanes.ts'
import { request } from './request.ts'
import type { ProducerSettings } from './settings.ts'

/** What the outbox works with. */
export interface OutboxDeps {
  readonly topic: string
  readonly driver: DriverProducer
  readonly requestOrder: Capabilities['requestOrder']
  /** Whether the topic keeps order per key. */
  readonly ordered: boolean
  readonly settings: ProducerSettings
  readonly rate: RateLimiter | undefined
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** Called once for each entry that leaves, whatever its outcome. */
  readonly onGone: (entry: Entry) => void
}

/** A request has room for so many bytes, however slow the line is. */
const leastBatchBytes = 64 * 1024

/** A record that was not stored. */
interface Failure {
  readonly entry: Entry
  readonly error: StreamError
  /** It was not even tried. */
  readonly untried: boolean
}

/**
 * Turns admitted records into requests and outcomes into answers. Keeps each key in order: at most one request holds
 * records of a key, and where the backend keeps no order within a request, one record of it.
 */
export class Outbox {
  readonly #deps: OutboxDeps
  readonly #lanes: Lanes
  readonly #requests = new RenewedMap<AbortController, readonly Entry[]>()
  readonly #delayed = new Map<Entry, Timer>()
  #pumpScheduled = false
  #pausedUntilMs = 0
  #pause: Timer | undefined
  #leaveRateQueue: (() => void) | undefined
  #failuresInARow = 0
  #linger: Timer | undefined
  #lingerDone = false
  #hurrying = 0
  /** What a request may have now: a quarter after each that had no answer in time, for the line may be slow, up to what is set. */
  #maxBatchBytes: number
  retries = 0
  requests = 0

  constructor(deps: OutboxDeps) {
    this.#deps = deps
    this.#maxBatchBytes = deps.settings.maxBatchBytes
    this.#lanes = new Lanes(deps)
  }

  add(entry: Entry): void {
    const lane = this.#lanes.laneOf(entry)
    entry.lane = lane
    if (lane.fence !== undefined) return this.#finish(entry, this.#lanes.fenced(lane))
    this.#lanes.push(lane, entry)
    this.#makeReady(lane)
  }

  /** The error for a send of a fenced key; `undefined`: it is not fenced. */
  fenceOf(key: string | undefined): StreamError | undefined {
    return this.#lanes.fenceOf(key)
  }

  resume(key: string | undefined): void {
    this.#lanes.resume(key)
  }

  /** Gives up on an entry for its caller. Queued, it goes; in flight, its outcome no longer matters. */
  abandon(entry: Entry, error: StreamError): void {
    entry.abandoned = true
    entry.fail(error)
    if (entry.inFlight) return
    const delayed = this.#delayed.get(entry)
    if (delayed !== undefined) {
      delayed.cancel()
      this.#delayed.delete(entry)
    } else {
      const lane = entry.lane ?? this.#lanes.unordered
      this.#lanes.leave(lane, entry)
      this.#lanes.forgetIfIdle(lane)
    }
    this.#deps.onGone(entry)
  }

  /** Every entry whose caller still waits: on the wire, queued, or waiting for a retry. */
  waiting(): readonly Entry[] {
    const queued = this.#lanes.all().flatMap((lane) => lane.pending.toArray())
    const all = [...this.#requests.values().flat(), ...queued, ...this.#delayed.keys()]
    return all.filter((entry) => !entry.abandoned)
  }

  /** Nothing lingers until `done`: neither what is queued now, nor what is let in meanwhile. */
  hurry(done: Promise<void>): void {
    this.#hurrying++
    this.#schedulePump()
    void done.finally(() => this.#hurrying--)
  }

  /** Ends everything: aborts requests and forgets what is queued. The caller has already answered the entries. */
  stop(): void {
    for (const request of this.#requests.keys()) request.abort(new StreamError('closed', 'the producer was closed'))
    for (const lane of this.#lanes.all()) {
      lane.waiting?.cancel()
      lane.waiting = undefined
      this.#lanes.drain(lane)
    }
    for (const timer of this.#delayed.values()) timer.cancel()
    this.#delayed.clear()
    this.#pause?.cancel()
    this.#leaveRateQueue?.()
    this.#linger?.cancel()
  }

  #makeReady(lane: Lane): void {
    if (this.#lanes.makeReady(lane)) this.#schedulePump()
  }

  #schedulePump(): void {
    if (this.#pumpScheduled) return
    this.#pumpScheduled = true
    queueMicrotask(() => {
      this.#pumpScheduled = false
      this.#pump()
    })
  }

  #pump(): void {
    const { settings } = this.#deps
    while (this.#requests.size < settings.maxInFlight && this.#lanes.ready && !this.#held()) {
      const batch = this.#lanes.takeBatch(this.#mayPass, this.#maxBatchBytes)
      if (this.#lanes.records === 0) this.#lingerDone = false
      if (batch.length === 0) break
      void this.#request(batch)
    }
  }

  /** Asks the rate limit, each try anew. What has to wait is asked for again when its turn comes. */
  readonly #mayPass = ({ bytes }: Entry): boolean => {
    const { rate } = this.#deps
    if (rate === undefined || rate.tryTake(bytes)) return true
    this.#leaveRateQueue ??= rate.wait(bytes, () => {
      this.#leaveRateQueue = undefined
      this.#pump()
    })
    return false
  }

  /** Whether sending waits: for the backend to recover, or for a batch to fill. */
  #held(): boolean {
    const { clock, settings } = this.#deps
    const pauseMs = this.#pausedUntilMs - clock.monotonic()
    if (pauseMs > 0) {
      this.#pause ??= clock.after(pauseMs, () => {
        this.#pause = undefined
        this.#pump()
      })
      return true
    }
    const full = this.#lanes.records >= settings.maxBatchRecords || this.#lanes.bytes >= this.#maxBatchBytes
    if (settings.lingerMs === 0 || this.#lingerDone || this.#hurrying > 0 || full) return false
    this.#linger ??= clock.after(settings.lingerMs, () => {
      this.#linger = undefined
      this.#lingerDone = true
      this.#schedulePump()
    })
    return true
  }

  async #request(batch: readonly Entry[]): Promise<void> {
    const controller = new AbortController()
    this.#requests.set(controller, batch)
    this.requests++
    const { outcomes, whole } = await request(batch, this.#deps, controller)
    this.#requests.delete(controller)
    this.#adapt(outcomes)
    this.#settle(batch, outcomes, whole)
    this.#schedulePump()
  }

  /** As much as the line takes in the time that there is for an answer. */
  #adapt(outcomes: readonly SendOutcome[]): void {
    const most = this.#deps.settings.maxBatchBytes
    const late = outcomes.some((outcome) => !outcome.ok && outcome.error.code === 'timeout')
    if (late) this.#maxBatchBytes = Math.max(Math.min(leastBatchBytes, most), Math.floor(this.#maxBatchBytes / 4))
    else if (this.#maxBatchBytes < most) this.#maxBatchBytes = Math.min(most, this.#maxBatchBytes * 2)
  }

  #settle(batch: readonly Entry[], outcomes: readonly SendOutcome[], whole: StreamError | undefined): void {
    const failed = new Map<Lane, Failure[]>()
    const touched = new Set<Lane>()
    for (let index = 0; index < batch.length; index++) {
      const entry = batch[index] as Entry
      const outcome = outcomes[index] as SendOutcome
      const lane = entry.lane ?? this.#lanes.unordered
      if (--lane.inFlight === 0 || !outcome.ok) touched.add(lane)
      entry.inFlight = false
      const untried = !outcome.ok && outcome.untried === true
      if (!untried) entry.attempts++
      if (outcome.ok) {
        this.#stored(entry, outcome)
        continue
      }
      if (outcome.error.ambiguous) entry.ambiguous = true
      const others = failed.get(lane)
      if (others === undefined) failed.set(lane, [{ entry, error: outcome.error, untried }])
      else others.push({ entry, error: outcome.error, untried })
    }
    const paused = this.#pauseAll(whole)
    const before = this.retries
    for (const [lane, failures] of failed) {
      if (lane.ordered) this.#settleOrdered(lane, failures, paused, whole !== undefined)
      else for (const failure of failures) this.#settleUnordered(failure.entry, failure.error, paused)
    }
    for (const lane of touched) if (!failed.has(lane)) lane.mostInRun *= 2
    if (!paused && this.retries > before) this.#noteRetries(this.retries - before, outcomes)
    for (const lane of touched) {
      this.#makeReady(lane)
      this.#lanes.forgetIfIdle(lane)
    }
  }

  #noteRetries(records: number, outcomes: readonly SendOutcome[]): void {
    const { logger, topic } = this.#deps
    const first = outcomes.find((outcome) => !outcome.ok)
    if (first === undefined) return
    const { code, message } = first.error
    logger.info({ topic, code, records }, `records could not be sent and will be tried again: ${message}`)
  }

  #stored(entry: Entry, outcome: Stored): void {
    this.#failuresInARow = 0
    if (!entry.abandoned) entry.succeed(outcome)
    this.#deps.onGone(entry)
  }

  /** When the backend as a whole refuses, every lane waits: backing off one by one would keep up the pressure. */
  #pauseAll(whole: StreamError | undefined): boolean {
    if (whole === undefined || !whole.retryable || whole.code === 'timeout') return false
    const { clock, logger, random, settings, topic } = this.#deps
    const now = clock.monotonic()
    if (now >= this.#pausedUntilMs) {
      this.#failuresInARow++
      const waitMs = backoffMs(settings.backoff, this.#failuresInARow, random, whole.retryAfterMs)
      this.#pausedUntilMs = now + waitMs
      // Callers do not hear of it for as long as a send may take.
      const facts = { topic, code: whole.code, failures: this.#failuresInARow, waitMs: Math.round(waitMs) }
      logger.warn(facts, `sending failed and will be tried again: ${whole.message}`)
    }
    return true
  }

  #settleOrdered(lane: Lane, failures: readonly Failure[], paused: boolean, whole: boolean): void {
    const again: Entry[] = []
    let waitMs = 0
    for (const [index, { entry, error, untried }] of failures.entries()) {
      // Where requests keep their order, all but the first failed only for being behind it: nothing is known of them.
      const behind = untried || (index > 0 && !whole && this.#deps.requestOrder === 'kept')
      if (entry.abandoned) {
        this.#deps.onGone(entry)
      } else if (lane.fence !== undefined) {
        this.#finish(entry, this.#final(entry, this.#lanes.fenced(lane)))
      } else {
        const delayMs = behind ? 0 : this.#retryDelay(entry, error)
        if (delayMs === undefined) {
          if (this.#deps.settings.fence) lane.fence = error
          // Those behind it may be refused as well, one by one: each time the whole run would go out again.
          lane.mostInRun = 1
          this.#finish(entry, this.#final(entry, error))
        } else {
          if (again.length === 0) waitMs = delayMs
          again.push(entry)
        }
      }
    }
    if (lane.fence !== undefined) {
      for (const entry of this.#lanes.drain(lane)) this.#finish(entry, this.#final(entry, this.#lanes.fenced(lane)))
    }
    if (again.length > 0) this.#sendAgain(lane, again, paused ? 0 : waitMs)
  }

  #sendAgain(lane: Lane, entries: readonly Entry[], waitMs: number): void {
    this.retries += entries.length
    this.#lanes.putBack(lane, entries)
    if (waitMs === 0) return
    lane.waiting = this.#deps.clock.after(waitMs, () => {
      lane.waiting = undefined
      this.#makeReady(lane)
      this.#lanes.forgetIfIdle(lane)
    })
  }

  #settleUnordered(entry: Entry, error: StreamError, paused: boolean): void {
    if (entry.abandoned) return this.#deps.onGone(entry)
    const delayMs = this.#retryDelay(entry, error)
    if (delayMs === undefined) return this.#finish(entry, this.#final(entry, error))
    this.retries++
    const again = (): void => {
      this.#delayed.delete(entry)
      this.#lanes.push(this.#lanes.unordered, entry)
      this.#makeReady(this.#lanes.unordered)
    }
    if (paused) again()
    else this.#delayed.set(entry, this.#deps.clock.after(delayMs, again))
  }

  /** How long to wait before the next try; `undefined`: there is none. */
  #retryDelay(entry: Entry, error: StreamError): number | undefined {
    const { clock, random, settings } = this.#deps
    if (!error.retryable || entry.attempts >= settings.maxAttempts) return undefined
    const delayMs = backoffMs(settings.backoff, entry.attempts, random, error.retryAfterMs)
    return clock.monotonic() + delayMs - entry.startedMs > settings.maxElapsedMs ? undefined : delayMs
  }

  #final(entry: Entry, error: StreamError): StreamError {
    if (error.ambiguous || !entry.ambiguous) return error
    return new StreamError(error.code, `${error.message} (an earlier try had no answer: the record may be stored)`, {
      cause: error,
      retryable: error.retryable,
      ambiguous: true,
      details: error.details,
    })
  }

  #finish(entry: Entry, error: StreamError): void {
    if (!entry.abandoned) entry.fail(error)
    this.#deps.onGone(entry)
  }
}
