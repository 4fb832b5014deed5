import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PutItemCommand } from '@aws-sdk/client-dynamodb'
import { CreateStreamCommand } from '@aws-sdk/client-kinesis'
import type { KinesisClient } from '@aws-sdk/client-kinesis'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import {
  backend,
  collect,
  failure,
  forbidding,
  forward,
  makeTable,
  open,
  refuse,
  stubService,
  tablesOf,
  texts,
} from './fixtures.ts'

const clientOf = (cloud: { native(): unknown }): KinesisClient => cloud.native() as KinesisClient

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

  it.each(['PutItem', 'UpdateItem', 'CreateTable', 'DescribeTable'])(
    'a table in which %s is forbidden ends the consumer at once',
    async (forbidden) => {
      const { kinesis, dynamo } = await backend()
      const guarded = await forbidding(dynamo.url, forbidden)
      const cloud = await open(`kinesis://A:b@eu-west-1?endpoint=${kinesis.url}&dynamoEndpoint=${guarded}`)
      await cloud.admin.createTopic('t', { partitions: 2 })
      const consumer = texts(cloud, 't').consumer({ group: 'g', deadLetter: false })
      const error = await failure(consumer.run(() => undefined))
      expect(error).toMatchObject({ code: 'permission-denied', retryable: false })
      expect(error.message).toContain(`dynamodb:${forbidden}`)
    },
  )

  it('a table in which leases may not be deleted keeps those of shards that are gone', async () => {
    const { kinesis, dynamo } = await backend()
    const guarded = await forbidding(dynamo.url, 'DeleteItem')
    const tables = tablesOf(dynamo)
    await makeTable(tables, 'sluice.t.g', 'leaseKey')
    const gone = { leaseKey: { S: 'shardId-000000000099' }, checkpoint: { S: 'SHARD_END' }, leaseCounter: { N: '3' } }
    await tables.send(new PutItemCommand({ TableName: 'sluice.t.g', Item: gone }))
    const cloud = await open(`kinesis://A:b@eu-west-1?endpoint=${kinesis.url}&dynamoEndpoint=${guarded}`)
    await cloud.admin.createTopic('t', { partitions: 1 })
    const topic = texts(cloud, 't')
    await topic.send({ key: 'k', value: 'x' })
    expect(await collect(topic, 'g', 1)).toEqual(['x'])
  })

  it('a table whose key is not that of leases ends the consumer at once', async () => {
    const { url, dynamo } = await backend()
    await makeTable(tablesOf(dynamo), 'sluice.t.g', 'id')
    const cloud = await open(url())
    await cloud.admin.createTopic('t', { partitions: 1 })
    const consumer = texts(cloud, 't').consumer({ group: 'g', deadLetter: false })
    const error = await failure(consumer.run(() => undefined))
    expect(error).toMatchObject({ code: 'invalid-argument', retryable: false })
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
