import type { Call, Output } from './operations/operation.ts'
import { showRecord } from './operations/records.ts'
import { showChildren } from './operations/show.ts'
import { sequenceBefore } from './positions.ts'
import { inUse, notFound } from './service-error.ts'
import type { Service } from './service.ts'
import type { Shard } from './shard.ts'
import { sizeOf } from './shard.ts'
import type { FanOutConsumer, Stream } from './stream.ts'

/** How long there is silence before an event without records says where the shard stands, in milliseconds. */
const silenceMs = 5_000
/** What one event holds at most. */
const eventLimit = { records: 1_000, bytes: 1_048_576 }

/** Who reads which shard by enhanced fan-out now, and since when. */
export class Subscriptions {
  readonly #service: Service
  readonly #current = new Map<string, { readonly atMs: number; readonly ending: AbortController }>()

  constructor(service: Service) {
    this.#service = service
  }

  /** Takes the place of an earlier subscription; throws what the service answers when it is too early for that. */
  begin(consumer: FanOutConsumer, shard: Shard): AbortSignal {
    const { clock, resubscribeMs } = this.#service.options
    const key = `${consumer.arn} ${shard.id}`
    const nowMs = clock.monotonic()
    const earlier = this.#current.get(key)
    if (earlier !== undefined && nowMs - earlier.atMs < resubscribeMs)
      throw inUse(
        `Another active subscription exists for this consumer: ${consumer.arn} and shard ${shard.id}, made less than ${resubscribeMs / 1_000} seconds ago.`,
      )
    earlier?.ending.abort(inUse(`Another subscription has taken the place of this one: ${consumer.arn} ${shard.id}.`))
    const ending = new AbortController()
    this.#forgetOld(nowMs)
    this.#current.set(key, { atMs: nowMs, ending })
    return ending.signal
  }

  #forgetOld(nowMs: number): void {
    const { subscriptionMs, resubscribeMs } = this.#service.options
    const oldest = nowMs - subscriptionMs - resubscribeMs
    for (const [key, { atMs }] of this.#current) if (atMs < oldest) this.#current.delete(key)
  }
}

/** What a subscription reads. */
export interface Subscribed {
  readonly call: Call
  readonly stream: Stream
  readonly shard: Shard
  readonly consumer: FanOutConsumer
  /** Where it begins. */
  readonly place: number
  /** Ends when another takes its place. */
  readonly replaced: AbortSignal
}

/**
 * The events of a subscription, until its time is over, the shard has ended, or `gone` says that nobody listens any more.
 * Throws a {@link ServiceError} that the listener is to be told.
 */
export async function* eventsOf(subscribed: Subscribed, gone: AbortSignal): AsyncGenerator<Output & object> {
  const { call, stream, shard, consumer, replaced } = subscribed
  const { service, region } = call
  const { clock, subscriptionMs } = service.options
  const endMs = clock.monotonic() + subscriptionMs
  const quota = service.quotas.fanOut(shard, consumer.name)
  let { place } = subscribed
  let silentSinceMs = -Infinity
  while (!gone.aborted && !service.closing.aborted && clock.monotonic() < endMs) {
    if (replaced.aborted) throw replaced.reason as Error
    if (service.find(region, stream.name) !== stream || stream.consumers.get(consumer.name) !== consumer)
      throw notFound(`Consumer ${consumer.arn} or its stream has been deleted.`)
    const waitMs = Math.max(quota?.bytes.waitMs ?? 0, service.faults.delayOfShard(stream, shard, call.name))
    if (waitMs > 0) {
      await pause(service, shard, waitMs, [gone, replaced], false)
      if (quota?.bytes.has() === false) continue
    }
    service.trim(region, stream, [shard])
    const { records, next, behindMs, atEnd } = shard.read(place, eventLimit, service.nowMs)
    place = next
    if (records.length > 0 || atEnd || clock.monotonic() - silentSinceMs >= silenceMs) {
      quota?.bytes.take(records.reduce((sum, record) => sum + sizeOf(record), 0))
      silentSinceMs = clock.monotonic()
      yield {
        Records: records.map(showRecord),
        ...(atEnd
          ? { ChildShards: showChildren(stream, shard) }
          : { ContinuationSequenceNumber: sequenceBefore(shard, place) }),
        MillisBehindLatest: behindMs,
      }
    }
    if (atEnd) return
    if (shard.next > place || !shard.open) continue
    await pause(service, shard, Math.min(silenceMs, endMs - clock.monotonic()), [gone, replaced], true)
  }
}

/** Waits so long, or until one of the signals ends it, or, where that is wanted, the shard has something new. */
async function pause(
  service: Service,
  shard: Shard,
  ms: number,
  ends: readonly AbortSignal[],
  orNew: boolean,
): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const onEnd = (): void => resolve()
  const timer = service.options.clock.after(Math.max(1, ms), resolve, true)
  const unwatch = orNew ? shard.watch(resolve) : undefined
  const all = [...ends, service.closing]
  for (const signal of all) {
    if (signal.aborted) resolve()
    signal.addEventListener('abort', onEnd)
  }
  await promise
  for (const signal of all) signal.removeEventListener('abort', onEnd)
  timer.cancel()
  unwatch?.()
}
