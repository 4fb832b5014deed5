import {
  CreateTableCommand,
  DescribeTableCommand,
  DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  UpdateItemCommand,
} from '@aws-sdk/client-dynamodb'
import { eventually } from '@sluice/driver/testing'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { DynamoDbServer } from '../src/index.ts'

function client(server: DynamoDbServer): DynamoDBClient {
  const credentials = { accessKeyId: 'key', secretAccessKey: 'secret' }
  const made = new DynamoDBClient({ endpoint: server.url, region: 'eu-west-1', credentials, maxAttempts: 1 })
  onTestFinished(() => made.destroy())
  return made
}

const table = {
  TableName: 'leases',
  KeySchema: [{ AttributeName: 'leaseKey', KeyType: 'HASH' as const }],
  AttributeDefinitions: [{ AttributeName: 'leaseKey', AttributeType: 'S' as const }],
  BillingMode: 'PAY_PER_REQUEST' as const,
}

it('compares and swaps, and keeps tables in a folder', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-dynamodb-test-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const first = await DynamoDbServer.start({ folder })
  const dynamo = client(first)
  await dynamo.send(new CreateTableCommand(table))
  await eventually(async () => {
    const { Table } = await dynamo.send(new DescribeTableCommand({ TableName: 'leases' }))
    expect(Table?.TableStatus).toBe('ACTIVE')
  })
  const Item = { leaseKey: { S: 'shard' }, leaseCounter: { N: '1' } }
  await dynamo.send(new PutItemCommand({ TableName: 'leases', Item }))
  const swap = new UpdateItemCommand({
    TableName: 'leases',
    Key: { leaseKey: { S: 'shard' } },
    UpdateExpression: 'SET leaseCounter = :next',
    ConditionExpression: 'leaseCounter = :seen',
    ExpressionAttributeValues: { ':next': { N: '2' }, ':seen': { N: '1' } },
  })
  await dynamo.send(swap)
  await expect(dynamo.send(swap)).rejects.toMatchObject({ name: 'ConditionalCheckFailedException' })
  await first.close()

  await using again = await DynamoDbServer.start({ folder })
  const get = new GetItemCommand({ TableName: 'leases', Key: { leaseKey: { S: 'shard' } }, ConsistentRead: true })
  expect((await client(again).send(get)).Item?.['leaseCounter']).toEqual({ N: '2' })
})

it('says so when its port is taken', async () => {
  await using server = await DynamoDbServer.start()
  await expect(DynamoDbServer.start({ port: server.port })).rejects.toMatchObject({ code: 'conflict' })
})
