import { DeleteTableCommand } from '@aws-sdk/client-dynamodb'
import { eventually } from '@sluice/driver/testing'
import { expect, it } from 'vitest'
import { backend, failure, forward, makeTable, open, refuse, stubService, tablesOf, texts } from './fixtures.ts'

it('tables that keep no leases are not read to find the groups of a topic, nor those that are not ours to see', async () => {
  const { kinesis, dynamo } = await backend()
  const read = new Set<string>()
  const tables = await stubService((call, request, response, body) => {
    const { TableName = '' } = JSON.parse(body) as { readonly TableName?: string }
    if (call === 'Scan') read.add(TableName)
    if (TableName === 'secret') refuse(response, 'AccessDeniedException', `not authorized to perform: dynamodb:${call}`)
    else forward(dynamo.url, request, response, body)
  })
  const client = tablesOf(dynamo)
  for (const name of ['orders', 'secret']) await makeTable(client, name, 'id')
  const cloud = await open(
    `kinesis://A:b@eu-west-1?endpoint=${kinesis.url}&dynamoEndpoint=${tables}&leaseTable={group}`,
  )
  await cloud.admin.createTopic('t', { partitions: 1 })
  await cloud.admin.seek('t', 'group', 'earliest')
  expect(await cloud.admin.listGroups('t')).toEqual(['group'])
  await cloud.admin.deleteTopic('t')
  expect(read).toEqual(new Set(['group']))
})

it('a group is moved without reading its table once more for each lease', async () => {
  const { kinesis, dynamo } = await backend()
  let scans = 0
  const tables = await stubService((call, request, response, body) => {
    if (call === 'Scan') scans++
    forward(dynamo.url, request, response, body)
  })
  const cloud = await open(`kinesis://A:b@eu-west-1?endpoint=${kinesis.url}&dynamoEndpoint=${tables}`)
  await cloud.admin.createTopic('t', { partitions: 30 })
  await cloud.admin.seek('t', 'g', 'earliest')
  scans = 0
  await cloud.admin.seek('t', 'g', 'latest')
  expect(scans).toBeLessThan(5)
})

it('a table that is being deleted is waited for, and made anew', async () => {
  const { kinesis, dynamo } = await backend()
  let looks = 0
  const tables = await stubService((call, request, response, body) => {
    const isLeaving = looks < 3
    if (call === 'DescribeTable' && isLeaving) {
      looks++
      response.writeHead(200, { 'content-type': 'application/x-amz-json-1.0' })
      response.end(JSON.stringify({ Table: { TableName: 'leases', TableStatus: 'DELETING' } }))
    } else if (call === 'CreateTable' && isLeaving) refuse(response, 'ResourceInUseException', 'Table is being deleted')
    else forward(dynamo.url, request, response, body)
  })
  const cloud = await open(
    `kinesis://A:b@eu-west-1?endpoint=${kinesis.url}&dynamoEndpoint=${tables}&leaseTable=leases&readyTimeoutMs=2000`,
  )
  await cloud.admin.createTopic('t', { partitions: 1 })
  await cloud.admin.seek('t', 'g', 'earliest')
  expect(looks).toBe(3)
})

it('a consumer whose table is deleted ends with what is missing, at its next commit', async () => {
  const { dynamo, url } = await backend()
  const cloud = await open(url('&leaseTable={group}'))
  await cloud.admin.createTopic('t', { partitions: 1 })
  const seen: string[] = []
  const consumer = texts(cloud, 't').consumer({ group: 'gone', commitIntervalMs: 10, deadLetter: false })
  const running = failure(consumer.run(({ value }) => void seen.push(value)))
  await texts(cloud, 't').send({ key: 'k', value: 'before' })
  await eventually(() => expect(seen).toEqual(['before']))
  await tablesOf(dynamo).send(new DeleteTableCommand({ TableName: 'gone' }))
  await texts(cloud, 't').send({ key: 'k', value: 'after' })
  const error = await running
  expect([error.code, error.message]).toEqual(['not-found', expect.stringContaining('table gone')])
})
