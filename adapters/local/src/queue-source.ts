import { RenewedSet, StreamError } from '@sluice/driver'
import type { Credit, PartitionEvents, QueuedRecord, QueueSource, Settlement, SettleOutcome } from '@sluice/driver'
import { RecordReader } from './codec.ts'
import { toPosition } from './position.ts'
import { waitMs } from './consumer.ts'
import type { StoreClient } from './store/client.ts'
import type { DeliveryToken, PulledRun, QueueGroup, QueueSettlement } from './store/protocol.ts'
import type { TopicView } from './topic.ts'

/** What a queue source works with. */
export interface QueueSourceContext {
  readonly client: StoreClient
  readonly topic: TopicView
  readonly group: string
  readonly leaseMs: number
  readonly events: PartitionEvents
  readonly leave: () => Promise<void>
  readonly onClosed: () => void
}

/** Takes records of a topic without order, one lease for each. */
export class LocalQueueSource implements QueueSource {
  readonly shape = 'queue'
  readonly leaseMs: number
  readonly #context: QueueSourceContext
  /** The group, on the topic it was joined on: there may be another topic of that name later. */
  readonly #queue: QueueGroup
  readonly #forgetFailure: () => void
  /** Deliveries in our hands: given back on close. */
  readonly #out = new RenewedSet<string>()
  #waiting: number | undefined
  #pulling: Promise<unknown> = Promise.resolve()
  #closing: Promise<void> | undefined

  constructor(context: QueueSourceContext) {
    this.#context = context
    this.#queue = { topicId: context.topic.info.id, group: context.group }
    this.leaseMs = context.leaseMs
    this.#forgetFailure = context.client.onFailure((error) => context.events.failed(error))
  }

  async pull(credit: Credit, signal: AbortSignal): Promise<readonly QueuedRecord[]> {
    const what = `pull from topic "${this.#context.topic.name}"`
    if (this.#closing !== undefined) throw new StreamError('closed', `${what} failed: the source is closed`)
    if (signal.aborted) throw StreamError.aborted(signal, what)
    const pulling = this.#pull(credit, signal, what)
    this.#pulling = pulling.catch(() => undefined)
    return pulling
  }

  async #pull(credit: Credit, signal: AbortSignal, what: string): Promise<readonly QueuedRecord[]> {
    const { client, leaseMs } = this.#context
    const request = { ...this.#queue, records: credit.records, bytes: credit.bytes, waitMs, leaseMs }
    const { id, result } = client.start('pull', request, this.#describe('pull'))
    this.#waiting = id
    const onAbort = (): void => client.cancel(id)
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      const records = await this.#decode(await result)
      if (!signal.aborted) return records
      await this.#release(records.map((record) => record.token))
      throw StreamError.aborted(signal, what)
    } finally {
      this.#waiting = undefined
      signal.removeEventListener('abort', onAbort)
    }
  }

  async settle(items: readonly Settlement[], signal: AbortSignal): Promise<readonly SettleOutcome[]> {
    if (signal.aborted) throw StreamError.aborted(signal, `settle on topic "${this.#context.topic.name}"`)
    const settlements = items.map((item): QueueSettlement => ({
      ...parseToken(item.token),
      retryAfterMs: item.verb === 'retry' ? item.delayMs : undefined,
    }))
    const request = { ...this.#queue, items: settlements }
    const settled = await this.#context.client.call('settle', request, this.#describe('settle'))
    for (const item of items) this.#out.delete(item.token)
    return items.map((item, index): SettleOutcome =>
      settled[index] === true ? { ok: true } : { ok: false, error: leaseOver(item) },
    )
  }

  async extend(tokens: readonly string[], signal: AbortSignal): Promise<void> {
    if (signal.aborted) throw StreamError.aborted(signal, `extend on topic "${this.#context.topic.name}"`)
    const { client, leaseMs } = this.#context
    const request = { ...this.#queue, tokens: tokens.flatMap(knownToken), leaseMs }
    await client.call('extend', request, this.#describe('extend'))
  }

  async release(tokens: readonly string[], signal: AbortSignal): Promise<void> {
    if (signal.aborted) throw StreamError.aborted(signal, `release on topic "${this.#context.topic.name}"`)
    await this.#release(tokens)
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    const { client, leave } = this.#context
    this.#forgetFailure()
    if (this.#waiting !== undefined) client.cancel(this.#waiting)
    await this.#pulling
    // A store that is gone has nothing to give back to: the leases run out.
    await this.#release(this.#out.values()).catch(() => undefined)
    await leave().catch(() => undefined)
    this.#context.onClosed()
  }

  async #release(tokens: readonly string[]): Promise<void> {
    if (tokens.length === 0) return
    const request = { ...this.#queue, tokens: tokens.flatMap(knownToken) }
    await this.#context.client.call('release', request, this.#describe('release'))
    for (const token of tokens) this.#out.delete(token)
  }

  async #decode(runs: readonly PulledRun[]): Promise<readonly QueuedRecord[]> {
    const { topic } = this.#context
    if (runs.some((run) => topic.byNumber(run.partition) === undefined)) await topic.refresh()
    const records: QueuedRecord[] = []
    for (const run of runs) {
      const partition = topic.byNumber(run.partition)?.name ?? String(run.partition)
      const { body: _, ...native } = run
      const reader = new RecordReader(run.body, 0, `partition ${partition} of topic "${topic.name}"`)
      for (const [index, offset] of run.offsets.entries()) {
        const delivery = run.deliveries[index] ?? 0
        const token = `${run.partition}.${offset}.${delivery}`
        this.#out.add(token)
        const { id, key, headers, body, expiresAtMs } = reader.next()
        records.push({
          id,
          partition,
          position: toPosition(offset),
          key,
          headers,
          body,
          timeMs: run.timeMs,
          expiresAtMs,
          epoch: 0,
          native,
          token,
          attempt: run.attempts[index],
        })
      }
    }
    return records
  }

  #describe(operation: string): { readonly operation: string; readonly topic: string; readonly group: string } {
    return { operation, topic: this.#context.topic.name, group: this.#context.group }
  }
}

function parseToken(token: string): DeliveryToken {
  const [known] = knownToken(token)
  if (known !== undefined) return known
  throw new StreamError('invalid-argument', `"${token}" is not a token this source has given out`)
}

function knownToken(token: string): readonly DeliveryToken[] {
  const match = /^(\d+)\.(\d+)\.(\d+)$/.exec(token)
  return match === null ? [] : [{ partition: Number(match[1]), offset: Number(match[2]), delivery: Number(match[3]) }]
}

function leaseOver(item: Settlement): StreamError {
  return new StreamError('fenced', 'the lease of the record had run out, or it was settled before; it may come again', {
    details: { token: item.token },
  })
}
