import { headers } from '@nats-io/transport-node'
import type { Msg, MsgCallback } from '@nats-io/transport-node'
import type { Connection } from '../src/connection.ts'

/** A server that does what it is told, behind a connection that never breaks. */
export class FakeServer {
  /** What was published: requests and settlements. */
  readonly published: { readonly subject: string; readonly text: string }[] = []
  readonly connection: Connection
  readonly #subscribers = new Set<MsgCallback<Msg>>()
  #sequence = 0

  constructor() {
    const client = {
      subscribe: (_subject: string, { callback }: { callback: MsgCallback<Msg> }) => {
        this.#subscribers.add(callback)
        const unsubscribe = (): boolean => this.#subscribers.delete(callback)
        return { unsubscribe, drain: () => Promise.resolve(unsubscribe()) }
      },
      publish: (subject: string, text: string) => this.published.push({ subject, text }),
      flush: () => Promise.resolve(),
    }
    const rest = { newInbox: () => 'inbox', listen: () => () => undefined, apiPrefix: '$JS.API', up: true }
    this.connection = { client, ...rest, isAtLeast: () => true } as unknown as Connection
  }

  /** How many requests stand. */
  get requests(): number {
    return this.#subscribers.size
  }

  /** Delivers a record to whoever asked; returns the subject that it is acknowledged by. */
  deliver(size = 100): string {
    const sequence = ++this.#sequence
    const reply = `$JS.ACK.S.C.1.${sequence}.${sequence}.1700000000123456789.0`
    this.#answer({ reply, size: () => size, data: new Uint8Array(0) } as unknown as Msg)
    return reply
  }

  /** Says something about the requests that stand, and how many of the records asked for it has not handed out. */
  tell(code: number, description: string, pending?: number): void {
    const said = headers(code, description)
    if (pending !== undefined) said.set('Nats-Pending-Messages', String(pending))
    this.#answer({ reply: '', headers: said } as unknown as Msg)
  }

  #answer(message: Msg): void {
    for (const subscriber of this.#subscribers) void subscriber(null, message)
  }
}
