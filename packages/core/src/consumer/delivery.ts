import { StreamError, textOf } from '@sluice/driver'
import type { Headers, IncomingRecord, PartitionId, Position, TransactionRecord } from '@sluice/driver'
import type { Message } from '../api/message.ts'
import { checkOptions, duration } from '../options.ts'
import type { ProcessSpan } from '../telemetry.ts'
import type { DispatchLane } from './dispatcher.ts'
import type { WatermarkNode } from './watermark.ts'

/** What is to become of a delivery. */
export type Verb =
  | { readonly kind: 'ack' }
  | { readonly kind: 'skip' }
  | { readonly kind: 'expire' }
  | { readonly kind: 'retry'; readonly delayMs: number | undefined; readonly error: unknown }
  | { readonly kind: 'dead-letter'; readonly reason: string; readonly error: unknown }

/** Where the record came from: the partition or queue that has to know of its end. */
export interface DeliveryOrigin {
  /** False once the records are no longer ours to settle. */
  owned: boolean
  /** A delivery goes on as another. */
  replace?(delivery: Delivery, next: Delivery): void
}

const unset: unique symbol = Symbol('unset')

/** A record on its way through the dispatcher, and the message that handlers see. */
export class Delivery implements Message<unknown> {
  readonly record: IncomingRecord
  readonly topic: string
  readonly origin: DeliveryOrigin
  /** `undefined` for records without order. */
  lane: DispatchLane | undefined
  node: WatermarkNode | undefined
  token: string | undefined
  attempt: number
  /** `queued` waits for its turn, `running` is in a handler, `waiting` is held for a retry, `done` is settled or dropped. */
  state: 'queued' | 'running' | 'waiting' | 'done' = 'queued'
  /** Ended by a verb, so that progress may pass it: what was dropped is `done` too, and must come again. */
  settled = false
  verb: Verb | undefined
  /** Where a handler's verb goes at once; unset while verbs wait for the handler's return. */
  onVerb: ((delivery: Delivery) => void) | undefined
  /** Stored in one transaction with the progress past this record. */
  outputs: readonly TransactionRecord[] | undefined
  /** What its outputs take up besides its own bytes, from when it is settled until they are stored. */
  outputBytes = 0
  /** Its room in the buffers is free again. */
  released = false
  /** Its outputs were refused for good, and a dead letter took their place. */
  refused = false
  span: ProcessSpan | undefined
  #value: unknown = unset
  #controller: AbortController | undefined
  #abortReason: StreamError | undefined

  constructor(record: IncomingRecord, topic: string, origin: DeliveryOrigin, attempt: number) {
    this.record = record
    this.topic = topic
    this.origin = origin
    this.attempt = attempt
  }

  /** Whether its handler was told that the record is no longer ours: what it makes of it counts no more. */
  get aborted(): boolean {
    return this.#abortReason !== undefined
  }

  /** The same record for its next attempt. This one is done: its verbs do nothing any more. */
  again(): Delivery {
    this.state = 'done'
    const next = new Delivery(alone(this.record), this.topic, this.origin, this.attempt + 1)
    next.lane = this.lane
    next.node = this.node
    next.token = this.token
    this.origin.replace?.(this, next)
    return next
  }

  get id(): string {
    return this.record.id
  }

  get key(): string | undefined {
    return this.record.key
  }

  get headers(): Headers {
    return this.record.headers
  }

  get partition(): PartitionId {
    return this.record.partition
  }

  get position(): Position | undefined {
    return this.record.position
  }

  get time(): Date {
    return new Date(this.record.timeMs)
  }

  get expiresAt(): Date | undefined {
    return this.record.expiresAtMs === undefined ? undefined : new Date(this.record.expiresAtMs)
  }

  get body(): Uint8Array {
    return this.record.body
  }

  get value(): unknown {
    if (this.#value === unset) throw new StreamError('internal', 'the message was not decoded before it was handed out')
    return this.#value
  }

  get decoded(): boolean {
    return this.#value !== unset
  }

  setValue(value: unknown): void {
    this.#value = value
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    if (this.#abortReason !== undefined) this.#controller.abort(this.#abortReason)
    return this.#controller.signal
  }

  /** Tells the handler that the record is no longer ours. */
  abort(reason: StreamError): void {
    this.#abortReason ??= reason
    this.#controller?.abort(reason)
  }

  ack(): void {
    this.#settle({ kind: 'ack' })
  }

  retry(options: { readonly delayMs?: number } = {}): void {
    checkOptions<{ delayMs: number }>('retry', options, { delayMs: duration })
    this.#settle({ kind: 'retry', delayMs: options.delayMs, error: undefined })
  }

  deadLetter(reason: string): void {
    this.#settle({ kind: 'dead-letter', reason: textOf(reason), error: undefined })
  }

  skip(): void {
    this.#settle({ kind: 'skip' })
  }

  native(): unknown {
    return this.record.native
  }

  #settle(verb: Verb): void {
    if (this.verb !== undefined || this.state !== 'running') return
    this.verb = verb
    this.onVerb?.(this)
  }
}

/** The record without the batch that its body is a part of, which would be kept in memory with it. */
function alone(record: IncomingRecord): IncomingRecord {
  const { body } = record
  return body.buffer.byteLength < 2 * body.byteLength + 4_096 ? record : { ...record, body: new Uint8Array(body) }
}
