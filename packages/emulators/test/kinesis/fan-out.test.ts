import { setTimeout as wait } from 'node:timers/promises'
import { NodeHttp2Handler, NodeHttpHandler } from '@smithy/node-http-handler'
import { eventually, ManualClock } from '@sluice/driver/testing'
import { describe, expect, it } from 'vitest'
import type { KinesisServer, KinesisServerOptions } from '../../src/index.ts'
import { asker, bytes, client, refusal, shard, start } from './fixtures.ts'
import type { Answer, Ask } from './fixtures.ts'

interface Bench {
  readonly server: KinesisServer
  readonly ask: Ask
  readonly arn: string
  put(...keys: string[]): Promise<unknown>
  subscribe(position?: object): Promise<AsyncIterable<Answer>>
}

async function bench(options: KinesisServerOptions = {}, config: Parameters<typeof client>[1] = {}): Promise<Bench> {
  const server = await start(options)
  const ask = asker(client(server, config))
  await ask('CreateStream', { StreamName: 's', ShardCount: 1 })
  const StreamARN = 'arn:aws:kinesis:eu-west-1:000000000000:stream/s'
  await ask('RegisterStreamConsumer', { StreamARN, ConsumerName: 'c' })
  const { ConsumerDescription } = await ask('DescribeStreamConsumer', { StreamARN, ConsumerName: 'c' })
  const arn: string = ConsumerDescription.ConsumerARN
  return {
    server,
    ask,
    arn,
    put: (...keys) =>
      ask('PutRecords', { StreamName: 's', Records: keys.map((key) => ({ Data: bytes(key), PartitionKey: 'k' })) }),
    subscribe: async (position = { Type: 'TRIM_HORIZON' }) => {
      const input = { ConsumerARN: arn, ShardId: shard(0), StartingPosition: position }
      return (await ask('SubscribeToShard', input)).EventStream
    },
  }
}

/** Texts of records until there are so many, and the last event. */
async function take(
  events: AsyncIterable<Answer>,
  count: number,
  texts: string[] = [],
): Promise<{ texts: string[]; last: Answer }> {
  let last: Answer
  for await (const { SubscribeToShardEvent: event } of events) {
    last = event
    for (const { Data } of event.Records) texts.push(Buffer.from(Data).toString())
    if (texts.length >= count) break
  }
  return { texts, last }
}

describe('a subscription', () => {
  it('gives what is there, then what comes, and where to go on', async () => {
    const { put, subscribe } = await bench({ subscriptionMs: 60_000 })
    await put('a', 'b')
    const events = await subscribe()
    const first = await take(events, 2)
    expect(first.texts).toEqual(['a', 'b'])
    expect(first.last).toMatchObject({ MillisBehindLatest: 0 })
    expect(first.last.ContinuationSequenceNumber).toBe(first.last.Records[1].SequenceNumber)
  })

  it('goes on after the number where another ended, without a gap and without a repeat', async () => {
    const clock = new ManualClock()
    const { put, subscribe } = await bench({ clock })
    await put('a', 'b')
    const { last } = await take(await subscribe(), 2)
    await put('c')
    await clock.advance(5_000)
    const after = { Type: 'AFTER_SEQUENCE_NUMBER', SequenceNumber: last.ContinuationSequenceNumber }
    expect((await take(await subscribe(after), 1)).texts).toEqual(['c'])
  })

  it('ends after five minutes', async () => {
    const clock = new ManualClock()
    const { subscribe } = await bench({ clock })
    const events = await subscribe()
    let ended = false
    const reading = (async () => {
      for await (const _ of events) void _
      ended = true
    })()
    await wait(50)
    await clock.advance(299_000)
    expect(ended).toBe(false)
    await clock.advance(1_000)
    await reading
  })

  it('is refused within five seconds of another, and takes its place after that', async () => {
    const clock = new ManualClock()
    const { subscribe } = await bench({ clock })
    const first = await subscribe()
    const reading = take(first, 1)
    reading.catch(() => undefined)
    await clock.advance(4_999)
    expect((await refusal(subscribe())).name).toBe('ResourceInUseException')
    await clock.advance(1)
    await subscribe({ Type: 'LATEST' })
    await clock.advance(1)
    expect((await refusal(reading)).name).toBe('ResourceInUseException')
  })

  it('ends with its shard, and names the children', async () => {
    const { ask, put, subscribe } = await bench()
    await put('a')
    const events = await subscribe()
    const reading = take(events, Infinity)
    await ask('SplitShard', { StreamName: 's', ShardToSplit: shard(0), NewStartingHashKey: String(2n ** 127n) })
    const { texts, last } = await reading
    expect(texts).toEqual(['a'])
    expect(last.ChildShards.map(({ ShardId }: Answer) => ShardId)).toEqual([shard(1), shard(2)])
    expect(last.ContinuationSequenceNumber).toBeUndefined()
  })

  it('ends when its consumer is taken away', async () => {
    const { ask, arn, subscribe } = await bench()
    const reading = take(await subscribe(), 1)
    reading.catch(() => undefined)
    await ask('DeregisterStreamConsumer', { ConsumerARN: arn })
    expect((await refusal(reading)).name).toBe('ResourceNotFoundException')
  })

  it('is lost where that is wanted, once it is made', async () => {
    const { server, subscribe } = await bench()
    server.faults.add({ kind: 'lose-response', call: 'SubscribeToShard', times: 1 })
    expect((await refusal(subscribe())).status).toBeUndefined()
    expect((await refusal(subscribe())).name).toBe('ResourceInUseException')
  })

  it.each([
    ['HTTP/1.1', new NodeHttpHandler()],
    ['HTTP/2', new NodeHttp2Handler({ disableConcurrentStreams: true })],
  ])('is cut behind its first event over %s', async (_version, requestHandler) => {
    const { server, put, subscribe } = await bench({ resubscribeMs: 1 }, { requestHandler })
    await put('a')
    server.faults.add({ kind: 'cut-response', call: 'SubscribeToShard', times: 1 })
    const texts: string[] = []
    const reading = take(await subscribe(), Infinity, texts).catch(() => undefined)
    await put('b')
    await put('c')
    await reading
    expect(texts).toEqual(['a'])
    await wait(5)
    expect((await take(await subscribe(), 3)).texts).toEqual(['a', 'b', 'c'])
  })

  it('is cut within an event, also while it runs', async () => {
    const { server, put, subscribe } = await bench({ resubscribeMs: 1 })
    await put('a')
    const texts: string[] = []
    const reading = take(await subscribe(), Infinity, texts).catch(() => undefined)
    await eventually(() => expect(texts).toEqual(['a']))
    server.faults.add({ kind: 'cut-response', call: 'SubscribeToShard', bytes: 40 })
    await put('b')
    await reading
    expect(texts).toEqual(['a'])
  })

  it('has 2 MiB a second of a shard, whatever others read', async () => {
    const clock = new ManualClock()
    const { ask, put, subscribe } = await bench({ clock, quotas: true })
    for (let second = 0; second < 6; second++) {
      await ask('PutRecord', { StreamName: 's', Data: Buffer.alloc(1024 * 1024 - 1), PartitionKey: 'k' })
      await clock.advance(1_000)
    }
    await put('end')
    let records = 0
    const reading = (async () => {
      for await (const { SubscribeToShardEvent: event } of await subscribe()) {
        records += event.Records.length
        if (records === 7) break
      }
    })()
    // A second's worth is given at once; the other four take two seconds, but for what may be overdrawn.
    let passedMs = 0
    await eventually(async () => {
      await clock.advance(50)
      passedMs += 50
      expect(records).toBe(7)
    })
    expect(passedMs).toBeGreaterThan(1_400)
    await reading
  })
})
