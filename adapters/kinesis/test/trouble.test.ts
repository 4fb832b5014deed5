import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  CreateStreamCommand,
  DescribeStreamSummaryCommand,
  ListShardsCommand,
  ListStreamConsumersCommand,
  MergeShardsCommand,
  SplitShardCommand,
  UpdateMaxRecordSizeCommand,
  UpdateStreamRecordDistributionStrategyCommand,
} from '@aws-sdk/client-kinesis'
import type { KinesisClient } from '@aws-sdk/client-kinesis'
import { eventually } from '@sluice/driver/testing'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
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

describe('resharding by somebody else', () => {
  it('is followed by running members: a split, and a merge with two parents, in order', async () => {
    const { url } = await backend()
    const cloud = await open(url())
    await cloud.admin.createTopic('t', { partitions: 1 })
    const topic = texts(cloud, 't')
    const seen: string[] = []
    const consumer = topic.consumer({ group: 'g', commitIntervalMs: 10, deadLetter: false })
    const running = consumer.run((message) => void seen.push(message.value))
    const send = async (from: number): Promise<void> => {
      for (let at = from; at < from + 20; at++) await topic.send({ key: `k${at % 4}`, value: `${at % 4}:${at}` })
    }
    await send(0)
    const client = clientOf(cloud)
    const half = String(2n ** 127n)
    await client.send(
      new SplitShardCommand({ StreamName: 't', ShardToSplit: 'shardId-000000000000', NewStartingHashKey: half }),
    )
    await send(20)
    await eventually(async () => {
      const { StreamDescriptionSummary: summary } = await client.send(
        new DescribeStreamSummaryCommand({ StreamName: 't' }),
      )
      expect(summary?.StreamStatus).toBe('ACTIVE')
    })
    await client.send(
      new MergeShardsCommand({
        StreamName: 't',
        ShardToMerge: 'shardId-000000000001',
        AdjacentShardToMerge: 'shardId-000000000002',
      }),
    )
    await send(40)
    await eventually(() => expect(new Set(seen).size).toBe(60), 15_000)
    await consumer.close()
    await running
    for (let key = 0; key < 4; key++) {
      const firsts = new Set(seen.filter((value) => value.startsWith(`${key}:`)))
      const order = [...firsts].map((value) => Number(value.slice(2)))
      expect(order).toEqual(order.toSorted((a, b) => a - b))
    }
    const lag = await cloud.admin.lag('t', 'g')
    expect(lag.map(({ ageMs }) => ageMs)).toEqual([0, 0, 0, 0])
  })

  it('is noticed by producers: an ended partition is refused, and only what goes to a hot shard waits for it', async () => {
    const { kinesis, url } = await backend()
    const cloud = await open(url())
    await cloud.admin.createTopic('t', { partitions: 1 })
    const topic = texts(cloud, 't')
    await topic.send({ key: 'a', value: 'before' })
    const ShardToSplit = 'shardId-000000000000'
    await clientOf(cloud).send(
      new SplitShardCommand({ StreamName: 't', ShardToSplit, NewStartingHashKey: String(2n ** 127n) }),
    )
    await eventually(async () => {
      const { partition } = await topic.send({ key: 'a', value: 'after' })
      expect(partition).not.toBe(ShardToSplit)
    })
    await eventually(async () => {
      const error = await failure(topic.send({ key: 'b', value: 'astray', partition: ShardToSplit }))
      expect(error).toMatchObject({ code: 'conflict' })
    })
    // One try: what is held back by mistake fails.
    const sender = topic.producer({ onOrderedFailure: 'continue', retry: { maxAttempts: 1 } })
    kinesis.faults.add({ kind: 'throttle', what: 'write', shard: 'shardId-000000000001' })
    for (let times = 0; times < 20; times++) {
      expect(await failure(sender.send({ key: 'a', value: 'hot' }))).toMatchObject({ code: 'throttled' })
      await sender.send({ key: 'b2', value: 'cold', partition: 'shardId-000000000002' })
      await sender.send({ key: 'b', value: 'cold' })
    }
  })

  it('splits and merges by hand when UpdateShardCount is used up for the day', async () => {
    const { url } = await backend({ quotas: true })
    const cloud = await open(url())
    await cloud.admin.createTopic('t', { partitions: 1 })
    for (let times = 0; times < 6; times++) {
      await cloud.admin.setPartitions('t', 2)
      await cloud.admin.setPartitions('t', 1)
    }
    await cloud.admin.setPartitions('t', 5)
    const { Shards } = await clientOf(cloud).send(new ListShardsCommand({ StreamName: 't' }))
    const open5 = (Shards ?? []).filter(({ SequenceNumberRange: range }) => range?.EndingSequenceNumber === undefined)
    expect(open5.length).toBe(5)
    await cloud.admin.setPartitions('t', 3)
    const { partitions } = await cloud.admin.describeTopic('t')
    expect(partitions.filter(({ state }) => state === 'open').length).toBe(3)
  }, 60_000)
})

describe('what a stream says of itself', () => {
  it('that it spreads records by itself: no order can be kept, so it is refused', async () => {
    const { url } = await backend()
    const cloud = await open(url('&capacity=on-demand'))
    await cloud.admin.createTopic('t')
    const client = clientOf(cloud)
    const { StreamDescriptionSummary: summary } = await client.send(
      new DescribeStreamSummaryCommand({ StreamName: 't' }),
    )
    await client.send(
      new UpdateStreamRecordDistributionStrategyCommand({
        StreamARN: summary?.StreamARN,
        RecordDistributionStrategy: 'AUTO',
      }),
    )
    const error = await failure(texts(cloud, 't').send({ value: 'x' }))
    expect(error).toMatchObject({
      code: 'unsupported',
      message: expect.stringContaining('no order can be kept') as string,
    })
    expect(await failure(cloud.admin.setPartitions('t', 3))).toMatchObject({ code: 'unsupported' })
  })

  it('that it takes larger records: they are sent', async () => {
    const { url } = await backend()
    const cloud = await open(url())
    await cloud.admin.createTopic('t', { partitions: 1 })
    const large = 'x'.repeat(3 * 1024 * 1024)
    expect(await failure(texts(cloud, 't').send({ value: large }))).toMatchObject({ code: 'too-large' })
    const client = clientOf(cloud)
    const { StreamDescriptionSummary: summary } = await client.send(
      new DescribeStreamSummaryCommand({ StreamName: 't' }),
    )
    await client.send(
      new UpdateMaxRecordSizeCommand({ StreamARN: summary?.StreamARN ?? '', MaxRecordSizeInKiB: 4_096 }),
    )
    await eventually(async () => {
      const again = await open(url())
      await texts(again, 't').send({ key: 'k', value: large })
    })
    const [first] = await collect(texts(cloud, 't'), 'g', 1)
    expect(first?.length).toBe(large.length)
  })
})

describe('who may not, or cannot', () => {
  it('a stream that is in another region is not found, and said where', async () => {
    const { url } = await backend()
    const home = await open(url())
    await home.admin.createTopic('t', { partitions: 1 })
    const away = await open(url().replace('eu-west-1', 'us-east-1'))
    const error = await failure(texts(away, 't').send({ value: 'x' }))
    expect(error).toMatchObject({ code: 'not-found', message: expect.stringContaining('region') as string })
  })

  it('credentials that are wrong or expired are unauthenticated, before anything else', async () => {
    const wall = Date.now()
    const credentials = [
      { accessKeyId: 'A', secretAccessKey: 'right' },
      { accessKeyId: 'OLD', secretAccessKey: 'b', expiresAtMs: wall - 1_000 },
    ]
    const { url } = await backend({ credentials })
    const wrong = await failure(open(url()))
    expect(wrong).toMatchObject({ code: 'unauthenticated', retryable: false })
    const old = await failure(open(url().replace('A:b', 'OLD:b')))
    expect(old).toMatchObject({ code: 'unauthenticated', retryable: false })
    expect(old.message).toContain('expired')
  })

  it('a table that may not be read is permission-denied, and named', async () => {
    const { kinesis } = await backend()
    const dynamo = await stubService((call, _request, response) =>
      refuse(response, 'AccessDeniedException', `User is not authorized to perform: dynamodb:${call}`),
    )
    const cloud = await open(`kinesis://A:b@eu-west-1?endpoint=${kinesis.url}&dynamoEndpoint=${dynamo}`)
    await cloud.admin.createTopic('t', { partitions: 1 })
    const error = await failure(
      texts(cloud, 't')
        .consumer({ group: 'g', deadLetter: false })
        .run(() => undefined),
    )
    expect(error).toMatchObject({ code: 'permission-denied', retryable: false })
    expect(error.message).toContain('sluice.t.g')
  })

  it('a table that is throttled for a while is outlived', async () => {
    const { kinesis, dynamo } = await backend()
    let throttled = 0
    const slow = await stubService((call, request, response, body) => {
      const busy = (call === 'UpdateItem' || call === 'Scan') && throttled < 40 && throttled++ % 2 === 0
      if (busy)
        refuse(response, 'ProvisionedThroughputExceededException', 'The level of configured throughput was exceeded')
      else forward(dynamo.url, request, response, body)
    })
    const cloud = await open(
      `kinesis://A:b@eu-west-1?endpoint=${kinesis.url}&dynamoEndpoint=${slow}&failoverMs=2000&pollMs=20`,
    )
    await cloud.admin.createTopic('t', { partitions: 2 })
    const topic = texts(cloud, 't')
    for (let at = 0; at < 20; at++) await topic.send({ key: `k${at}`, value: String(at) })
    expect(new Set(await collect(topic, 'g', 20)).size).toBe(20)
    expect(throttled).toBeGreaterThan(2)
  })

  it('a group whose table is another’s is a conflict, not shared progress', async () => {
    const { url } = await backend()
    const cloud = await open(url('&leaseTable=everybody'))
    await cloud.admin.createTopic('t', { partitions: 1 })
    const topic = texts(cloud, 't')
    await topic.send({ value: 'x' })
    expect(await collect(topic, 'one', 1)).toEqual(['x'])
    expect(await failure(collect(topic, 'two', 1))).toMatchObject({ code: 'conflict' })
  })

  it('a stream that is being made is waited for', async () => {
    const { url } = await backend({ stateMs: 400 })
    const cloud = await open(url())
    await clientOf(cloud).send(new CreateStreamCommand({ StreamName: 't', ShardCount: 1 }))
    expect(await texts(cloud, 't').send({ value: 'x' })).toMatchObject({ partition: 'shardId-000000000000' })
  })
})

describe('how it logs in', () => {
  const temporary = { accessKeyId: 'TEMPORARY', secretAccessKey: 'of-the-role', sessionToken: 'session' }

  it('by a role that is assumed with the credentials found', async () => {
    const asked: URLSearchParams[] = []
    const sts = await stubService((_call, _request, response, body) => {
      asked.push(new URLSearchParams(body))
      response.writeHead(200, { 'content-type': 'text/xml' })
      response.end(`<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>
        <AssumedRoleUser><Arn>arn:aws:sts::123456789012:assumed-role/reader/me</Arn><AssumedRoleId>R:me</AssumedRoleId></AssumedRoleUser>
        <Credentials><AccessKeyId>TEMPORARY</AccessKeyId><SecretAccessKey>of-the-role</SecretAccessKey>
        <SessionToken>session</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>
        </AssumeRoleResult></AssumeRoleResponse>`)
    })
    vi.stubEnv('AWS_ENDPOINT_URL_STS', sts)
    onTestFinished(() => void vi.unstubAllEnvs())
    const { url } = await backend({ credentials: [temporary] })
    const role = 'arn:aws:iam::123456789012:role/reader'
    const cloud = await open(url(`&roleArn=${role}&roleSessionName=me&externalId=x`))
    await cloud.admin.createTopic('t', { partitions: 1 })
    expect(
      asked.map((form) => [form.get('RoleArn'), form.get('RoleSessionName'), form.get('ExternalId')]),
    ).toContainEqual([role, 'me', 'x'])
    expect((await failure(open(url()))).code).toBe('unauthenticated')
  })

  it('by a profile of the shared files', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sluice-kinesis-profile-'))
    onTestFinished(() => rm(folder, { recursive: true }))
    await writeFile(join(folder, 'credentials'), '[dev]\naws_access_key_id = DEV\naws_secret_access_key = of-dev\n')
    vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', join(folder, 'credentials'))
    vi.stubEnv('AWS_CONFIG_FILE', join(folder, 'config'))
    onTestFinished(() => void vi.unstubAllEnvs())
    const { url } = await backend({ credentials: [{ accessKeyId: 'DEV', secretAccessKey: 'of-dev' }] })
    const cloud = await open(url('&profile=dev').replace('A:b@', ''))
    expect(await cloud.admin.listTopics()).toEqual([])
    expect((await failure(open(url('&profile=nobody').replace('A:b@', '')))).code).toBe('unauthenticated')
  })
})

it('forgets the fan-out consumer of a group, whoever forgets the group', async () => {
  const { url } = await backend()
  const cloud = await open(url('&mode=efo'))
  await cloud.admin.createTopic('t', { partitions: 1 })
  const topic = texts(cloud, 't')
  await topic.send({ key: 'k', value: 'x' })
  expect(await collect(topic, 'g', 1)).toEqual(['x'])
  const client = clientOf(cloud)
  const { StreamDescriptionSummary: summary } = await client.send(new DescribeStreamSummaryCommand({ StreamName: 't' }))
  const consumers = async (): Promise<number | undefined> =>
    (await client.send(new ListStreamConsumersCommand({ StreamARN: summary?.StreamARN }))).Consumers?.length
  expect(await consumers()).toBe(1)
  await (await open(url())).admin.deleteGroup('t', 'g')
  await eventually(async () => expect(await consumers()).toBe(0))
})

it('makes streams that are encrypted, and takes none that is not for one', async () => {
  const { url } = await backend()
  await (await open(url())).admin.createTopic('plain', { partitions: 1 })
  const asked = (await open(url('&kmsKey=alias/pipeline'))).admin.createTopic('plain', { partitions: 1 })
  expect(await failure(asked)).toMatchObject({ code: 'conflict' })
  const cloud = await open(url('&kmsKey=alias/pipeline'))
  await cloud.admin.createTopic('t', { partitions: 1, retentionMs: 36 * 3_600_000 })
  const { StreamDescriptionSummary: summary } = await clientOf(cloud).send(
    new DescribeStreamSummaryCommand({ StreamName: 't' }),
  )
  expect(summary).toMatchObject({ EncryptionType: 'KMS', KeyId: 'alias/pipeline', RetentionPeriodHours: 36 })
})
