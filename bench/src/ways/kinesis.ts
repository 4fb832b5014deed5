import { randomUUID } from 'node:crypto'
import { Agent } from 'node:http'
import { CreateTableCommand, DynamoDBClient, PutItemCommand } from '@aws-sdk/client-dynamodb'
import {
  CreateStreamCommand,
  DeleteStreamCommand,
  GetRecordsCommand,
  GetShardIteratorCommand,
  KinesisClient,
  PutRecordsCommand,
} from '@aws-sdk/client-kinesis'
import type { ShardIteratorType } from '@aws-sdk/client-kinesis'
import { NodeHttpHandler } from '@smithy/node-http-handler'
import type { Item } from '../cell.ts'
import { pump } from './way.ts'
import type { Way } from './way.ts'

const shards = ['0', '1', '2', '3'].map((shard) => `shardId-${shard.padStart(12, '0')}`)
/** As Sluice has them. */
const requestsInFlight = 4
/** What one request takes. */
const mostRecords = { put: 500, got: 1_000 }
/** Before what was refused is sent again. */
const pauseMs = 100
const table = 'by-hand'

/** Where both services are, and who asks; by the address that Sluice is given. */
export interface Endpoints {
  readonly kinesis: string
  readonly dynamo: string
}

/** Reads the address that Sluice is given. */
export function endpointsOf(address: string): Endpoints {
  const options = new URL(address).searchParams
  return { kinesis: options.get('endpoint') ?? '', dynamo: options.get('dynamoEndpoint') ?? '' }
}

export const region = 'eu-west-1'
export const credentials = { accessKeyId: 'key', secretAccessKey: 'secret' }

/**
 * The AWS SDK by hand, over connections as Sluice has them: PutRecords of 500 records, each a JSON with an id and the value;
 * GetRecords of 1 000 from all shards at once, and the place in a shard put into a table after each answer. It sends records of
 * one key without waiting for one another, and those that are refused once more after a pause. With `inOrder` one record of each
 * key is under way at a time, which is how a program keeps the order of a key where any record of a request may be refused.
 */
export class KinesisWay implements Way {
  readonly #kinesis: KinesisClient
  readonly #dynamo: DynamoDBClient
  readonly #inOrder: boolean
  #waiting: { readonly item: Item; readonly settle: (stored: Promise<void>) => void }[] = []
  #requests = 0
  protected stream = 'by-hand'

  protected constructor({ kinesis, dynamo }: Endpoints, inOrder = false) {
    this.#inOrder = inOrder
    const requestHandler = new NodeHttpHandler({
      connectionTimeout: 3_000,
      requestTimeout: 10_000,
      httpAgent: new Agent({ keepAlive: true, maxSockets: 128 }),
    })
    const common = { region, credentials, requestHandler, maxAttempts: 1 }
    this.#kinesis = new KinesisClient({ ...common, endpoint: kinesis })
    this.#dynamo = new DynamoDBClient({ ...common, endpoint: dynamo })
  }

  static async open(address: string, inOrder: boolean = false): Promise<KinesisWay> {
    const way = new KinesisWay(endpointsOf(address), inOrder)
    await way.prepare()
    return way
  }

  /** Makes what is not there. */
  protected async prepare(): Promise<void> {
    await this.#createStream()
    try {
      await this.#dynamo.send(
        new CreateTableCommand({
          TableName: table,
          AttributeDefinitions: [{ AttributeName: 'place', AttributeType: 'S' }],
          KeySchema: [{ AttributeName: 'place', KeyType: 'HASH' }],
          BillingMode: 'PAY_PER_REQUEST',
        }),
      )
    } catch (error) {
      // The round before has made it.
      if (!(error instanceof Error) || error.name !== 'ResourceInUseException') throw error
    }
  }

  async warmUp(items: readonly Item[], window: number): Promise<void> {
    this.stream = 'warm-up'
    await this.#createStream()
    await this.sendAll((index) => items[index] as Item, items.length, window)
    await this.consume('bench', items.length, () => undefined)
    await this.#deleteStream()
    this.stream = 'by-hand'
  }

  async sendAll(itemAt: (index: number) => Item, records: number, window: number): Promise<void> {
    if (this.#inOrder) return this.#sendInOrder(itemAt, records, window)
    const batch = Math.min(mostRecords.put, Math.ceil(window / requestsInFlight))
    let next = 0
    const send = async (): Promise<void> => {
      while (next < records) {
        const from = next
        next = Math.min(records, from + batch)
        await this.#put(Array.from({ length: next - from }, (_, index) => itemAt(from + index)))
      }
    }
    await Promise.all(Array.from({ length: requestsInFlight }, send))
  }

  send(item: Item): Promise<void> {
    return this.#put([item])
  }

  async #sendInOrder(itemAt: (index: number) => Item, records: number, window: number): Promise<void> {
    const last = new Map<string, Promise<void>>()
    await pump(records, window, (index) => {
      const item = itemAt(index)
      const before = last.get(item.key ?? '') ?? Promise.resolve()
      const sent = before.then(() => new Promise<void>((settle) => this.#await({ item, settle })))
      last.set(item.key ?? '', sent)
      return sent
    })
  }

  /** Sends what waits by the end of this turn. */
  #await(one: { readonly item: Item; readonly settle: (stored: Promise<void>) => void }): void {
    this.#waiting.push(one)
    if (this.#waiting.length === 1) setImmediate(() => this.#putWaiting())
  }

  #putWaiting(): void {
    while (this.#requests < requestsInFlight && this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, mostRecords.put)
      this.#requests++
      const stored = this.#put(batch.map(({ item }) => item)).finally(() => {
        this.#requests--
        this.#putWaiting()
      })
      for (const { settle } of batch) settle(stored)
    }
  }

  async consume(group: string, records: number, handler: (item: Item) => void): Promise<void> {
    let seen = 0
    const count = (item: Item): void => {
      seen++
      handler(item)
    }
    await Promise.all(shards.map((shard) => this.#read(shard, 'TRIM_HORIZON', group, count, () => false)))
    if (seen !== records) throw new Error(`by hand: ${seen} of ${records} records came back`)
  }

  follow(handler: (item: Item) => void): Promise<() => Promise<void>> {
    let ended = false
    const reading = shards.map((shard) => this.#read(shard, 'LATEST', 'follow', handler, () => !ended))
    return Promise.resolve(async () => {
      ended = true
      await Promise.all(reading)
    })
  }

  async close(): Promise<void> {
    await this.#deleteStream()
    this.#kinesis.destroy()
    this.#dynamo.destroy()
  }

  async #createStream(): Promise<void> {
    await this.#kinesis.send(new CreateStreamCommand({ StreamName: this.stream, ShardCount: shards.length }))
  }

  async #deleteStream(): Promise<void> {
    await this.#kinesis.send(new DeleteStreamCommand({ StreamName: this.stream }))
  }

  async #put(items: readonly Item[]): Promise<void> {
    let entries = items.map(({ key, value }) => ({
      PartitionKey: key ?? randomUUID(),
      Data: Buffer.from(JSON.stringify({ id: randomUUID(), value })),
    }))
    for (;;) {
      const input = { StreamName: this.stream, Records: entries }
      const { FailedRecordCount, Records } = await this.#kinesis.send(new PutRecordsCommand(input))
      if (FailedRecordCount === 0) return
      entries = entries.filter((_, index) => Records?.[index]?.ErrorCode !== undefined)
      await new Promise((resolve) => setTimeout(resolve, pauseMs))
    }
  }

  /** Reads a shard to where nothing more is left, and on from there while `goOn`. */
  async #read(
    ShardId: string,
    ShardIteratorType: ShardIteratorType,
    group: string,
    handler: (item: Item) => void,
    goOn: () => boolean,
  ): Promise<void> {
    const first = { StreamName: this.stream, ShardId, ShardIteratorType }
    let { ShardIterator } = await this.#kinesis.send(new GetShardIteratorCommand(first))
    for (let behind = true; behind || goOn();) {
      const answer = await this.#kinesis.send(new GetRecordsCommand({ ShardIterator, Limit: mostRecords.got }))
      const { Records = [], MillisBehindLatest, NextShardIterator } = answer
      for (const { Data, PartitionKey } of Records) {
        const { value } = JSON.parse(textOf(Data)) as { readonly value: Item['value'] }
        handler({ key: PartitionKey, value })
      }
      const last = Records.at(-1)?.SequenceNumber
      if (last !== undefined) await this.#keep(`${this.stream}/${group}/${ShardId}`, last)
      behind = MillisBehindLatest !== 0
      ShardIterator = NextShardIterator
    }
  }

  async #keep(place: string, sequence: string): Promise<void> {
    const Item = { place: { S: place }, sequence: { S: sequence } }
    await this.#dynamo.send(new PutItemCommand({ TableName: table, Item }))
  }
}

function textOf(bytes: Uint8Array = new Uint8Array(0)): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString()
}
