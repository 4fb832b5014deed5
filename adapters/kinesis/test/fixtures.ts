import { CreateTableCommand, DescribeTableCommand, DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { connect } from '@sluice/core'
import type { Cloud, ConnectOptions, Topic } from '@sluice/core'
import type { OutgoingRecord } from '@sluice/driver'
import { StreamError } from '@sluice/driver'
import { eventually } from '@sluice/driver/testing'
import { DynamoDbServer, KinesisServer } from '@sluice/emulators'
import type { KinesisServerOptions } from '@sluice/emulators'
import { expect, onTestFinished } from 'vitest'
import { adapter } from '../src/index.ts'

/** A record as core hands it over. */
export function outgoing(changes: Partial<OutgoingRecord> = {}): OutgoingRecord {
  return {
    id: '01890000-0000-7000-8000-000000000000',
    key: 'customer-7',
    headers: {},
    body: new TextEncoder().encode('body'),
    producedAtMs: 1_700_000_000_000,
    expiresAtMs: undefined,
    partition: undefined,
    ...changes,
  }
}

/** Servers of a test, in its own process so that it can tell them what to do wrong. */
export interface Backend {
  readonly kinesis: KinesisServer
  readonly dynamo: DynamoDbServer
  /** The address, with more options. */
  url(more?: string): string
}

/** Starts both servers; they end with the test. */
export async function backend(options: KinesisServerOptions = {}): Promise<Backend> {
  const kinesis = await KinesisServer.start({ stateMs: 2, quotas: false, ...options })
  onTestFinished(() => kinesis.close())
  const dynamo = await DynamoDbServer.start()
  onTestFinished(() => dynamo.close())
  const url = (more = ''): string =>
    `kinesis://A:b@eu-west-1?endpoint=${kinesis.url}&dynamoEndpoint=${dynamo.url}&failoverMs=1500&pollMs=20&paceMs=0${more}`
  return { kinesis, dynamo, url }
}

/** A connection that is closed when the test ends. */
export async function open(url: string, options: ConnectOptions = {}): Promise<Cloud> {
  const cloud = await connect(url, { adapters: [adapter], ...options })
  onTestFinished(() => cloud.close({ timeoutMs: 2_000 }))
  return cloud
}

/** A client by hand for the tables of a test. */
export function tablesOf(dynamo: DynamoDbServer): DynamoDBClient {
  const client = new DynamoDBClient({
    endpoint: dynamo.url,
    region: 'eu-west-1',
    credentials: { accessKeyId: 'A', secretAccessKey: 'b' },
  })
  onTestFinished(() => client.destroy())
  return client
}

/** Makes a table that can be used when this returns. */
export async function makeTable(tables: DynamoDBClient, TableName: string, key: string): Promise<void> {
  await tables.send(
    new CreateTableCommand({
      TableName,
      AttributeDefinitions: [{ AttributeName: key, AttributeType: 'S' }],
      KeySchema: [{ AttributeName: key, KeyType: 'HASH' }],
      BillingMode: 'PAY_PER_REQUEST',
    }),
  )
  await eventually(async () => {
    const { Table } = await tables.send(new DescribeTableCommand({ TableName }))
    expect(Table?.TableStatus).toBe('ACTIVE')
  })
}

/** Texts in a topic. */
export function texts(cloud: Cloud, name: string): Topic<string> {
  return cloud.topic(name, { codec: text })
}

const text = {
  contentType: 'text/plain',
  encode: (value: string): Uint8Array => new TextEncoder().encode(value),
  decode: (body: Uint8Array): string => new TextDecoder().decode(body),
}

/** What a promise is rejected with. */
export async function failure(promise: Promise<unknown>): Promise<StreamError> {
  try {
    await promise
  } catch (error) {
    if (StreamError.is(error)) return error
    throw error
  }
  throw new Error('it was not rejected')
}

/** Reads with a group until so many messages came. */
export async function collect(topic: Topic<string>, group: string, count: number): Promise<readonly string[]> {
  const seen: string[] = []
  const consumer = topic.consumer({ group, commitIntervalMs: 10, deadLetter: false })
  let closing: Promise<void> | undefined
  await consumer.run((message) => {
    seen.push(message.value)
    if (seen.length === count) closing = consumer.close()
  })
  await closing
  return seen
}

/** A service of AWS that answers what it is told to, for what no emulator says. */
export async function stubService(
  answer: (call: string, request: IncomingMessage, response: ServerResponse, body: string) => void,
): Promise<string> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const target = String(request.headers['x-amz-target'] ?? '')
      answer(target.slice(target.indexOf('.') + 1), request, response, Buffer.concat(chunks).toString())
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** Answers with an error of the service. */
export function refuse(response: ServerResponse, name: string, message: string): void {
  response.writeHead(400, { 'content-type': 'application/x-amz-json-1.0' })
  response.end(JSON.stringify({ __type: `com.amazonaws#${name}`, message }))
}

/** Hands a request on to a server that can answer it. */
export function forward(to: string, request: IncomingMessage, response: ServerResponse, body: string): void {
  const headers = Object.fromEntries(
    Object.entries(request.headers).flatMap(([name, value]) =>
      typeof value === 'string' && !['host', 'connection', 'content-length', 'expect'].includes(name)
        ? [[name, value]]
        : [],
    ),
  )
  fetch(to, { method: 'POST', headers, body })
    .then(async (answer) => {
      response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? '' })
      response.end(Buffer.from(await answer.arrayBuffer()))
    })
    .catch(() => response.destroy())
}

/** A DynamoDB in front of another whose policy does not allow these calls. */
export function forbidding(url: string, ...calls: readonly string[]): Promise<string> {
  return stubService((call, request, response, body) => {
    if (calls.includes(call))
      refuse(response, 'AccessDeniedException', `User is not authorized to perform: dynamodb:${call}`)
    else forward(url, request, response, body)
  })
}
