import { DescribeStreamSummaryCommand, UpdateMaxRecordSizeCommand } from '@aws-sdk/client-kinesis'
import type { KinesisClient } from '@aws-sdk/client-kinesis'
import { eventually } from '@sluice/driver/testing'
import { describe, expect, it } from 'vitest'
import { backend, collect, failure, forward, open, refuse, stubService, texts } from './fixtures.ts'

const clientOf = (cloud: { native(): unknown }): KinesisClient => cloud.native() as KinesisClient

describe('records that fail', () => {
  it('one by one, and answers that are lost, change no order and lose nothing', async () => {
    const { kinesis, url } = await backend()
    const cloud = await open(url('&aggregateBytes=1024'))
    await cloud.admin.createTopic('t', { partitions: 3 })
    const topic = texts(cloud, 't')
    const producer = topic.producer({ retry: { baseMs: 1, maxMs: 5 } })
    for (let nth = 1; nth < 60; nth += 3) kinesis.faults.add({ kind: 'fail-record', nth, times: 1 })
    kinesis.faults.add({ kind: 'lose-response', call: 'PutRecords', times: 3 })
    const sent = Array.from({ length: 600 }, (_, at) => ({ key: `k${at % 7}`, value: `${at % 7}:${at}` }))
    const receipts = await Promise.all(sent.map((message) => producer.send(message)))
    expect(new Set(receipts.map(({ id }) => id)).size).toBe(600)

    const read: string[] = []
    for await (const message of topic.read()) read.push(message.value)
    expect(new Set(read)).toEqual(new Set(sent.map(({ value }) => value)))
    for (let key = 0; key < 7; key++) {
      const firsts = [...new Set(read.filter((value) => value.startsWith(`${key}:`)))].map((value) =>
        Number(value.slice(2)),
      )
      expect(firsts).toEqual(firsts.toSorted((a, b) => a - b))
    }
  })

  it('of a shard that is over its quota wait; those of the others go on', async () => {
    const { kinesis, url } = await backend()
    const cloud = await open(url())
    await cloud.admin.createTopic('t', { partitions: 2 })
    const topic = texts(cloud, 't')
    const off = kinesis.faults.add({ kind: 'throttle', what: 'write', shard: 'shardId-000000000000' })
    // "a" is in the first half of the hash keys, "b" in the second.
    let stored = false
    const waiting = topic.send({ key: 'a', value: 'hot' }).then(() => (stored = true))
    for (let at = 0; at < 20; at++) await topic.send({ key: 'b', value: String(at) })
    expect(stored).toBe(false)
    off()
    await waiting
  })
})

describe('a shard whose reads are over their quota', () => {
  it('is asked again with the iterator that there is', async () => {
    const { kinesis, url } = await backend()
    const cloud = await open(url())
    await cloud.admin.createTopic('t', { partitions: 1 })
    let iterators = 0
    clientOf(cloud).middlewareStack.add(
      (next, { commandName }) =>
        (args) => {
          if (commandName === 'GetShardIteratorCommand') iterators++
          return next(args)
        },
      { step: 'initialize' },
    )
    kinesis.faults.add({ kind: 'throttle', what: 'read', times: 4 })
    const topic = texts(cloud, 't')
    await topic.send({ key: 'k', value: 'x' })
    expect(await collect(topic, 'g', 1)).toEqual(['x'])
    expect(iterators).toBe(1)
  })
})

it('more topics than an account can list within a second are listed all the same', async () => {
  const { kinesis } = await backend()
  const names = Array.from({ length: 20 }, (_, at) => `t${String(at).padStart(2, '0')}`)
  let calls = 0
  const busy = await stubService((call, request, response, body) => {
    const { Limit, ExclusiveStartStreamName: last = '' } = JSON.parse(body) as Record<string, string>
    if (call !== 'ListStreams' || Limit !== undefined) return forward(kinesis.url, request, response, body)
    if (++calls % 6 === 0) return refuse(response, 'LimitExceededException', 'Rate exceeded for account 000000000000.')
    const StreamNames = names.filter((name) => name > last).slice(0, 1)
    response.writeHead(200, { 'content-type': 'application/x-amz-json-1.1' })
    response.end(JSON.stringify({ StreamNames, HasMoreStreams: StreamNames[0] !== names.at(-1) }))
  })
  const cloud = await open(`kinesis://A:b@eu-west-1?endpoint=${busy}`)
  expect(await cloud.admin.listTopics()).toEqual(names)
})

it('lag is told also while the reads of a shard are used up', async () => {
  const { kinesis, url } = await backend()
  const cloud = await open(url())
  await cloud.admin.createTopic('t', { partitions: 2 })
  await cloud.admin.seek('t', 'g', 'earliest')
  await texts(cloud, 't').send({ key: 'a', value: 'x' })
  kinesis.faults.add({ kind: 'throttle', what: 'read', times: 5 })
  const lag = await cloud.admin.lag('t', 'g')
  expect(lag.map(({ ageMs }) => ageMs === 0)).toEqual([false, true])
})

describe('a clock that is off', () => {
  it('by far more than signatures may be is made up for', async () => {
    const { kinesis, dynamo } = await backend()
    const aheadMs = 20 * 60_000
    const strict = await stubService((_call, request, response, body) => {
      const [, date, time] = /^(\d{8})T(\d{6})Z$/.exec(String(request.headers['x-amz-date'])) ?? []
      const [day, hour] = [
        (date ?? '').replace(/(....)(..)(..)/, '$1-$2-$3'),
        (time ?? '').replace(/(..)(..)(..)/, '$1:$2:$3'),
      ]
      const serverMs = Date.now() + aheadMs
      response.setHeader('date', new Date(serverMs).toUTCString())
      if (Math.abs(serverMs - Date.parse(`${day}T${hour}Z`)) < 5 * 60_000) forward(kinesis.url, request, response, body)
      else refuse(response, 'InvalidSignatureException', 'Signature expired: it is now earlier than the service allows')
    })
    const cloud = await open(`kinesis://A:b@eu-west-1?endpoint=${strict}&dynamoEndpoint=${dynamo.url}`)
    expect(await cloud.admin.listTopics()).toEqual([])
  })
})

describe('a call without an answer', () => {
  it('over HTTP/2 does not cut the others off that share its connection', async () => {
    const { kinesis, url } = await backend()
    const cloud = await open(url('&http1=false&requestTimeoutMs=1500'))
    await cloud.admin.createTopic('slow', { partitions: 1 })
    await cloud.admin.createTopic('t', { partitions: 1 })
    kinesis.faults.add({ kind: 'slow', stream: 'slow', call: 'GetRecords', ms: 5_000 })
    kinesis.faults.add({ kind: 'slow', call: 'PutRecords', ms: 150 })
    const topic = texts(cloud, 't')
    const consumer = texts(cloud, 'slow').consumer({ group: 'g', deadLetter: false })
    const running = consumer.run(() => undefined)
    const sent: string[] = []
    const end = Date.now() + 4_000
    while (Date.now() < end) {
      await topic.send({ key: 'k', value: String(sent.length) })
      sent.push(String(sent.length))
    }
    await consumer.close()
    await running
    kinesis.faults.clear()
    const read: string[] = []
    for await (const message of topic.read()) read.push(message.value)
    // One that is sent again stands there twice.
    expect(read).toEqual(sent)
  })
})

it('a record that the stream takes no more does not take the others with it', async () => {
  const { url } = await backend()
  const cloud = await open(url())
  await cloud.admin.createTopic('t', { partitions: 1 })
  const client = clientOf(cloud)
  const { StreamDescriptionSummary: summary } = await client.send(new DescribeStreamSummaryCommand({ StreamName: 't' }))
  const setMost = async (MaxRecordSizeInKiB: number): Promise<void> => {
    const StreamARN = summary?.StreamARN ?? ''
    await eventually(() => client.send(new UpdateMaxRecordSizeCommand({ StreamARN, MaxRecordSizeInKiB })))
  }
  await setMost(4_096)
  const topic = texts(await open(url()), 't')
  await topic.send({ key: 'k', value: 'before' })
  await setMost(1_024)
  const producer = topic.producer({ lingerMs: 50, maxBatchBytes: 4_000_000 })
  const large = failure(producer.send({ key: 'large', value: 'x'.repeat(2_000_000) }))
  await Promise.all(['a', 'b', 'c'].map((key) => producer.send({ key, value: 'small' })))
  expect(await large).toMatchObject({ code: 'too-large' })
})
