import { connect } from 'node:net'
import { KinesisClient } from '@aws-sdk/client-kinesis'
import {
  CreateStreamCommand,
  GetRecordsCommand,
  GetShardIteratorCommand,
  PutRecordsCommand,
} from '@aws-sdk/client-kinesis'
import { NodeHttp2Handler, NodeHttpHandler } from '@smithy/node-http-handler'
import { median } from './measure.ts'
import { ServerProcess } from './server-process.ts'

/** What the Kinesis server does in a second, and what it takes. */
export interface KinesisServerResult {
  /** From the start of the process until it answers, and of that the server's own part, in milliseconds. */
  readonly processMs: number
  readonly startMs: number
  /** Records of 1 KB a second, by HTTP/1.1 and by HTTP/2. */
  readonly rates: readonly { readonly protocol: string; readonly put: number; readonly got: number }[]
  /** Resident memory at the start, and with all records, in MiB. */
  readonly idleMiB: number
  readonly fullMiB: number
  /** What all records hold. */
  readonly dataMiB: number
  /** After so many requests that were none, how much memory had grown, in MiB. */
  readonly malformed: number
  readonly malformedMiB: number
  readonly malformedPerSecond: number
}

const shards = 4
const [batches, batch, inFlight] = [200, 500, 4]
const data = Buffer.alloc(1_024, 'x')

/** Measures the server in a process of its own, with the SDK in this one. */
export async function benchKinesisServer(rounds: number, malformed: number): Promise<KinesisServerResult> {
  const begun = performance.now()
  using server = await ServerProcess.start('kinesis')
  const processMs = performance.now() - begun
  const idleMiB = await server.memory()
  const rates: { protocol: string; put: number; got: number }[] = []
  for (const protocol of ['HTTP/1.1', 'HTTP/2'] as const) {
    const figures: { readonly put: number; readonly got: number }[] = []
    for (let round = 0; round < rounds; round++) figures.push(await drive(server.url, protocol, round))
    const [puts, gots] = [figures.map(({ put }) => put), figures.map(({ got }) => got)]
    rates.push({ protocol, put: median(puts), got: median(gots) })
  }
  const fullMiB = await server.memory()
  const sent = performance.now()
  await sendMalformed(server.port, Math.ceil(malformed / 10))
  const before = await server.memory()
  await sendMalformed(server.port, malformed)
  return {
    processMs,
    startMs: server.startMs,
    rates,
    idleMiB,
    fullMiB,
    dataMiB: (2 * rounds * batches * batch * data.length) / 1024 / 1024,
    malformed,
    malformedMiB: (await server.memory()) - before,
    malformedPerSecond: (malformed * 1.1 * 1_000) / (performance.now() - sent),
  }
}

/** Puts all records and gets them again; records per second. */
async function drive(
  url: string,
  protocol: 'HTTP/1.1' | 'HTTP/2',
  round: number,
): Promise<{ put: number; got: number }> {
  const client = new KinesisClient({
    endpoint: url,
    region: 'eu-west-1',
    credentials: { accessKeyId: 'key', secretAccessKey: 'secret' },
    maxAttempts: 1,
    requestHandler:
      protocol === 'HTTP/2' ? new NodeHttp2Handler({ disableConcurrentStreams: false }) : new NodeHttpHandler(),
  })
  const StreamName = `bench-${protocol.replaceAll(/\W/g, '')}-${round}`
  await client.send(new CreateStreamCommand({ StreamName, ShardCount: shards }))
  let next = 0
  const put = await perSecond(async () => {
    await Promise.all(Array.from({ length: inFlight }, () => putSome()))
  })
  const got = await perSecond(async () => {
    await Promise.all(Array.from({ length: shards }, (_, shard) => drain(client, StreamName, shard)))
  })
  client.destroy()
  return { put, got }

  async function putSome(): Promise<void> {
    while (next++ < batches) {
      const Records = Array.from({ length: batch }, (_, at) => ({ Data: data, PartitionKey: `key-${at}` }))
      await client.send(new PutRecordsCommand({ StreamName, Records }))
    }
  }
}

async function drain(client: KinesisClient, StreamName: string, shard: number): Promise<void> {
  const ShardId = `shardId-${String(shard).padStart(12, '0')}`
  const first = { StreamName, ShardId, ShardIteratorType: 'TRIM_HORIZON' } as const
  let { ShardIterator } = await client.send(new GetShardIteratorCommand(first))
  for (let behind = true; behind;) {
    const answer = await client.send(new GetRecordsCommand({ ShardIterator, Limit: 1_000 }))
    behind = answer.MillisBehindLatest !== 0
    ShardIterator = answer.NextShardIterator
  }
}

async function perSecond(work: () => Promise<void>): Promise<number> {
  const began = performance.now()
  await work()
  return (batches * batch * 1_000) / (performance.now() - began)
}

const authorization =
  'AWS4-HMAC-SHA256 Credential=a/20260101/eu-west-1/kinesis/aws4_request, SignedHeaders=host, Signature=0'
const bodies = [
  '{',
  '[]',
  '"',
  '{"StreamName":1}',
  '{"Records":{}}',
  '\u0000',
  '{"Records":[{"Data":"!"}]}',
  '{"StreamARN":"x"}',
]

/** Requests that are none, one after the other on a few connections, each answered with an error. */
async function sendMalformed(port: number, count: number): Promise<void> {
  const lanes = 8
  await Promise.all(Array.from({ length: lanes }, (_, lane) => sendOn(port, Math.ceil(count / lanes), lane)))
}

function sendOn(port: number, count: number, lane: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    let [sent, answered] = [0, 0]
    const more = (): void => {
      while (sent < count && sent - answered < 50) socket.write(malformedRequest(lane + sent++))
    }
    socket.on('connect', more)
    socket.on('data', (chunk) => {
      answered += chunk.toString('latin1').split('HTTP/1.1 4').length - 1
      if (answered < count) return more()
      socket.destroy()
      resolve()
    })
    socket.on('error', reject)
    socket.on('close', () => (answered < count ? reject(new Error('the server hung up')) : undefined))
  })
}

function malformedRequest(at: number): string {
  const body = bodies[at % bodies.length] ?? ''
  const call = ['PutRecords', 'GetRecords', 'CreateStream', 'Nonsense', 'SubscribeToShard'][at % 5]
  return `POST / HTTP/1.1\r\nhost: x\r\nx-amz-target: Kinesis_20131202.${call}\r\nauthorization: ${authorization}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
}
