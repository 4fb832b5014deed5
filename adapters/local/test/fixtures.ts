import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { parseBackendUrl, silentLogger, StreamError, systemClock } from '@sluice/driver'
import type {
  Clock,
  Driver,
  IncomingRecord,
  LogSource,
  OpenContext,
  OutgoingRecord,
  PartitionEvents,
  QueueSource,
  SendOutcome,
  StartFrom,
} from '@sluice/driver'
import { parseConfig } from '../src/config.ts'
import { openLocal } from '../src/module.ts'
import { StoreRegistry } from '../src/store/registry.ts'

/** A signal that never aborts. */
export const live: AbortSignal = new AbortController().signal

/** Plenty. */
export const credit = { records: 10_000, bytes: 64 * 1024 * 1024 }

/** A folder that goes when the test is over. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-local-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** What core would give. */
export function openContext(clock: Clock = systemClock): OpenContext {
  return { clock, logger: silentLogger, random: Math.random, leaseStore: undefined, signal: live }
}

/** Opens an address and closes it when the test is over. Each call has a thread of its own unless `registry` is given. */
export async function open(
  address: string,
  options: { readonly clock?: Clock; readonly registry?: StoreRegistry } = {},
): Promise<Driver> {
  const config = parseConfig(parseBackendUrl(address))
  const driver = await openLocal(config, openContext(options.clock), options.registry ?? new StoreRegistry())
  onTestFinished(() => driver.close())
  return driver
}

let ids = 0

/** A record with what matters to the test. */
export function record(
  fields: Partial<Omit<OutgoingRecord, 'body'>> & { readonly body?: string | Uint8Array } = {},
): OutgoingRecord {
  const { body = 'x', ...rest } = fields
  return {
    id: `id-${ids++}`,
    key: undefined,
    headers: {},
    producedAtMs: 0,
    expiresAtMs: undefined,
    partition: undefined,
    ...rest,
    body: typeof body === 'string' ? new TextEncoder().encode(body) : body,
  }
}

/** Sends and expects every record to be stored. */
export async function send(
  driver: Driver,
  topic: string,
  records: readonly OutgoingRecord[],
): Promise<readonly Stored[]> {
  const opened = await driver.openTopic(topic, live)
  const producer = await opened.producer(live)
  const outcomes = await producer.sendBatch(records, live)
  await producer.close()
  return outcomes.map(stored)
}

/** An outcome that is a success. */
export type Stored = Extract<SendOutcome, { ok: true }>

export function stored(outcome: SendOutcome): Stored {
  if (!outcome.ok) throw outcome.error
  return outcome
}

/** Remembers what a source tells. */
export class Recorder implements PartitionEvents {
  readonly log: string[] = []
  readonly assignedEpochs = new Map<string, number>()
  readonly failures: StreamError[] = []

  assigned(partition: string, epoch: number): void {
    this.log.push(`assigned ${partition}`)
    this.assignedEpochs.set(partition, epoch)
  }

  async revoking(partitions: readonly string[]): Promise<void> {
    for (const partition of partitions) {
      this.log.push(`revoking ${partition}`)
      this.assignedEpochs.delete(partition)
    }
  }

  lost(partitions: readonly string[]): void {
    for (const partition of partitions) {
      this.log.push(`lost ${partition}`)
      this.assignedEpochs.delete(partition)
    }
  }

  ended(partition: string, children: readonly string[]): void {
    this.log.push(`ended ${partition} -> ${children.join(' ')}`)
  }

  failed(error: StreamError): void {
    this.failures.push(error)
  }
}

/** Listens to nothing. */
export const noEvents: PartitionEvents = {
  assigned: () => undefined,
  revoking: () => Promise.resolve(),
  lost: () => undefined,
  ended: () => undefined,
  failed: () => undefined,
}

export interface Reader {
  readonly source: LogSource
  readonly events: Recorder
}

export async function subscribe(
  driver: Driver,
  topic: string,
  options: { readonly group?: string; readonly member?: string; readonly start?: StartFrom } = {},
): Promise<Reader> {
  const events = new Recorder()
  const opened = await driver.openTopic(topic, live)
  const source = await opened.subscribe(
    { group: options.group, member: options.member ?? 'm', start: options.start ?? { kind: 'earliest' }, events },
    live,
  )
  if (source.shape !== 'log') throw new Error('not a log')
  onTestFinished(() => source.close())
  return { source, events }
}

export async function subscribeQueue(driver: Driver, topic: string, group: string, member = 'm'): Promise<QueueSource> {
  const opened = await driver.openTopic(topic, live)
  const source = await opened.subscribe({ group, member, start: { kind: 'earliest' }, events: new Recorder() }, live)
  if (source.shape !== 'queue') throw new Error('not a queue')
  onTestFinished(() => source.close())
  return source
}

/** Polls until there are so many records; fails when they do not come. */
export async function take(source: LogSource, count: number): Promise<IncomingRecord[]> {
  const records: IncomingRecord[] = []
  const end = performance.now() + 30_000
  while (records.length < count) {
    if (performance.now() > end) throw new Error(`only ${records.length} of ${count} records came`)
    records.push(...(await source.poll({ ...credit, records: count - records.length }, live)))
  }
  return records
}

export function text(body: Uint8Array): string {
  return new TextDecoder().decode(body)
}

export function texts(records: readonly { readonly body: Uint8Array }[]): string[] {
  return records.map((each) => text(each.body))
}

/** The error a call rejects with. */
export async function rejection(work: Promise<unknown>): Promise<StreamError> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (StreamError.is(error)) return error
  throw new Error(`expected a StreamError, got ${String(error)}`)
}
