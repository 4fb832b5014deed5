import type { Msg, Subscription } from '@nats-io/transport-node'
import type { Clock, Timer } from '@sluice/driver'
import { parseDelivery } from './codec.ts'
import type { DeliveryInfo } from './codec.ts'
import type { Connection } from './connection.ts'
import { sizeOf } from './raw-message.ts'

/** What to ask a consumer for. */
export interface PullRequest {
  readonly records: number
  /** Of subject, headers and payload together. `undefined`: no bound. */
  readonly bytes: number | undefined
  /** How long to wait for the first record, in milliseconds. 0: not at all. */
  readonly waitMs: number
  /** Wait one's turn behind the requests of others, for all the records asked for, until the wait is over. */
  readonly patient?: boolean
  /** Has the server look at its requests again, after one was taken back. */
  readonly tidy?: () => Promise<unknown>
}

/**
 * How a request ended. `full`: with all the records, or about all the bytes, asked for. `none-left`: with what there was, maybe
 * nothing. `too-large`: the next record alone is over the bytes asked for. `crowded`: others wait for the same records. `gone`: the
 * consumer or its stream is not there. `broken`: nothing is known, the connection or a leader went away. `cancelled`: by us.
 */
export type PullEnd = 'full' | 'none-left' | 'too-large' | 'crowded' | 'gone' | 'broken' | 'cancelled'

/** How many of the records asked for the server has not handed out. */
const pendingHeader = 'Nats-Pending-Messages'

/** How much longer than asked for an answer may take, in milliseconds. */
const graceMs = 2_000

/**
 * One request to a pull consumer: as much as there is, or else the first record that comes within the wait; or, where it is
 * patient, all that comes within the wait. The server ends it; without a word from the server it ends as `broken`.
 */
export class Pull {
  readonly #end = Promise.withResolvers<PullEnd>()
  readonly #subscription: Subscription
  readonly #timer: Timer
  readonly #unlisten: () => void
  readonly #onDelivery: (message: Msg, info: DeliveryInfo) => void
  readonly #tidy: (() => Promise<unknown>) | undefined
  readonly #records: number
  #left: number
  #bytesLeft: number
  /** How it ended, by the server's word, while records are on their way that were handed out before. */
  #ended: PullEnd | undefined
  #over = false

  constructor(
    connection: Connection,
    clock: Clock,
    consumer: { readonly stream: string; readonly name: string },
    request: PullRequest,
    onDelivery: (message: Msg, info: DeliveryInfo) => void,
  ) {
    this.#onDelivery = onDelivery
    this.#tidy = request.tidy
    this.#records = request.records
    this.#left = request.records
    this.#bytesLeft = request.bytes ?? Infinity
    const inbox = connection.newInbox()
    this.#subscription = connection.client.subscribe(inbox, {
      callback: (error, message) => {
        if (error === null) this.#take(message)
        else this.#finish('broken')
      },
    })
    this.#unlisten = connection.listen({
      disconnected: () => this.#finish('broken'),
      ended: () => this.#finish('broken'),
    })
    this.#timer = clock.after(request.waitMs + graceMs, () => this.#finish('broken'))
    const subject = `${connection.apiPrefix}.CONSUMER.MSG.NEXT.${consumer.stream}.${consumer.name}`
    connection.client.publish(subject, JSON.stringify(toWire(request)), { reply: inbox })
  }

  /** Resolves when the server or {@link cancel} ended it. Every record was given to `onDelivery` before. */
  get end(): Promise<PullEnd> {
    return this.#end.promise
  }

  /** How many records it may still bring. */
  get left(): number {
    return this.#over ? 0 : this.#left
  }

  /** How many bytes of records it may still bring. */
  get bytesLeft(): number {
    return this.#over ? 0 : this.#bytesLeft
  }

  /**
   * Ends it. Records that are on their way are still given to `onDelivery`, and the server sends no more after. What the consumer
   * has delivered into a queue of the server by then comes to nobody: it counts as delivered all the same.
   */
  async cancel(): Promise<void> {
    if (this.#over) return
    this.#stopWatching()
    try {
      await this.#subscription.drain()
      await this.#tidy?.()
    } catch {
      // The connection is gone, and the request with it.
    }
    this.#end.resolve('cancelled')
  }

  #take(message: Msg): void {
    const info = parseDelivery(message.reply)
    if (info === undefined) return this.#onStatus(message)
    this.#onDelivery(message, info)
    this.#left -= 1
    this.#bytesLeft -= sizeOf(message)
    // Of an end at exactly what was asked for the server says nothing.
    if (this.#left === 0 || this.#bytesLeft === 0) this.#finish(this.#ended ?? 'full')
  }

  /**
   * What is no delivery is the server's word on the request. Where a consumer has several copies, a record waits for the other
   * servers before it is delivered, and the word does not: it tells how many records were not handed out, the others still come.
   */
  #onStatus({ headers }: Msg): void {
    const status = headers?.code ?? 0
    if (status <= 100) return
    const pending = headers?.get(pendingHeader) ?? ''
    const owed = pending === '' ? 0 : Math.max(0, this.#left - Number(pending))
    const said = endOf(status, headers?.description ?? '')
    const end = said === 'too-large' && this.#left - owed < this.#records ? 'full' : said
    if (owed === 0) return this.#finish(end)
    this.#ended = end
    this.#left = owed
    this.#bytesLeft = Infinity
  }

  #finish(end: PullEnd): void {
    if (this.#over) return
    this.#stopWatching()
    this.#subscription.unsubscribe()
    this.#end.resolve(end)
  }

  #stopWatching(): void {
    this.#over = true
    this.#timer.cancel()
    this.#unlisten()
  }
}

/** As the server reads it; times in nanoseconds. With `no_wait` and `expires` it waits for the first record only. */
function toWire(request: PullRequest): object {
  return {
    batch: request.records,
    ...(request.patient === true ? {} : { no_wait: true }),
    ...(request.bytes === undefined ? {} : { max_bytes: request.bytes }),
    ...(request.waitMs === 0 ? {} : { expires: request.waitMs * 1_000_000 }),
  }
}

/** By status and description of the server's last word. Source: nats-server, server/consumer.go. */
function endOf(status: number, description: string): PullEnd {
  const text = description.toLowerCase()
  if (status === 404) return 'none-left'
  if (status === 408) return text.includes('requests pending') ? 'crowded' : 'none-left'
  if (status === 409 && text.includes('batch completed')) return 'full'
  if (status === 409 && text.includes('exceeds maxbytes')) return 'too-large'
  if (status === 409 && text.includes('exceeded maxwaiting')) return 'crowded'
  if (status === 409 && text.includes('deleted')) return 'gone'
  return status === 503 ? 'gone' : 'broken'
}
