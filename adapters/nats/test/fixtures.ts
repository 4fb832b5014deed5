import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from '@sluice/core'
import type { Cloud, ConnectOptions, Topic } from '@sluice/core'
import { parseBackendUrl, silentLogger, StreamError, systemClock } from '@sluice/driver'
import type { Driver } from '@sluice/driver'
import { NatsServer } from '@sluice/emulators'
import type { NatsBinary, NatsServerOptions } from '@sluice/emulators'
import { onTestFinished } from 'vitest'
import { parseConfig } from '../src/config.ts'
import { NatsDriver } from '../src/driver.ts'
import { adapter } from '../src/index.ts'

/** Numbers as JSON. */
const numbers = {
  contentType: 'application/json',
  encode: (value: number): Uint8Array => new TextEncoder().encode(JSON.stringify(value)),
  decode: (body: Uint8Array): number => Number(new TextDecoder().decode(body)),
}

let made = 0

/** A name that no other test has. */
export function fresh(prefix: string): string {
  return `${prefix}-${Date.now().toString(36)}-${made++}`
}

/** A folder that is deleted when the test ends. */
export async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'sluice-nats-test-'))
  onTestFinished(() => rm(path, { recursive: true, force: true }))
  return path
}

/** A server that ends with the test. */
export async function server(binary: NatsBinary, options: NatsServerOptions = {}): Promise<NatsServer> {
  const running = await NatsServer.start(binary, options)
  onTestFinished(() => running.close())
  return running
}

/** A connection that is closed when the test ends. */
export async function open(url: string, options: ConnectOptions = {}): Promise<Cloud> {
  const cloud = await connect(url, { adapters: [adapter], create: true, ...options })
  onTestFinished(() => cloud.close({ timeoutMs: 2_000 }))
  return cloud
}

/** A driver that is closed when the test ends. */
export async function openDriver(url: string): Promise<Driver> {
  const driver = await NatsDriver.open(parseConfig(parseBackendUrl(url)), {
    clock: systemClock,
    logger: silentLogger,
    random: Math.random,
    leaseStore: undefined,
    signal: AbortSignal.timeout(10_000),
  })
  onTestFinished(() => driver.close())
  return driver
}

/** A topic of numbers. */
export function topicOf(cloud: Cloud, name: string): Topic<number> {
  return cloud.topic(name, { codec: numbers })
}

/** Reads with a group until so many values came; what came, in order. */
export async function collect(topic: Topic<number>, group: string, count: number): Promise<readonly number[]> {
  const seen: number[] = []
  const consumer = topic.consumer({ group, commitIntervalMs: 10 })
  await consumer.run(({ value }) => {
    seen.push(value)
    if (seen.length >= count) void consumer.close()
  })
  return seen
}

/** The StreamError a promise rejects with. */
export async function failure(promise: Promise<unknown>): Promise<StreamError> {
  const outcome: unknown = await promise.then(
    () => 'it did not reject',
    (error: unknown) => error,
  )
  if (StreamError.is(outcome)) return outcome
  throw new Error(`no StreamError: ${String(outcome)}`, { cause: outcome })
}
