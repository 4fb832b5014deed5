import { createRequire } from 'node:module'
import { Agent } from 'node:http'
import { join } from 'node:path'
import type { EventEmitter } from 'node:events'
import type { Item } from '../cell.ts'
import { lifionFolder } from '../lifion-folder.ts'
import { credentials, endpointsOf, KinesisWay, region } from './kinesis.ts'

/** What is used of a consumer of `lifion-kinesis`, which brings no types. */
interface LifionConsumer extends EventEmitter {
  startConsumer(): Promise<void>
  stopConsumer(): void
}

type Lifion = new (options: Readonly<Record<string, unknown>>) => LifionConsumer

/** Records that one call asks for, and behind which a place is kept, as by hand. */
const mostRecords = 1_000

/** `lifion-kinesis` as a consumer, of what is sent by hand: leases and places in DynamoDB, polling without pauses. */
export class LifionWay extends KinesisWay {
  readonly #address: string

  private constructor(address: string) {
    super(endpointsOf(address))
    this.#address = address
  }

  static override async open(address: string): Promise<LifionWay> {
    const way = new LifionWay(address)
    await way.prepare()
    return way
  }

  override async consume(group: string, records: number, handler: (item: Item) => void): Promise<void> {
    let seen = 0
    const { promise: all, resolve } = Promise.withResolvers<void>()
    const stop = await this.#run(group, 'TRIM_HORIZON', (item) => {
      handler(item)
      if (++seen === records) resolve()
    })
    await all
    await stop()
  }

  override follow(handler: (item: Item) => void): Promise<() => Promise<void>> {
    return this.#run('follow', 'LATEST', handler)
  }

  async #run(group: string, start: string, handler: (item: Item) => void): Promise<() => Promise<void>> {
    const { kinesis, dynamo } = endpointsOf(this.#address)
    const Consumer = createRequire(join(lifionFolder, 'package.json'))('lifion-kinesis') as Lifion
    const common = { region, credentials, httpOptions: { agent: new Agent({ keepAlive: true, maxSockets: 128 }) } }
    const consumer = new Consumer({
      ...common,
      endpoint: kinesis,
      dynamoDb: { ...common, endpoint: dynamo, tableName: 'lifion' },
      streamName: this.stream,
      consumerGroup: group,
      createStreamIfNeeded: false,
      initialPositionInStream: start,
      limit: mostRecords,
      pollDelay: 0,
      shouldParseJson: true,
    })
    consumer.on('data', ({ records }: { readonly records: readonly LifionRecord[] }) => {
      for (const { partitionKey, data } of records) handler({ key: partitionKey, value: data.value })
    })
    await consumer.startConsumer()
    return () => {
      consumer.stopConsumer()
      return Promise.resolve()
    }
  }
}

interface LifionRecord {
  readonly partitionKey: string
  readonly data: { readonly value: Item['value'] }
}
