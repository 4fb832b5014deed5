import type { Cloud, Topic } from '@sluice/core'
import { StreamError } from '@sluice/driver'
import type { CaseContext, Shimmed } from '../context.ts'
import { each, equal, firsts, repeatsAtMost, sameOrder, that } from '../expect.ts'
import type { Broker } from '../harness.ts'
import { ofKey, read } from '../reading.ts'
import type { Delivery, Reading } from '../reading.ts'
import { drain, member, numbers, texts } from '../setup.ts'
import { TcpProxy } from './tcp-proxy.ts'

const keys = 8
/** What a member holds in hand, and what it may have handled and not committed: both bound what a fault repeats. */
const settings = { maxBufferedRecords: 100, maxUncommitted: 100 }

/** What stands behind the proxy, and how. */
interface UnderFaultOptions {
  /** The line will be slow. */
  readonly patient?: boolean
  /** The broker is away for so long when sending and reading begin, though not when the connection is made. */
  readonly awayMs?: number
  /** The lease store alone, where that is something else than the broker. */
  readonly leases?: boolean
}

/** A producer and a consumer of one topic, both behind a proxy, that go on while it is made to fail. */
export class StreamUnderFault {
  readonly broker: Broker
  readonly proxy: TcpProxy
  /** A connection that goes through no proxy: for what the case itself wants to know. */
  readonly direct: Shimmed
  readonly name: string
  readonly group: string
  readonly reading: Reading<number>
  readonly #context: CaseContext
  readonly #topic: Topic<number>
  readonly #sending: Promise<void>
  readonly #acked: number[] = []
  readonly #failures: string[] = []
  #stopped = false
  #next = 0

  private constructor(
    context: CaseContext,
    parts: Pick<StreamUnderFault, 'broker' | 'proxy' | 'direct' | 'name'> & { readonly cloud: Cloud },
  ) {
    this.#context = context
    this.broker = parts.broker
    this.proxy = parts.proxy
    this.direct = parts.direct
    this.name = parts.name
    this.group = context.name('g')
    this.#topic = numbers(parts.cloud, this.name)
    this.reading = read(context, member(this.#topic, this.group, settings), { member: 'behind the proxy' })
    this.#sending = this.#send()
  }

  /** Begins, and resolves once records flow. */
  static async start(context: CaseContext, options: UnderFaultOptions = {}): Promise<StreamUnderFault> {
    const broker = await brokerOf(context)
    const behindProxy: Pick<Broker, 'endpoint' | 'urlAt' | 'patientUrlAt'> =
      (options.leases === true ? broker.leaseStore : undefined) ?? broker
    const proxy = await TcpProxy.start(behindProxy.endpoint)
    context.defer(() => proxy.close())
    const direct = await context.shimmed()
    const name = await context.createTopic(direct.cloud, context.world.order === 'key' ? { partitions: 3 } : {})
    const patient = { retry: { maxElapsedMs: 300_000, maxAttempts: 1_000, maxMs: 500 }, requestTimeoutMs: 5_000 }
    const urlAt = options.patient === true ? (behindProxy.patientUrlAt ?? behindProxy.urlAt) : behindProxy.urlAt
    const behind = await context.shimmed({ producer: patient }, urlAt(proxy.endpoint))
    context.defer(() => proxy.heal())
    if (options.awayMs !== undefined) await proxy.refuse()
    const stream = new StreamUnderFault(context, { broker, proxy, direct, name, cloud: behind.cloud })
    context.defer(async () => void (stream.#stopped = true))
    if (options.awayMs !== undefined) {
      await context.pause(options.awayMs)
      await proxy.accept()
    }
    await stream.flows()
    return stream
  }

  /** Resolves once something that is sent from now on was acknowledged and handled. */
  async flows(withinMs: number = this.#context.world.tuning.patienceMs): Promise<void> {
    const from = this.#next
    await this.#context.eventually(() => {
      that(
        this.reading.error() === undefined,
        `the consumer ended with ${String(this.reading.error())} after ${this.reading.deliveries.length} deliveries`,
      )
      that(this.#failures.length === 0, `sends failed: ${this.#failures.slice(0, 3).join('; ')}`)
      that(
        this.reading.values().some((value) => value >= from),
        `nothing of what was sent from ${from} on was handled (${this.#acked.length} acknowledged, ${this.reading.deliveries.length} deliveries)`,
      )
    }, withinMs)
  }

  /**
   * Ends in good order, and holds everything against the promises: each acknowledged record is stored, in the order of
   * its key, and was handled; `losses` is how often the group may have lost its partitions.
   */
  async conclude(losses: number, others: readonly Delivery<number>[] = []): Promise<void> {
    this.#stopped = true
    const { tuning, harness, order } = this.#context.world
    await this.#context.within(this.#sending, tuning.patienceMs * 3, 'the last sends')
    equal(this.#failures.slice(0, 3), [], `${this.#failures.length} sends failed, though the fault has passed`)
    const deliveries = (): readonly Delivery<number>[] =>
      [...this.reading.deliveries, ...others].toSorted((a, b) => a.startedAtMs - b.startedAtMs)
    await this.#context.eventually(() => {
      const handled = new Set(deliveries().map((one) => one.value))
      const missing = this.#acked.filter((value) => !handled.has(value))
      that(missing.length === 0, `${missing.length} acknowledged records were not handled, first ${missing[0]}`)
    }, tuning.patienceMs * 3)
    await this.#context.settleWindow()
    await this.reading.stop()
    const stored = await drain(this.#context, numbers(this.direct.cloud, this.name), this.#acked.length)
    // Where nothing removes the second copy of a send whose answer was lost, each fault may leave one.
    const copies = (harness.copies ?? 1) + (this.#context.world.capabilities.dedup === false ? losses + 1 : 0)
    each(texts(stored.values()), texts(this.#acked), copies, 'what is stored, against what was acknowledged')
    const perLoss = settings.maxBufferedRecords + settings.maxUncommitted
    repeatsAtMost(texts(deliveries().map((one) => one.value)), perLoss * 3 * losses, 'deliveries')
    if (order !== 'key') return
    for (let key = 0; key < keys; key++) {
      const first = firsts(ofKey(deliveries(), `k${key}`), (one) => one.id).map((one) => one.value)
      sameOrder(
        first,
        first.toSorted((a, b) => a - b),
        `first deliveries of key k${key}`,
      )
    }
  }

  /** Several in flight at once, in the order of their keys, until the case has seen enough. */
  async #send(): Promise<void> {
    const inFlight = new Set<Promise<void>>()
    while (!this.#stopped) {
      const value = this.#next++
      const sent: Promise<void> = this.#topic
        .send({ key: `k${value % keys}`, value })
        .then(() => void this.#acked.push(value))
        .catch((error: unknown) => void this.#failures.push(StreamError.is(error) ? error.message : String(error)))
        .finally(() => inFlight.delete(sent))
      inFlight.add(sent)
      if (inFlight.size >= 32) await Promise.race(inFlight)
      else await this.#context.pause(2)
    }
    await Promise.all(inFlight)
  }
}

/** The broker, which cases that need one have. */
export async function brokerOf(context: CaseContext): Promise<Broker> {
  const broker = await context.world.harness.broker?.()
  that(broker !== undefined, 'the harness has a broker')
  return broker
}
