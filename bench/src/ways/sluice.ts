import { connect } from '@sluice/core'
import type { Cloud, Topic } from '@sluice/core'
import type { Cell, Item, Value } from '../cell.ts'
import { pump } from './way.ts'
import type { Way } from './way.ts'

/** The whole SDK: retries, receipts, groups, checks. */
export class SluiceWay implements Way {
  readonly #cloud: Cloud
  readonly #order: 'key' | 'none'
  #topic: Topic<Value>

  private constructor(cloud: Cloud, order: 'key' | 'none') {
    this.#cloud = cloud
    this.#order = order
    this.#topic = cloud.topic('bench') as Topic<Value>
  }

  static async open(address: string, cell: Cell): Promise<SluiceWay> {
    const way = new SluiceWay(await connect(address, { create: true }), cell.keys === 0 ? 'none' : 'key')
    await way.#use('bench')
    return way
  }

  async warmUp(items: readonly Item[], window: number): Promise<void> {
    await this.#use('warm-up')
    await this.sendAll((index) => items[index] as Item, items.length, window)
    await this.consume('bench', items.length, () => undefined)
    await this.#cloud.admin.deleteTopic('warm-up')
    await this.#use('bench')
  }

  async sendAll(itemAt: (index: number) => Item, records: number, window: number): Promise<void> {
    const producer = this.#topic.producer()
    await pump(records, window, (index) => producer.send(messageOf(itemAt(index))))
    await producer.close()
  }

  async send(item: Item): Promise<void> {
    await this.#topic.send(messageOf(item))
  }

  async consume(group: string, records: number, handler: (item: Item) => void): Promise<void> {
    const consumer = this.#topic.consumer({ group })
    let seen = 0
    await consumer.run((message) => {
      handler({ key: message.key, value: message.value })
      if (++seen === records) void consumer.close()
    })
  }

  follow(handler: (item: Item) => void): Promise<() => Promise<void>> {
    const consumer = this.#topic.consumer({ group: 'follow', start: 'latest' })
    const running = consumer.run((message) => handler({ key: message.key, value: message.value }))
    return Promise.resolve(async () => {
      await consumer.close()
      await running
    })
  }

  async close(): Promise<void> {
    await this.#cloud.admin.deleteTopic('bench')
    await this.#cloud.close()
  }

  async #use(name: string): Promise<void> {
    const shape = this.#order === 'key' ? { partitions: 4 } : { order: this.#order }
    this.#topic = this.#cloud.topic(name, shape) as Topic<Value>
    await this.#topic.limits()
  }
}

function messageOf({ key, value }: Item): { readonly key?: string; readonly value: Value } {
  return key === undefined ? { value } : { key, value }
}
