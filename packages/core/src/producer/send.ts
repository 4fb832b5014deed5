import { StreamError } from '@sluice/driver'
import type { OutgoingRecord } from '@sluice/driver'
import type { Receipt } from '../api/producer.ts'
import type { SendSpan } from '../telemetry.ts'
import type { FlushGroup } from './flush-groups.ts'
import type { AbortListeners } from './abort-listeners.ts'
import type { Entry, Lane, Stored } from './lane.ts'
import type { Outbox } from './outbox.ts'

/** Who waits for a send. */
export interface Caller {
  /** Monotonic time of the call. */
  readonly startedMs: number
  readonly signal: AbortSignal | undefined
  readonly aborts: AbortListeners
  readonly span: SendSpan | undefined
  readonly resolve: (receipt: Receipt) => void
  readonly reject: (error: unknown) => void
}

/** An admitted send: answers its caller once, and heeds the caller's signal in its lane and on the wire. */
export class Send implements Entry {
  readonly record: OutgoingRecord
  readonly bytes: number
  readonly startedMs: number
  readonly group: FlushGroup
  readonly #caller: Caller
  readonly #outbox: Outbox
  readonly #onOutcome: (ok: boolean) => void
  readonly #onAbort: (() => void) | undefined
  lane: Lane | undefined
  attempts = 0
  ambiguous = false
  abandoned = false
  inFlight = false

  constructor(
    record: OutgoingRecord,
    bytes: number,
    caller: Caller,
    group: FlushGroup,
    outbox: Outbox,
    onOutcome: (ok: boolean) => void,
  ) {
    this.record = record
    this.bytes = bytes
    this.startedMs = caller.startedMs
    this.group = group
    this.#caller = caller
    this.#outbox = outbox
    this.#onOutcome = onOutcome
    const { signal } = caller
    if (signal === undefined) return
    // V8 puts a function literal that is assigned to a property among the old objects, and its send stays with it.
    const onAbort = (): void => this.giveUp(StreamError.aborted(signal, 'the send'))
    this.#onAbort = onAbort
    caller.aborts.add(signal, onAbort)
  }

  succeed(stored: Stored): void {
    const receipt = receiptOf(this.record.id, stored)
    this.#done(true)
    this.#caller.span?.end(receipt)
    this.#caller.resolve(receipt)
  }

  fail(error: StreamError): void {
    this.#done(false)
    this.#caller.span?.fail(error)
    this.#caller.reject(error)
  }

  giveUp(error: StreamError): void {
    const mayBeStored = this.inFlight || this.ambiguous
    this.#outbox.abandon(this, mayBeStored ? ambiguously(error) : error)
  }

  #done(ok: boolean): void {
    this.#onOutcome(ok)
    const { aborts, signal } = this.#caller
    if (this.#onAbort !== undefined && signal !== undefined) aborts.remove(signal, this.#onAbort)
  }
}

function ambiguously(error: StreamError): StreamError {
  return new StreamError(error.code, `${error.message}; it was on its way and may be stored`, {
    cause: error.cause,
    retryable: error.retryable,
    ambiguous: true,
    details: error.details,
  })
}

function receiptOf(id: string, { partition, position }: Stored): Receipt {
  if (partition !== undefined && position !== undefined) return { id, partition, position }
  return { id, ...(partition === undefined ? {} : { partition }), ...(position === undefined ? {} : { position }) }
}
