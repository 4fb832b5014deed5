import { RenewedSet, StreamError, sleep, textOf } from '@sluice/driver'
import type { Clock, Logger, OutgoingRecord, Random } from '@sluice/driver'
import type { Message, SettledAs } from '../api/message.ts'
import { backoffMs } from '../backoff.ts'
import type { IdGenerator } from '../ids.ts'
import type { Telemetry } from '../telemetry.ts'
import type { ValueFormat } from '../values.ts'
import { deadLetterRecord, inTwoParts, redriveGroupHeader } from './dead-letter.ts'
import type { Delivery, Verb } from './delivery.ts'
import type { Dispatcher } from './dispatcher.ts'
import type { Engine } from './engine.ts'
import type { ConsumerSettings } from './settings.ts'

/** What handling works with. */
export interface HandlingDeps {
  readonly topicName: string
  readonly settings: ConsumerSettings
  readonly dispatcher: Dispatcher
  readonly engine: Engine
  readonly format: ValueFormat<unknown>
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly ids: IdGenerator
  readonly telemetry: Telemetry | undefined
  /** Dead letters are stored together with progress instead of being sent first. */
  readonly transactional: boolean
  readonly deadLetterFits: (record: OutgoingRecord) => boolean
  readonly sendDeadLetter: (record: OutgoingRecord, signal: AbortSignal) => Promise<unknown>
  readonly onSettled: ((message: Message<unknown>, outcome: SettledAs) => void) | undefined
  readonly onChange: () => void
  readonly onFailed: (error: StreamError) => void
}

/** `done`: the delivery has left. `held`: it waits for its next attempt, its key with it. */
export type Applied = 'done' | 'held'

const deadLetterBackoff = { baseMs: 200, maxMs: 30_000 }

/** What happens to a delivery before its handler and after it, the same for every way of consuming. */
export class Handling {
  readonly #deps: HandlingDeps
  /** Deliveries in handlers or in the hands of a loop. */
  readonly active: RenewedSet<Delivery> = new RenewedSet<Delivery>()
  readonly counts: { acked: number; retried: number; deadLettered: number; skipped: number; expired: number } = {
    acked: 0,
    retried: 0,
    deadLettered: 0,
    skipped: 0,
    expired: 0,
  }

  /** Deliveries that were made ready, each attempt counted. */
  begun = 0

  constructor(deps: HandlingDeps) {
    this.#deps = deps
  }

  /**
   * Makes a delivery ready for its handler. `false`: it needs none (expired, meant for another group, undecodable) and
   * has been taken care of.
   */
  begin(delivery: Delivery): boolean | Promise<boolean> {
    delivery.state = 'running'
    this.begun++
    this.active.add(delivery)
    const { record } = delivery
    if (record.expiresAtMs !== undefined && record.expiresAtMs <= this.#deps.clock.now())
      return this.#end(delivery, { kind: 'expire' })
    const onlyFor = record.headers[redriveGroupHeader]
    if (onlyFor !== undefined && onlyFor !== this.#deps.settings.group) return this.#end(delivery, { kind: 'skip' })
    try {
      const value = this.#deps.format.decode(record.body, () => `message ${record.id} of topic "${delivery.topic}"`)
      if (value instanceof Promise) {
        return value.then(
          (decoded) => this.#ready(delivery, decoded),
          (error: unknown) => this.#poison(delivery, error),
        )
      }
      return this.#ready(delivery, value)
    } catch (error) {
      return this.#poison(delivery, error)
    }
  }

  /** Carries a verb out and lets the key go on; nothing for a delivery that a close has given up. */
  conclude(delivery: Delivery, verb: Verb): void {
    if (delivery.state === 'done') return
    const applied = this.apply(delivery, verb)
    if (applied instanceof Promise) void applied.then((later) => this.#letKeyGo(delivery, later))
    else this.#letKeyGo(delivery, applied)
  }

  /** Carries a verb out. The caller lets the key go on when it is `done`. Never rejects. */
  apply(delivery: Delivery, verb: Verb): Applied | Promise<Applied> {
    if (!delivery.origin.owned || delivery.aborted) return this.#leave(delivery, 'abandoned')
    switch (verb.kind) {
      case 'ack':
        this.counts.acked++
        return this.#leave(delivery, 'acked')
      case 'skip':
        this.counts.skipped++
        return this.#leave(delivery, 'skipped')
      case 'expire':
        this.counts.expired++
        return this.#leave(delivery, 'expired')
      case 'retry':
        return this.#retry(delivery, verb)
      default:
        return this.#deadLetter(delivery, verb.reason, verb.error)
    }
  }

  /** The delivery of the next attempt, without a wait: for the rest of a batch. */
  nextAttempt(delivery: Delivery, error: unknown): Delivery {
    this.#tell(delivery, 'retried', error)
    this.counts.retried++
    this.active.delete(delivery)
    return delivery.again()
  }

  /**
   * The outputs of a settled delivery were refused for good when they were to be stored with its progress: a dead letter
   * takes their place. False: there is no topic for one, or it was refused itself.
   */
  refused(delivery: Delivery, error: StreamError): boolean {
    const { logger, settings } = this.#deps
    const topic = settings.deadLetterTopic
    if (topic === undefined || delivery.refused) {
      logger.error(
        { topic: delivery.topic, id: delivery.id, code: error.code },
        `outputs of a message cannot be stored, nor a dead letter; both are tried again and its partition waits: ${error.message}`,
      )
      return false
    }
    delivery.refused = true
    const reason = `its outputs could not be stored: ${error.message}`
    const records = this.#deadLetterOf(delivery, reason, error)
    delivery.outputs = records.map((record) => ({ topic, record }))
    this.counts.acked--
    this.#noteDeadLettered(delivery, reason)
    this.#tell(delivery, 'dead-lettered', error)
    return true
  }

  /** A delivery that left without an outcome. Of one that was given back before its turn nobody is told. */
  abandoned(delivery: Delivery): void {
    this.active.delete(delivery)
    if (delivery.decoded) this.#tell(delivery, 'abandoned', undefined)
    else delivery.span?.end('abandoned', undefined)
  }

  isLastAttempt(delivery: Delivery): boolean {
    return this.#deps.settings.deadLetterTopic !== undefined && delivery.attempt >= this.#deps.settings.maxAttempts
  }

  #ready(delivery: Delivery, value: unknown): boolean {
    if (delivery.state === 'done') return false
    if (!delivery.origin.owned) return this.#end(delivery, { kind: 'ack' })
    delivery.setValue(value)
    delivery.span = this.#deps.telemetry?.startProcess(delivery, this.#deps.settings.group)
    return true
  }

  #end(delivery: Delivery, verb: Verb): false {
    this.conclude(delivery, verb)
    return false
  }

  #poison(delivery: Delivery, cause: unknown): false {
    const error = StreamError.from(cause, `message ${delivery.id} of topic "${delivery.topic}" cannot be decoded`)
    const { onPoison } = this.#deps.settings
    if (onPoison === 'stop') {
      this.#leave(delivery, 'abandoned', error)
      this.#deps.onFailed(error)
      return false
    }
    if (onPoison === 'skip') {
      this.#deps.logger.warn(
        { topic: delivery.topic, id: delivery.id, position: delivery.position },
        `skipped: ${error.message}`,
      )
      return this.#end(delivery, { kind: 'skip' })
    }
    return this.#end(delivery, { kind: 'dead-letter', reason: error.message, error })
  }

  #retry(delivery: Delivery, verb: Extract<Verb, { kind: 'retry' }>): Applied | Promise<Applied> {
    const { dispatcher, engine, random, settings } = this.#deps
    if (this.isLastAttempt(delivery)) {
      const why = verb.error === undefined ? 'the handler asked for one more' : textOf(verb.error)
      return this.#deadLetter(delivery, `gave up after ${delivery.attempt} attempts: ${why}`, verb.error)
    }
    const delayMs = verb.delayMs ?? backoffMs(settings.backoff, delivery.attempt, random)
    this.counts.retried++
    this.active.delete(delivery)
    this.#noteRetried(delivery, delayMs, verb.error)
    this.#tell(delivery, 'retried', verb.error)
    if (engine.giveBack(delivery, delayMs)) return 'done'
    dispatcher.hold(delivery.again(), delayMs, this.#deps.onChange)
    return 'held'
  }

  #noteRetried({ attempt, id, key, topic }: Delivery, delayMs: number, error: unknown): void {
    const { logger, settings } = this.#deps
    const why = error === undefined ? {} : { error: textOf(error) }
    const waitMs = Math.round(delayMs)
    logger.info({ topic, group: settings.group, id, key, attempt, waitMs, ...why }, 'a message will be tried again')
  }

  #deadLetter(delivery: Delivery, reason: string, error: unknown): Applied | Promise<Applied> {
    const topic = this.#deps.settings.deadLetterTopic
    if (topic === undefined) {
      this.#deps.logger.error(
        { topic: delivery.topic, id: delivery.id },
        `there is no dead-letter topic, so the message is tried again: ${reason}`,
      )
      return this.#retry(delivery, { kind: 'retry', delayMs: undefined, error })
    }
    const records = this.#deadLetterOf(delivery, reason, error)
    if (!this.#deps.transactional) return this.#sendDeadLetter(delivery, records, error, reason)
    delivery.outputs = records.map((record) => ({ topic, record }))
    delivery.refused = true
    return this.#deadLettered(delivery, error, reason)
  }

  #deadLetterOf(delivery: Delivery, reason: string, error: unknown): readonly OutgoingRecord[] {
    const { clock, deadLetterFits, ids, settings } = this.#deps
    const letter = deadLetterRecord(delivery, { group: settings.group, reason, error }, ids, clock)
    return deadLetterFits(letter) ? [letter] : inTwoParts(letter, delivery, ids)
  }

  /** Until the dead letter is stored the message is not acknowledged, and its key waits. */
  async #sendDeadLetter(
    delivery: Delivery,
    records: readonly OutgoingRecord[],
    error: unknown,
    reason: string,
  ): Promise<Applied> {
    const { clock, logger, random, sendDeadLetter, settings } = this.#deps
    for (let failures = 1; delivery.origin.owned && !delivery.signal.aborted; failures++) {
      try {
        for (const record of records) await sendDeadLetter(record, delivery.signal)
        return this.#deadLettered(delivery, error, reason)
      } catch (cause) {
        const failure = StreamError.from(cause, 'the dead letter could not be stored')
        logger.error(
          {
            topic: delivery.topic,
            id: delivery.id,
            deadLetterTopic: settings.deadLetterTopic,
            code: failure.code,
            failures,
          },
          `a dead letter could not be stored; the message stays unacknowledged and its key waits: ${failure.message}`,
        )
        // An abort ends the wait; the loop sees that the record is no longer ours.
        await sleep(clock, backoffMs(deadLetterBackoff, failures, random, 50), delivery.signal).catch(() => undefined)
      }
    }
    return this.#leave(delivery, 'abandoned')
  }

  #deadLettered(delivery: Delivery, error: unknown, reason: string): Applied {
    this.#noteDeadLettered(delivery, reason)
    return this.#leave(delivery, 'dead-lettered', error)
  }

  #noteDeadLettered(delivery: Delivery, reason: string): void {
    this.counts.deadLettered++
    const { logger, settings } = this.#deps
    const { attempt, id, key, topic } = delivery
    logger.warn({ topic, group: settings.group, id, key, attempt, reason }, 'a message was dead-lettered')
  }

  #leave(delivery: Delivery, outcome: SettledAs, error?: unknown): Applied {
    // A close has given it up meanwhile, and told so.
    if (delivery.state === 'done') return 'done'
    this.active.delete(delivery)
    delivery.state = 'done'
    if (outcome === 'abandoned') this.#deps.dispatcher.release(delivery)
    else this.#deps.engine.settled(delivery)
    this.#tell(delivery, outcome, error)
    return 'done'
  }

  #letKeyGo(delivery: Delivery, applied: Applied): void {
    if (applied === 'done') this.#deps.dispatcher.free(delivery)
    this.#deps.onChange()
  }

  #tell(delivery: Delivery, outcome: SettledAs, error: unknown): void {
    delivery.span?.end(outcome, error)
    const { logger, onSettled } = this.#deps
    if (onSettled === undefined) return
    // The message is settled whatever a listener makes of it.
    const failed = (thrown: unknown): void =>
      logger.error({ topic: delivery.topic, id: delivery.id, error: thrown }, 'onSettled threw')
    try {
      const told: unknown = onSettled(delivery, outcome)
      if (told instanceof Promise) told.catch(failed)
    } catch (thrown) {
      failed(thrown)
    }
  }
}
