import { DescribeStreamCommand, DeregisterStreamConsumerCommand } from '@aws-sdk/client-kinesis'
import type { KinesisClient } from '@aws-sdk/client-kinesis'
import { TcpProxy } from '@sluice/conformance'
import type { Cloud } from '@sluice/core'
import { eventually } from '@sluice/driver/testing'
import { describe, expect, it, onTestFinished } from 'vitest'
import { backend, failure, forward, open, stubService, texts } from './fixtures.ts'
import type { Backend } from './fixtures.ts'

/** Reads a topic with a group until the test ends. */
function follow(cloud: Cloud): { readonly seen: string[]; readonly ended: unknown[] } {
  const [seen, ended]: [string[], unknown[]] = [[], []]
  const consumer = texts(cloud, 't').consumer({ group: 'g', commitIntervalMs: 10, deadLetter: false })
  const running = consumer.run((message) => void seen.push(message.value)).catch((error: unknown) => ended.push(error))
  onTestFinished(async () => {
    await consumer.close()
    await running
  })
  return { seen, ended }
}

/** What comes through something that spoils one of the answers to GetRecords: a record before, and one after. */
async function readThrough(
  { kinesis, url }: Backend,
  endpoint: string,
  more: string,
  spoilt: () => boolean,
): Promise<readonly string[]> {
  const writer = await open(url())
  await writer.admin.createTopic('t', { partitions: 1 })
  const { seen, ended } = follow(await open(url(more).replace(kinesis.url, endpoint)))
  await texts(writer, 't').send({ key: 'k', value: 'before' })
  await eventually(() => expect(spoilt()).toBe(true))
  await texts(writer, 't').send({ key: 'k', value: 'after' })
  await eventually(() => expect(seen).toContain('after'))
  expect(ended).toEqual([])
  return seen
}

describe('an answer to GetRecords', () => {
  it.each(['', '{}', '{"Records":[],"MillisBehindLatest":0}'])(
    'that is "%s" is not the end of a shard',
    async (body) => {
      const servers = await backend()
      let calls = 0
      const endpoint = await stubService((call, request, response, sent) => {
        if (call === 'GetRecords' && ++calls === 3) response.end(body)
        else forward(servers.kinesis.url, request, response, sent)
      })
      expect(await readThrough(servers, endpoint, '', () => calls > 3)).toEqual(['before', 'after'])
    },
  )

  it('that is cut off behind its headers over HTTP/2 is asked for again', async () => {
    const { kinesis, url } = await backend()
    const writer = await open(url())
    await writer.admin.createTopic('t', { partitions: 1 })
    const { seen, ended } = follow(await open(url('&http1=false')))
    await texts(writer, 't').send({ key: 'k', value: 'before' })
    await eventually(() => expect(seen).toEqual(['before']))
    kinesis.faults.add({ kind: 'cut-response', call: 'GetRecords', times: 2 })
    await texts(writer, 't').send({ key: 'k', value: 'after' })
    await eventually(() => expect(seen).toContain('after'))
    expect([seen, ended]).toEqual([['before', 'after'], []])
  })

  it('that has no records although there are some is not the end of anything', async () => {
    const { kinesis, url } = await backend()
    const cloud = await open(url())
    await cloud.admin.createTopic('t', { partitions: 1 })
    await texts(cloud, 't').sendAll(['1', '2', '3'].map((value) => ({ key: 'k', value })))
    kinesis.faults.add({ kind: 'empty-page', times: 5 })
    expect((await Array.fromAsync(texts(cloud, 't').read())).map(({ value }) => value)).toEqual(['1', '2', '3'])
    kinesis.faults.add({ kind: 'empty-page', times: 5 })
    const { seen, ended } = follow(cloud)
    await eventually(() => expect(seen).toEqual(['1', '2', '3']))
    await cloud.admin.setPartitions('t', 2)
    await texts(cloud, 't').send({ key: 'k', value: '4' })
    kinesis.faults.add({ kind: 'empty-page', times: 5 })
    await eventually(() => expect(seen).toEqual(['1', '2', '3', '4']), 10_000)
    expect(ended).toEqual([])
  })

  it('that is refused by something on the way with 429 is asked for again later', async () => {
    const servers = await backend()
    let calls = 0
    const endpoint = await stubService((call, request, response, sent) => {
      if (call === 'GetRecords' && ++calls === 3) response.writeHead(429).end()
      else forward(servers.kinesis.url, request, response, sent)
    })
    expect(await readThrough(servers, endpoint, '', () => calls > 3)).toEqual(['before', 'after'])
  })

  it('that the line is too slow for is asked for in smaller ones', async () => {
    const { kinesis, url } = await backend()
    const writer = await open(url())
    await writer.admin.createTopic('t', { partitions: 1 })
    const values = Array.from({ length: 24 }, (_, at) => `${at}`.padEnd(50_000, '.'))
    await texts(writer, 't').sendAll(values.map((value) => ({ key: 'k', value })))
    const proxy = await TcpProxy.start({ host: '127.0.0.1', port: kinesis.port })
    onTestFinished(() => proxy.close())
    const cloud = await open(
      url('&requestTimeoutMs=500').replace(kinesis.url, `http://127.0.0.1:${proxy.endpoint.port}`),
    )
    // All of it, 1.6 MB as it is written, takes three times as long as an answer may.
    proxy.bandwidth(1_000_000)
    const { seen } = follow(cloud)
    await eventually(() => expect(seen).toEqual(values), 15_000)
  })
})

it('an answer that lists no shards is none: a stream without any would lose its leases', async () => {
  const { kinesis, url } = await backend()
  const endpoint = await stubService((call, request, response, sent) => {
    if (call === 'ListShards') response.end('{}')
    else forward(kinesis.url, request, response, sent)
  })
  await (await open(url())).admin.createTopic('t', { partitions: 1 })
  const cloud = await open(url().replace(kinesis.url, endpoint))
  const error = await failure(cloud.admin.describeTopic('t'))
  expect([error.code, error.retryable]).toEqual(['unavailable', true])
})

it.each(['DescribeStreamSummary', 'ListShards'])(
  'an answer to %s that is cut off over HTTP/2 is none',
  async (call) => {
    const { kinesis, url } = await backend()
    await (await open(url())).admin.createTopic('t', { partitions: 3 })
    const cloud = await open(url('&http1=false'))
    kinesis.faults.add({ kind: 'cut-response', call, times: 1 })
    const error = await failure(cloud.admin.describeTopic('t'))
    expect([error.code, error.retryable]).toEqual(['unavailable', true])
    expect(error.message).toContain('cut off after 0 of')
    expect((await cloud.admin.describeTopic('t')).partitions.length).toBe(3)
  },
)

it.each(['true', 'false'])('a connection that is cut before the answer is no timeout (http1=%s)', async (http1) => {
  const { kinesis, url } = await backend()
  await (await open(url())).admin.createTopic('t', { partitions: 1 })
  const cloud = await open(url(`&requestTimeoutMs=400&http1=${http1}`))
  kinesis.faults.add({ kind: 'lose-response', call: 'DescribeStreamSummary', times: 1 })
  const lost = await failure(cloud.admin.describeTopic('t'))
  expect([lost.code, lost.retryable, lost.ambiguous]).toEqual(['unavailable', true, true])
  const off = kinesis.faults.add({ kind: 'slow', call: 'DescribeStreamSummary', ms: 5_000 })
  expect((await failure(cloud.admin.describeTopic('t'))).code).toBe('timeout')
  off()
})

it.each(['lose-response', 'cut-response'] as const)('sends over HTTP/2 are tried again after a %s', async (kind) => {
  const { kinesis, url } = await backend()
  const cloud = await open(url('&http1=false'))
  await cloud.admin.createTopic('t', { partitions: 2 })
  const producer = texts(cloud, 't').producer({ retry: { baseMs: 1, maxMs: 20 } })
  const sent: Promise<unknown>[] = []
  for (let at = 0; at < 200; at++) {
    if (at % 10 === 0) kinesis.faults.add({ kind, call: 'PutRecords', times: 1 })
    sent.push(producer.send({ key: `k${at % 8}`, value: String(at) }))
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  const outcomes = await Promise.allSettled(sent)
  expect(outcomes.filter(({ status }) => status === 'rejected')).toEqual([])
  const stored = new Set((await Array.fromAsync(texts(cloud, 't').read())).map(({ value }) => value))
  expect(stored.size).toBe(200)
})

describe('enhanced fan-out', () => {
  it.each(['true', 'false'])('goes on behind an event that was cut off (http1=%s)', async (http1) => {
    const { kinesis, url } = await backend({ resubscribeMs: 10 })
    const writer = await open(url())
    await writer.admin.createTopic('t', { partitions: 1 })
    const proxy = await TcpProxy.start({ host: '127.0.0.1', port: kinesis.port })
    onTestFinished(() => proxy.close())
    const endpoint = `http://127.0.0.1:${proxy.endpoint.port}`
    const { seen, ended } = follow(await open(url(`&mode=efo&http1=${http1}`).replace(kinesis.url, endpoint)))
    await texts(writer, 't').send({ key: 'k', value: 'before' })
    await eventually(() => expect(seen).toEqual(['before']))
    // An event of 400 kB takes a second; whenever within it the cut comes, a part is on its way.
    proxy.bandwidth(400_000)
    await texts(writer, 't').send({ key: 'k', value: 'x'.repeat(300_000) })
    await new Promise((resolve) => setTimeout(resolve, 300))
    expect(seen).toEqual(['before'])
    proxy.cut()
    await proxy.heal()
    await texts(writer, 't').send({ key: 'k', value: 'after' })
    await eventually(() => expect(seen.map((value) => value.slice(0, 6))).toEqual(['before', 'xxxxxx', 'after']))
    expect(ended).toEqual([])
  })

  it.each(['true', 'false'])('outlives subscriptions that are lost or cut (http1=%s)', async (http1) => {
    const { kinesis, url } = await backend({ resubscribeMs: 10 })
    const cloud = await open(url(`&mode=efo&http1=${http1}`))
    await cloud.admin.createTopic('t', { partitions: 1 })
    kinesis.faults.add({ kind: 'lose-response', call: 'SubscribeToShard', times: 2 })
    kinesis.faults.add({ kind: 'cut-response', call: 'SubscribeToShard', bytes: 40, times: 2 })
    kinesis.faults.add({ kind: 'cut-response', call: 'SubscribeToShard', times: 2 })
    const { seen, ended } = follow(cloud)
    const values = ['1', '2', '3', '4', '5']
    for (const value of values) await texts(cloud, 't').send({ key: 'k', value })
    await eventually(() => expect(seen).toEqual(values), 15_000)
    expect(ended).toEqual([])
  })

  it('is registered again where somebody has taken it away', async () => {
    const { url } = await backend({ resubscribeMs: 10 })
    const cloud = await open(url('&mode=efo'))
    await cloud.admin.createTopic('t', { partitions: 1 })
    const { seen, ended } = follow(cloud)
    await texts(cloud, 't').send({ key: 'k', value: 'before' })
    await eventually(() => expect(seen).toEqual(['before']))
    const client = cloud.native() as KinesisClient
    const { StreamDescription } = await client.send(new DescribeStreamCommand({ StreamName: 't' }))
    const { StreamARN } = StreamDescription ?? {}
    await client.send(new DeregisterStreamConsumerCommand({ StreamARN, ConsumerName: 'g' }))
    await texts(cloud, 't').send({ key: 'k', value: 'after' })
    await eventually(() => expect(seen).toEqual(['before', 'after']))
    expect(ended).toEqual([])
  })
})
