import { StreamError, untilAborted } from '@sluice/driver'
import type {
  Clock,
  Driver,
  DriverTopic,
  IncomingRecord,
  PartitionId,
  Position,
  Source,
  StartFrom,
  TopicDescription,
} from '@sluice/driver'
import type { ReadMessage } from './api/message.ts'
import type { ReadOptions } from './api/topic.ts'
import { toStartFrom } from './start.ts'
import type { ValueFormat } from './values.ts'

const credit = { records: 500, bytes: 8 * 1024 * 1024 }
/** How often a read that brings only what came later looks whether anything is left, in milliseconds. */
const lookEveryMs = 1_000

/** What reading works with. */
export interface ReadPorts {
  readonly clock: Clock
  readonly driver: Driver
}

/**
 * Reads a topic without a group: nothing is settled, nobody else is disturbed. Throws `aborted` once its signal has, and
 * `closed` once the connection is: a read that was cut short must not look complete.
 */
export async function* readTopic<T>(
  open: () => Promise<DriverTopic>,
  { clock, driver }: ReadPorts,
  format: ValueFormat<unknown, T>,
  options: ReadOptions,
  signal: AbortSignal,
): AsyncGenerator<ReadMessage<T>> {
  try {
    yield* readUntil(open, { clock, driver }, format, options, signal)
  } catch (error) {
    throw signal.aborted ? cutShort(signal) : error
  }
}

function cutShort(signal: AbortSignal): StreamError {
  return StreamError.is(signal.reason, 'closed') ? signal.reason : StreamError.aborted(signal, 'the read')
}

async function* readUntil<T>(
  open: () => Promise<DriverTopic>,
  { clock, driver }: ReadPorts,
  format: ValueFormat<unknown, T>,
  options: ReadOptions,
  signal: AbortSignal,
): AsyncGenerator<ReadMessage<T>> {
  signal.throwIfAborted()
  const topic = await untilAborted(open(), signal, () => cutShort(signal))
  const start = toStartFrom(options.from ?? 'earliest')
  const describe = (): Promise<TopicDescription> => driver.admin.describeTopic(topic.name, signal)
  const end = options.follow === true ? undefined : new ReadEnd(topic, start, await describe())
  if (end?.reached === true) return
  const broken = new AbortController()
  const ended = AbortSignal.any([signal, broken.signal])
  const events = {
    assigned: ignore,
    revoking: () => Promise.resolve(),
    lost: ignore,
    ended: ignore,
    failed: (error: StreamError) => broken.abort(error),
  }
  const subscription = { group: undefined, member: 'reader', start, events }
  const source = await topic.subscribe(subscription, signal)
  try {
    let lookedMs = clock.monotonic()
    while (!ended.aborted) {
      const records = await readOnce(source, ended)
      const wanted = end === undefined ? records : records.filter((record) => end.includes(record))
      for (const record of wanted) {
        signal.throwIfAborted()
        yield await readable(record, topic.name, format)
      }
      if (end?.note(records, source) === true) return
      const nowMs = clock.monotonic()
      if (wanted.length > 0) lookedMs = nowMs
      // A topic that is written to all the time brings something with each read, and never what is waited for.
      else if (records.length === 0 || nowMs - lookedMs >= lookEveryMs) {
        lookedMs = nowMs
        if ((await end?.lookAgain(describe, source)) === true) return
      }
    }
    ended.throwIfAborted()
  } finally {
    await source.close()
  }
}

async function readOnce(source: Source, signal: AbortSignal): Promise<readonly IncomingRecord[]> {
  try {
    if (source.shape === 'log') return await source.poll(credit, signal)
    const records = await source.pull(credit, signal)
    await source.settle(
      records.map((record) => ({ token: record.token, verb: 'ack' as const })),
      signal,
    )
    return records
  } catch (error) {
    if (signal.aborted) return []
    throw error
  }
}

/**
 * Where a read that does not follow ends: at what was stored when it began. A read that brings nothing is no end, because
 * a backend may be slow or answer in between with nothing; only where nothing tells what is left must it be taken for one.
 */
class ReadEnd {
  readonly #topic: DriverTopic
  readonly #start: StartFrom
  readonly #left = new Map<PartitionId, Position>()
  readonly #known: boolean
  #emptyReads = 0

  constructor(topic: DriverTopic, start: StartFrom, description: TopicDescription) {
    this.#topic = topic
    this.#start = start
    this.#known = description.partitions.every((partition) => partition.records === 0 || partition.latest !== undefined)
    for (const { id, latest, records } of description.partitions)
      if (latest !== undefined && records !== 0 && !this.#startsBehind(id, latest)) this.#left.set(id, latest)
  }

  get reached(): boolean {
    return this.#start.kind === 'latest' || (this.#known && this.#left.size === 0)
  }

  includes(record: IncomingRecord): boolean {
    if (!this.#known || record.position === undefined) return true
    const last = this.#left.get(record.partition)
    return last !== undefined && this.#topic.comparePositions(record.position, last) <= 0
  }

  /** Notes what a read brought; true at the end. */
  note(records: readonly IncomingRecord[], source: Source): boolean {
    if (!this.#known && caughtUp(source) === true) return true
    if (records.some((record) => this.includes(record))) this.#emptyReads = 0
    for (const record of records) {
      const last = this.#left.get(record.partition)
      if (last === undefined || record.position === undefined) continue
      if (this.#topic.comparePositions(record.position, last) >= 0) this.#left.delete(record.partition)
    }
    return this.reached
  }

  /** A read brought nothing that is waited for; true when nothing is left that could come. What retention has removed meanwhile is not. */
  async lookAgain(describe: () => Promise<TopicDescription>, source: Source): Promise<boolean> {
    this.#emptyReads++
    if (!this.#known) return caughtUp(source) ?? true
    // No record may be as young as the time asked for, and nothing tells.
    if (this.#start.kind === 'time' && this.#emptyReads >= 2) return true
    const { partitions } = await describe()
    for (const [id, last] of this.#left) {
      const now = partitions.find((partition) => partition.id === id)
      const isGone = now === undefined || now.records === 0
      const earliest = now?.earliest
      if (isGone || (earliest !== undefined && this.#topic.comparePositions(earliest, last) > 0)) this.#left.delete(id)
    }
    return this.reached
  }

  #startsBehind(id: PartitionId, latest: Position): boolean {
    const from = this.#start.kind === 'position' ? this.#start.positions[id] : undefined
    return from !== undefined && this.#topic.comparePositions(from, latest) > 0
  }
}

/** `undefined`: the source does not tell. */
function caughtUp(source: Source): boolean | undefined {
  return source.shape === 'log' ? source.caughtUp?.() : undefined
}

async function readable<T>(
  record: IncomingRecord,
  topic: string,
  format: ValueFormat<unknown, T>,
): Promise<ReadMessage<T>> {
  const value = await format.decode(record.body, () => `message ${record.id} of topic "${topic}"`)
  return {
    id: record.id,
    topic,
    key: record.key,
    value,
    headers: record.headers,
    partition: record.partition,
    position: record.position,
    time: new Date(record.timeMs),
    expiresAt: record.expiresAtMs === undefined ? undefined : new Date(record.expiresAtMs),
    body: record.body,
    native: () => record.native,
  }
}

function ignore(): void {
  // A reader has nothing to settle, so partitions may come and go.
}
