import { MsgHdrsImpl } from '@nats-io/transport-node'
import type { Msg, NatsConnection, Subscription } from '@nats-io/transport-node'
import type { Connection } from './connection.ts'
import { DisconnectedError } from './errors.ts'

/** What the stream said to a message. */
export type Answer =
  | { readonly kind: 'stored'; readonly sequence: number; readonly duplicate: boolean }
  /** Nobody takes the subject. */
  | { readonly kind: 'nobody' }
  /** The message was refused, or nothing is known of it. */
  | { readonly kind: 'failed'; readonly error: unknown }

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
  readonly error?: { readonly code?: number; readonly err_code?: number; readonly description?: string }
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
  readonly #connection: Connection
  readonly #client: NatsConnection
  readonly #inbox: string
  readonly #subscription: Subscription
  readonly #unlisten: () => void
  readonly #waiting = new Map<string, Waiting>()
  #next = 0

  constructor(connection: Connection) {
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

  /** Sends now. Throws what the client refuses at once; what is not connected is a failed answer. */
  send(subject: string, body: Uint8Array, headerBlock: string): Sent {
    if (!this.#connection.up) {
      return { answer: Promise.resolve({ kind: 'failed', error: this.#connection.absence }), giveUp: noop }
    }
    const token = (this.#next++).toString(36)
    const { promise, resolve } = Promise.withResolvers<Answer>()
    this.#waiting.set(token, { subject, resolve })
    try {
      this.#client.publish(subject, body, { reply: this.#inbox + token, headers: new WrittenHeaders(headerBlock) })
    } catch (error) {
      this.#waiting.delete(token)
      throw error
    }
    const giveUp = (error: unknown): void => {
      if (this.#waiting.delete(token)) resolve({ kind: 'failed', error })
    }
    return { answer: promise, giveUp }
  }

  /** Nothing more is sent; what waits for an answer fails. */
  close(): void {
    this.#unlisten()
    this.#subscription.unsubscribe()
    this.#failAll(() => true, new DisconnectedError())
  }

  #take(message: Msg): void {
    const token = message.subject.slice(this.#inbox.length)
    const waiting = this.#waiting.get(token)
    if (waiting === undefined) return
    this.#waiting.delete(token)
    waiting.resolve(toAnswer(message))
  }

  #failAll(which: (waiting: Waiting) => boolean, error: unknown): void {
    for (const [token, waiting] of this.#waiting) {
      if (!which(waiting)) continue
      this.#waiting.delete(token)
      waiting.resolve({ kind: 'failed', error })
    }
  }
}

/** A refusal of the stream, in the shape that errors of the client's API have. */
class RefusedError extends Error {
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
    return { kind: 'stored', sequence: ack.seq, duplicate: ack.duplicate === true }
  } catch (error) {
    return { kind: 'failed', error }
  }
}

function noop(): void {
  // Nothing waits for it.
}
