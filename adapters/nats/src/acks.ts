import { randomBytes } from 'node:crypto'
import { MsgHdrsImpl } from '@nats-io/transport-node'
import type { Msg, NatsConnection, Subscription } from '@nats-io/transport-node'
import { RenewedMap, StreamError } from '@sluice/driver'
import type { Clock } from '@sluice/driver'
import type { Connection } from './connection.ts'
import { DisconnectedError } from './errors.ts'

/** What the stream said to a message. */
export type Answer =
  | {
      readonly kind: 'stored'
      readonly sequence: number
      readonly duplicate: boolean
      /** What was stored together, and how many. */
      readonly batch?: string | undefined
      readonly count?: number | undefined
    }
  /** Nobody takes the subject. */
  | { readonly kind: 'nobody' }
  /** The message was refused, or nothing is known of it. */
  | { readonly kind: 'failed'; readonly error: unknown }

/** A message as it is written. */
export interface Message {
  /** As its header block has it. */
  readonly id: string
  readonly subject: string
  readonly body: Uint8Array
  readonly headerBlock: string
}

/** A message on its way. */
export interface Sent {
  readonly answer: Promise<Answer>
  /** No answer is waited for any more: without one so far, this error is the answer. */
  giveUp(error: unknown): void
}

interface Waiting {
  readonly subject: string
  readonly resolve: (answer: Answer) => void
}

/** The stream's answer, or its refusal. */
interface PubAck {
  readonly stream?: string
  readonly seq?: number
  readonly duplicate?: boolean
  readonly batch?: string
  readonly count?: number
  readonly error?: { readonly code?: number; readonly err_code?: number; readonly description?: string }
}

/** Whether the server stores messages together, all or none, in streams that allow it. */
export function storesTogether(connection: Connection): boolean {
  // 2.12.0 refuses those that have ids.
  return connection.isAtLeast(2, 12, 1)
}

/** What a server stores together at most, by default. */
export const mostTogether = 1_000
/** Bytes that sending together adds to a message, at most. */
export const togetherBytes = 80
/** Bytes that sending a message behind another, of that id, adds to it. */
export function behindBytes(id: string): number {
  return behindLine(id).length
}
/** Enough for the few batches of a stream that are under way at once; it is stored with each of their messages. */
const batchIdBytes = 6
const lineEnd = '\r\n'
/** What a header block begins with. */
const versionLine = `NATS/1.0${lineEnd}`

function behindLine(id: string): string {
  return `Nats-Expected-Last-Msg-Id: ${id}${lineEnd}`
}

/** What ends the header block of a message that is stored together with others. */
function togetherLines(batch: string, sequence: number, last: boolean): string {
  const lines = `Nats-Batch-Id: ${batch}\r\nNats-Batch-Sequence: ${sequence}\r\n`
  return last ? `${lines}Nats-Batch-Commit: 1\r\n\r\n` : `${lines}\r\n`
}

/** Header lines that were written already. */
class WrittenHeaders extends MsgHdrsImpl {
  readonly #block: string

  constructor(block: string) {
    super()
    this.#block = block
  }

  override encode(): Uint8Array {
    return Buffer.from(this.#block, 'latin1')
  }
}

/**
 * Publishes to streams and matches the answers. One subscription and no timer for all messages, which is what makes
 * thousands in flight cheap. Messages of one connection are stored in the order of the calls, those that are stored.
 */
export class Acks {
  readonly #clock: Clock
  readonly #connection: Connection
  readonly #client: NatsConnection
  readonly #inbox: string
  readonly #subscription: Subscription
  readonly #unlisten: () => void
  readonly #waiting = new RenewedMap<string, Waiting>()
  #next = 0
  #heardMs = -Infinity

  constructor(connection: Connection, clock: Clock) {
    this.#clock = clock
    this.#connection = connection
    this.#client = connection.client
    this.#inbox = `${connection.newInbox()}.`
    this.#subscription = this.#client.subscribe(`${this.#inbox}*`, {
      callback: (error, message) => {
        if (error === null) this.#take(message)
        else this.#failAll(() => true, error)
      },
    })
    this.#unlisten = connection.listen({
      disconnected: (error) => this.#failAll(() => true, error),
      refused: (subject, error) => this.#failAll((each) => each.subject === subject, error),
      ended: (error) => this.#failAll(() => true, error),
    })
  }

  /** How many answers are waited for. */
  get waiting(): number {
    return this.#waiting.size
  }

  /** When the last answer came, by the monotonic clock. */
  get heardMs(): number {
    return this.#heardMs
  }

  /** Sends now. Throws what the client refuses at once; what is not connected is a failed answer. */
  send({ subject, body, headerBlock }: Message): Sent {
    return this.#ask(subject, (reply) => this.#publish(subject, body, headerBlock, reply))
  }

  /** As `send`; it is stored only if the message of id `previous` is the last one in the stream. See {@link isOutOfLine}. */
  sendBehind(previous: string, { subject, body, headerBlock }: Message): Sent {
    // Before all that callers can write: the server takes the first place where the name of the header stands.
    const block = `${versionLine}${behindLine(previous)}${headerBlock.slice(versionLine.length)}`
    return this.#ask(subject, (reply) => this.#publish(subject, body, block, reply))
  }

  /**
   * Sends messages, at least one, that are stored together, all or none; the answer tells the sequence of the last one, and those
   * before have those before it. Throws as `send`. Source: ADR-50 of NATS.
   */
  sendTogether(messages: readonly Message[]): Sent {
    const batch = randomBytes(batchIdBytes).toString('base64url')
    const last = messages.length - 1
    const { answer, giveUp } = this.#ask(messages[last]?.subject ?? '', (reply) => {
      for (const [at, { subject, body, headerBlock }] of messages.entries()) {
        const block = `${headerBlock.slice(0, -lineEnd.length)}${togetherLines(batch, at + 1, at === last)}`
        this.#publish(subject, body, block, at === last ? reply : undefined)
      }
    })
    // A server that does not know batches would answer for the last message alone.
    const isWhole = (given: Answer): boolean =>
      given.kind !== 'stored' || (given.batch === batch && given.count === messages.length)
    const checked = async (): Promise<Answer> => {
      const given = await answer
      return isWhole(given) ? given : { kind: 'failed', error: notTogether() }
    }
    return { answer: checked(), giveUp }
  }

  #ask(subject: string, publish: (reply: string) => void): Sent {
    if (!this.#connection.up) {
      return { answer: Promise.resolve({ kind: 'failed', error: this.#connection.absence }), giveUp: noop }
    }
    const token = (this.#next++).toString(36)
    const { promise, resolve } = Promise.withResolvers<Answer>()
    this.#waiting.set(token, { subject, resolve })
    try {
      publish(this.#inbox + token)
    } catch (error) {
      this.#waiting.delete(token)
      throw error
    }
    const giveUp = (error: unknown): void => {
      if (this.#waiting.delete(token)) resolve({ kind: 'failed', error })
    }
    return { answer: promise, giveUp }
  }

  #publish(subject: string, body: Uint8Array, headerBlock: string, reply: string | undefined): void {
    const headers = new WrittenHeaders(headerBlock)
    this.#client.publish(subject, body, reply === undefined ? { headers } : { reply, headers })
  }

  /** Nothing more is sent; what waits for an answer fails. */
  close(): void {
    this.#unlisten()
    this.#subscription.unsubscribe()
    this.#failAll(() => true, new DisconnectedError())
  }

  #take(message: Msg): void {
    this.#heardMs = this.#clock.monotonic()
    const token = message.subject.slice(this.#inbox.length)
    const waiting = this.#waiting.get(token)
    if (waiting === undefined) return
    this.#waiting.delete(token)
    waiting.resolve(toAnswer(message))
  }

  #failAll(which: (waiting: Waiting) => boolean, error: unknown): void {
    for (const token of this.#waiting.keys()) {
      const waiting = this.#waiting.get(token)
      if (waiting === undefined || !which(waiting)) continue
      this.#waiting.delete(token)
      waiting.resolve({ kind: 'failed', error })
    }
  }
}

/** Whether it is certain that nothing was stored: the stream said so, nobody takes the subject, or it is forbidden. */
export function isRefusal(answer: Answer): boolean {
  if (answer.kind !== 'failed') return answer.kind === 'nobody'
  const { error } = answer
  return error instanceof RefusedError || (error instanceof Error && error.name === 'PermissionViolationError')
}

/** Whether a message was not stored because the one before it was not the last in the stream. */
export function isOutOfLine(answer: Answer): boolean {
  return answer.kind === 'failed' && answer.error instanceof RefusedError && answer.error.code === wrongLastMessageId
}

const wrongLastMessageId = 10_070

/** A refusal of the stream, in the shape that errors of the client's API have. */
export class RefusedError extends Error {
  override readonly name = 'JetStreamApiError'
  readonly code: number | undefined
  readonly status: number | undefined

  constructor(error: NonNullable<PubAck['error']>) {
    super(error.description ?? 'refused')
    this.code = error.err_code
    this.status = error.code
  }
}

function toAnswer(message: Msg): Answer {
  if (message.data.length === 0 && message.headers?.code === 503) return { kind: 'nobody' }
  try {
    const ack = JSON.parse(message.string()) as PubAck
    if (ack.error !== undefined) return { kind: 'failed', error: new RefusedError(ack.error) }
    if (typeof ack.seq !== 'number') throw new Error('the answer has no sequence')
    const { batch, count } = ack
    return { kind: 'stored', sequence: ack.seq, duplicate: ack.duplicate === true, batch, count }
  } catch (error) {
    return { kind: 'failed', error }
  }
}

function notTogether(): StreamError {
  const message =
    'the server did not store together what it was told to; is it older than the one that made the stream?'
  return new StreamError('internal', message, { ambiguous: true })
}

function noop(): void {
  // Nothing waits for it.
}
