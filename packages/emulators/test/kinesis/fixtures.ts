import { KinesisClient } from '@aws-sdk/client-kinesis'
import type { KinesisClientConfig } from '@aws-sdk/client-kinesis'
import * as commands from '@aws-sdk/client-kinesis'
import { eventually } from '@sluice/driver/testing'
import { onTestFinished } from 'vitest'
import { KinesisServer } from '../../src/index.ts'
import type { KinesisServerOptions } from '../../src/index.ts'

/** Calls by their names, as the service has them. */
export type Ask = (name: string, input?: object) => Promise<Answer>

/** What came back: members of an answer, whatever they are. */
// oxlint-disable-next-line typescript/no-explicit-any -- answers are asserted, member by member
export type Answer = any

export interface Refusal {
  readonly name: string
  readonly message: string
  readonly status: number | undefined
}

/** A server that ends with the test. */
export async function start(options: KinesisServerOptions = {}): Promise<KinesisServer> {
  const server = await KinesisServer.start({ stateMs: 0, quotas: false, ...options })
  onTestFinished(() => server.close())
  return server
}

/** A client of the SDK as it comes: HTTP/2, JSON. It ends with the test. */
export function client(server: { readonly url: string }, config: Partial<KinesisClientConfig> = {}): KinesisClient {
  const made = new KinesisClient({
    endpoint: server.url,
    region: 'eu-west-1',
    credentials: { accessKeyId: 'key', secretAccessKey: 'secret' },
    maxAttempts: 1,
    ...config,
  })
  onTestFinished(() => made.destroy())
  return made
}

/** Asks by name: `ask('CreateStream', { … })`. */
export function asker(made: KinesisClient): Ask {
  return (name, input = {}) => {
    const Command = (commands as unknown as Readonly<Record<string, new (input: object) => never>>)[`${name}Command`]
    if (Command === undefined) throw new Error(`the SDK has no ${name}`)
    return made.send(new Command(input))
  }
}

/** What should have been refused was not. */
export class NotRefused extends Error {
  override readonly name = 'NotRefused'
}

/** What the service says when it refuses. */
export async function refusal(promise: Promise<unknown>): Promise<Refusal> {
  try {
    await promise
  } catch (error) {
    const { name, message, $metadata } = error as Error & { $metadata?: { httpStatusCode?: number } }
    return { name, message, status: $metadata?.httpStatusCode }
  }
  throw new NotRefused()
}

/** Resolves when the stream is active. */
export function untilActive(ask: Ask, name: string): Promise<void> {
  return eventually(async () => {
    const { StreamDescriptionSummary: summary } = await ask('DescribeStreamSummary', { StreamName: name })
    if (summary.StreamStatus !== 'ACTIVE') throw new Error(`${name} is ${summary.StreamStatus}`)
  })
}

export function shard(index: number): string {
  return `shardId-${String(index).padStart(12, '0')}`
}

/** Everything that is in a shard now, from its oldest record on. */
export async function readAll(ask: Ask, stream: string, shardId: string): Promise<Answer[]> {
  let { ShardIterator: iterator } = await ask('GetShardIterator', {
    StreamName: stream,
    ShardId: shardId,
    ShardIteratorType: 'TRIM_HORIZON',
  })
  const records: Answer[] = []
  for (;;) {
    const answer = await ask('GetRecords', { ShardIterator: iterator })
    records.push(...answer.Records)
    if (answer.NextShardIterator === undefined || answer.MillisBehindLatest === 0) return records
    iterator = answer.NextShardIterator
  }
}

export const bytes = (text: string): Buffer => Buffer.from(text)
