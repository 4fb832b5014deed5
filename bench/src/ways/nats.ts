import { randomUUID } from 'node:crypto'
import { AckPolicy, DeliverPolicy, jetstream, jetstreamManager } from '@nats-io/jetstream'
import type { ConsumerMessages, JetStreamClient, JetStreamManager, JsMsg } from '@nats-io/jetstream'
import { Kvm } from '@nats-io/kv'
import type { KV } from '@nats-io/kv'
import { connect, headers } from '@nats-io/transport-node'
import type { NatsConnection } from '@nats-io/transport-node'
import { partitionForKey } from '@sluice/driver'
import type { Cell, Item } from '../cell.ts'
import { pump } from './way.ts'
import type { Way } from './way.ts'

const partitions = 4
/** How many records a place is kept after, as Sluice does by time. */
const commitEvery = 1_000
/** What is read ahead, at most: behind more than this, the put of a place times out. */
const readAhead = { records: 1_000, bytes: 16 * 1024 * 1024 }

/**
 * The client by hand: `publish` with ids and keys on the subject of the key's partition; an ordered consumer whose place is
 * kept in a bucket, or, where there is no order, a durable consumer whose acknowledgements are confirmed. With `inOrder`
 * one record of each key is in flight at a time, which is how a program keeps the order of a key.
 */
export class NatsWay implements Way {
  readonly #client: NatsConnection
  readonly #js: JetStreamClient
  readonly #manager: JetStreamManager
  readonly #places: KV
  readonly #queue: boolean
  readonly #inOrder: boolean
  readonly #readAhead: number
  #stream = 'by-hand'

  private constructor(client: NatsConnection, manager: JetStreamManager, places: KV, cell: Cell, inOrder: boolean) {
    this.#client = client
    this.#js = jetstream(client)
    this.#manager = manager
    this.#places = places
    this.#queue = cell.keys === 0
    this.#inOrder = inOrder
    this.#readAhead = Math.min(readAhead.records, Math.floor(readAhead.bytes / cell.bytes))
  }

  static async open(address: string, cell: Cell, inOrder: boolean): Promise<NatsWay> {
    const client = await connect({ servers: address.slice('nats://'.length) })
    const manager = await jetstreamManager(client)
    const way = new NatsWay(client, manager, await new Kvm(client).create('by-hand'), cell, inOrder)
    await way.#createStream()
    return way
  }

  async warmUp(items: readonly Item[], window: number): Promise<void> {
    this.#stream = 'warm-up'
    await this.#createStream()
    await this.sendAll((index) => items[index] as Item, items.length, window)
    await this.consume('bench', items.length, () => undefined)
    await this.#manager.streams.delete('warm-up')
    this.#stream = 'by-hand'
  }

  async sendAll(itemAt: (index: number) => Item, records: number, window: number): Promise<void> {
    const last = new Map<string, Promise<void>>()
    await pump(records, window, (index) => {
      const item = itemAt(index)
      if (!this.#inOrder || item.key === undefined) return this.send(item)
      const before = last.get(item.key) ?? Promise.resolve()
      const sent = before.then(() => this.send(item))
      last.set(item.key, sent)
      return sent
    })
  }

  async send({ key, value }: Item): Promise<void> {
    const lines = headers()
    if (key !== undefined) lines.set('key', key)
    const partition = this.#queue ? 0 : partitionForKey(key ?? value.id, partitions)
    const options = { msgID: randomUUID(), headers: lines, timeout: 30_000 }
    await this.#js.publish(`${this.#stream}.${partition}`, JSON.stringify(value), options)
  }

  async consume(group: string, records: number, handler: (item: Item) => void): Promise<void> {
    let seen = 0
    const { promise: all, resolve } = Promise.withResolvers<void>()
    const end = await this.#run(group, DeliverPolicy.All, (item) => {
      handler(item)
      if (++seen === records) resolve()
    })
    await all
    await end()
  }

  follow(handler: (item: Item) => void): Promise<() => Promise<void>> {
    return this.#run('follow', DeliverPolicy.New, handler)
  }

  async close(): Promise<void> {
    await this.#manager.streams.delete('by-hand')
    await this.#client.close()
  }

  async #createStream(): Promise<void> {
    await this.#manager.streams.add({ name: this.#stream, subjects: [`${this.#stream}.*`], duplicate_window: 120e9 })
  }

  async #run(group: string, policy: DeliverPolicy, handler: (item: Item) => void): Promise<() => Promise<void>> {
    let sequence = 0
    let since = 0
    const settling = new Set<Promise<unknown>>()
    const settle = (message: JsMsg): void => {
      sequence = message.seq
      if (this.#queue) track(settling, message.ackAck())
      else if (++since >= commitEvery) {
        since = 0
        track(settling, this.#places.put(`${this.#stream}.${group}`, String(sequence)))
      }
    }
    const messages = await this.#messages(group, policy)
    const reading = (async () => {
      for await (const message of messages) {
        const key = message.headers?.get('key')
        handler({ key: key === '' ? undefined : key, value: message.json<Item['value']>() })
        settle(message)
      }
    })()
    return async () => {
      await Promise.all(settling)
      if (!this.#queue) await this.#places.put(`${this.#stream}.${group}`, String(sequence))
      await messages.close()
      await reading
    }
  }

  async #messages(group: string, policy: DeliverPolicy): Promise<ConsumerMessages> {
    if (!this.#queue) {
      const consumer = await this.#js.consumers.get(this.#stream, { deliver_policy: policy })
      return consumer.consume({ max_messages: this.#readAhead })
    }
    await this.#manager.consumers.add(this.#stream, {
      durable_name: group,
      ack_policy: AckPolicy.Explicit,
      deliver_policy: policy,
      max_ack_pending: 10_000,
    })
    const consumer = await this.#js.consumers.get(this.#stream, group)
    return consumer.consume({ max_messages: this.#readAhead })
  }
}

function track(all: Set<Promise<unknown>>, one: Promise<unknown>): void {
  const gone = one.finally(() => all.delete(gone))
  all.add(gone)
}
