import { RenewedMap, StreamError, sleep } from '@sluice/driver'
import type { Credit, DriverTopic, PartitionEvents, PartitionId, QueueSource, Settlement, Timer } from '@sluice/driver'
import { backoffMs } from '../backoff.ts'
import { within } from '../within.ts'
import { Delivery } from './delivery.ts'
import type { DeliveryOrigin } from './delivery.ts'
import { creditOf } from './engine.ts'
import type { Engine, EngineDeps } from './engine.ts'
import { Intake } from './intake.ts'

const backoff = { baseMs: 50, maxMs: 5_000 }

/** The settlement engine: reads an acknowledged queue, keeps what it holds leased, and settles record by record. */
export class QueueEngine implements Engine {
  readonly #deps: EngineDeps
  readonly #topic: DriverTopic
  readonly #nativeRetry: boolean
  readonly #intake: Intake
  readonly #origin: DeliveryOrigin = {
    owned: true,
    replace: (delivery, next) => {
      if (delivery.token !== undefined) this.#held.set(delivery.token, next)
    },
  }
  readonly #held = new RenewedMap<string, Delivery>()
  readonly #stop = new AbortController()
  #toSettle: { readonly settlement: Settlement; readonly delivery: Delivery }[] = []
  #settling: Promise<void> | undefined
  #settleTimer: Timer | undefined
  #extendTimer: Timer | undefined
  #source: QueueSource | undefined
  #failures = 0
  readonly parked = 0
  readonly partitions: readonly PartitionId[] = []

  constructor(deps: EngineDeps, topic: DriverTopic, nativeRetry: boolean) {
    this.#deps = deps
    this.#topic = topic
    this.#nativeRetry = nativeRetry
    this.#intake = new Intake({
      ...deps,
      credit: () => creditOf(deps.dispatcher, deps.settings),
      read: (credit, signal) => this.#read(credit, signal),
    })
  }

  readonly events: PartitionEvents = {
    assigned: ignore,
    revoking: () => Promise.resolve(),
    lost: ignore,
    ended: ignore,
    failed: (error) => this.#deps.onFailed(error),
  }

  attach(source: QueueSource): void {
    this.#source = source
  }

  start(): void {
    this.#scheduleExtend()
    this.#intake.start()
  }

  setPaused(paused: boolean): void {
    this.#intake.setPaused(paused)
  }

  wake(): void {
    this.#intake.wake()
  }

  settled(delivery: Delivery): void {
    delivery.state = 'done'
    this.#deps.dispatcher.release(delivery)
    if (delivery.token !== undefined) this.#settleSoon({ token: delivery.token, verb: 'ack' }, delivery)
  }

  giveBack(delivery: Delivery, delayMs: number): boolean {
    if (!this.#nativeRetry || delivery.lane !== undefined || delivery.token === undefined) return false
    delivery.state = 'done'
    this.#deps.dispatcher.release(delivery)
    this.#settleSoon({ token: delivery.token, verb: 'retry', delayMs }, delivery)
    return true
  }

  starving(): void {
    // A queue keeps what was handed out; there is nothing to read again later, so the credits are the bound.
  }

  async stopIntake(): Promise<void> {
    await this.#intake.stop()
    this.#deps.dropGathered(() => true)
    const dropped = this.#deps.dispatcher.drop(() => true)
    for (const delivery of dropped) this.#deps.onAbandoned(delivery)
    await this.#release(dropped)
  }

  async finish(timeoutMs: number): Promise<void> {
    const { clock, logger } = this.#deps
    await within(clock, this.#settleRest(clock.monotonic() + timeoutMs), timeoutMs)
    this.#extendTimer?.cancel()
    this.#settleTimer?.cancel()
    await within(clock, this.#release(this.#held.values()), timeoutMs)
    this.#origin.owned = false
    this.#stop.abort(new StreamError('closed', 'the consumer is closed'))
    if (this.#source === undefined || (await within(clock, this.#source.close(), timeoutMs))) return
    logger.error({ topic: this.#topic.name }, 'the backend did not let go of the source in time; it is left behind')
  }

  async #settleRest(endMs: number): Promise<void> {
    const { clock } = this.#deps
    while ((this.#toSettle.length > 0 || this.#settling !== undefined) && clock.monotonic() < endMs) {
      await (this.#settling ?? this.#settle())
      if (this.#failures > 0) await sleep(clock, backoff.baseMs)
    }
  }

  async #read(credit: Credit, signal: AbortSignal): Promise<void> {
    const records = await (this.#source as QueueSource).pull(credit, signal)
    for (const record of records) {
      const delivery = new Delivery(record, this.#topic.name, this.#origin, record.attempt ?? 1)
      delivery.token = record.token
      this.#held.set(record.token, delivery)
      this.#deps.dispatcher.add(delivery)
    }
    this.#deps.onChange()
  }

  #settleSoon(settlement: Settlement, delivery: Delivery): void {
    this.#toSettle.push({ settlement, delivery })
    if (this.#settling === undefined && this.#settleTimer === undefined) queueMicrotask(() => void this.#settle())
  }

  #settle(): Promise<void> {
    if (this.#settleTimer !== undefined) {
      this.#settleTimer.cancel()
      this.#settleTimer = undefined
    }
    this.#settling ??= this.#settleOnce().finally(() => {
      this.#settling = undefined
      if (this.#toSettle.length === 0 || this.#stop.signal.aborted) return
      if (this.#failures === 0) {
        void this.#settle()
        return
      }
      this.#settleTimer = this.#deps.clock.after(backoffMs(backoff, this.#failures, this.#deps.random), () => {
        this.#settleTimer = undefined
        void this.#settle()
      })
    })
    return this.#settling
  }

  async #settleOnce(): Promise<void> {
    const items = this.#toSettle.splice(0, 1_000)
    if (items.length === 0) return
    const { logger, settings } = this.#deps
    const fields = { topic: this.#topic.name, group: settings.group }
    try {
      const outcomes = await (this.#source as QueueSource).settle(
        items.map((item) => item.settlement),
        this.#stop.signal,
      )
      // What failed and may succeed later is not asked for again at once: the backend would be, without end.
      const unsettled = outcomes.some((outcome) => !outcome.ok && outcome.error.retryable)
      this.#failures = unsettled ? this.#failures + 1 : 0
      outcomes.forEach((outcome, index) => {
        const item = items[index]
        if (item === undefined) return
        if (outcome.ok || !outcome.error.retryable) this.#held.delete(item.settlement.token)
        if (outcome.ok) return
        logger.warn(
          { ...fields, code: outcome.error.code, id: item.delivery.id },
          `a message could not be settled and will come again: ${outcome.error.message}`,
        )
        if (outcome.error.retryable) this.#toSettle.push(item)
      })
    } catch (cause) {
      const error = StreamError.from(cause, `settling messages of topic "${this.#topic.name}" failed`)
      this.#toSettle = [...items, ...this.#toSettle]
      this.#failures++
      if (!error.retryable && error.code !== 'aborted') this.#deps.onFailed(error)
      else
        logger.warn(
          { ...fields, code: error.code, failures: this.#failures },
          `settling failed and will be tried again: ${error.message}`,
        )
    }
  }

  #scheduleExtend(): void {
    const everyMs = (this.#source?.leaseMs ?? 30_000) / 3
    this.#extendTimer = this.#deps.clock.after(everyMs, () => void this.#extend(), true)
  }

  async #extend(): Promise<void> {
    try {
      if (this.#held.size > 0) await this.#source?.extend(this.#held.keys(), this.#stop.signal)
    } catch (error) {
      this.#deps.logger.warn(
        { topic: this.#topic.name, error },
        'leases of messages could not be extended; some may come again',
      )
    }
    if (!this.#stop.signal.aborted) this.#scheduleExtend()
  }

  async #release(deliveries: readonly Delivery[]): Promise<void> {
    const tokens = deliveries.map((delivery) => delivery.token).filter((token) => token !== undefined)
    for (const token of tokens) this.#held.delete(token)
    if (tokens.length === 0) return
    try {
      await this.#source?.release(tokens, this.#stop.signal)
    } catch (error) {
      this.#deps.logger.warn(
        { topic: this.#topic.name, error },
        'messages could not be given back; they come again when their leases run out',
      )
    }
  }
}

function ignore(): void {
  // Queues have no partitions of their own.
}
