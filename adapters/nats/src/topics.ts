import { DiscardPolicy, RetentionPolicy, StorageType } from '@nats-io/jetstream'
import type { StreamConfig, StreamInfo } from '@nats-io/jetstream'
import { nanos, nuid } from '@nats-io/transport-node'
import { sleep, StreamError } from '@sluice/driver'
import type { Clock, TopicSpec } from '@sluice/driver'
import { storesTogether } from './acks.ts'
import { encodeName } from './codec.ts'
import type { NatsConfig } from './config.ts'
import type { Connection } from './connection.ts'
import { isStreamMissing } from './errors.ts'
import { barrierSubject, firstPartitions, misfits, nextPartitions, streamOf, subjectsOf, takeOver } from './layout.ts'
import type { TopicInfo } from './layout.ts'
import type { Entry, Store } from './store.ts'

/** A topic as the bucket and its stream have it. */
export interface FoundTopic {
  readonly info: TopicInfo
  readonly revision: number
  readonly stream: StreamInfo
}

/** Compare-and-swaps that meet somebody else's write before it is given up. */
const maxAttempts = 20
/** How often to look whether somebody else is done, in milliseconds. */
const lookEveryMs = 20

/**
 * Topics: a stream each, and an entry in the bucket that says how its subjects are to be read. The entry is written by
 * compare-and-swap, and whatever was begun and not finished is finished by whoever comes next.
 */
export class Topics {
  readonly #connection: Connection
  readonly #store: Store
  readonly #config: NatsConfig
  readonly #clock: Clock

  constructor(connection: Connection, store: Store, config: NatsConfig, clock: Clock) {
    this.#connection = connection
    this.#store = store
    this.#config = config
    this.#clock = clock
  }

  /** Rejects with `not-found` when there is no such topic. */
  async get(name: string): Promise<FoundTopic> {
    // The entry first: while a cluster makes a stream, questions about the stream may stay without an answer.
    const entry = await this.#entry(name)
    if (entry?.value.streamCreated === undefined) {
      throw notFound(name, entry === undefined && (await this.#hasStream(name)), this.#config.safe)
    }
    const stream = await this.stream(name)
    if (stream === undefined || isStale(entry.value, stream)) {
      throw notFound(name, stream !== undefined, this.#config.safe)
    }
    const found = { info: entry.value, revision: entry.revision, stream }
    return found.info.next === undefined ? found : this.#finishTakeOver(found)
  }

  /** The topic's stream, if it is there. */
  async stream(name: string, subjectsFilter?: string): Promise<StreamInfo | undefined> {
    try {
      const options = subjectsFilter === undefined ? undefined : { subjects_filter: subjectsFilter }
      return await this.#connection.streams.streams.info(streamOf(name), options)
    } catch (error) {
      if (isStreamMissing(error)) return undefined
      throw error
    }
  }

  /** The names in the bucket; a stream that somebody else deleted may be gone. */
  async names(): Promise<readonly string[]> {
    const entries = await this.#store.list<TopicInfo>('topics.*')
    const streams = new Set<string>()
    for await (const name of this.#connection.streams.streams.names()) streams.add(name)
    return entries.flatMap(({ value }) => (streams.has(streamOf(value.name)) ? [value.name] : [])).toSorted()
  }

  async create(name: string, spec: TopicSpec): Promise<'created' | 'exists'> {
    await this.#store.prepare()
    for (let attempt = 1; attempt <= maxAttempts; attempt++) {
      const entry = await this.#settledEntry(name)
      if (entry !== undefined && entry.value.streamCreated === undefined) {
        checkSame(name, spec, entry.value)
        await this.#finishCreation(entry, spec)
        return 'exists'
      }
      // After the entry, which is written before its stream is made: so no entry is taken for stale that is not.
      const stream = await this.stream(name)
      if (entry !== undefined && !isStale(entry.value, stream)) {
        checkSame(name, spec, entry.value)
        return 'exists'
      }
      const outcome = await this.#begin(name, spec, stream, entry)
      if (outcome !== undefined) return outcome
      await sleep(this.#clock, lookEveryMs)
    }
    throw busy(name)
  }

  /** Changes the number of open partitions. */
  async setPartitions(name: string, count: number): Promise<void> {
    for (let attempt = 1; attempt <= maxAttempts; attempt++) {
      const found = await this.get(name)
      const { info, revision } = found
      if (info.order === 'none') {
        throw new StreamError('conflict', `topic "${name}" has order none, and no number of partitions to change`)
      }
      if (info.partitions.filter((partition) => !partition.ended).length === count) return
      if (info.adopted) {
        throw new StreamError(
          'conflict',
          `the stream of topic "${name}" was not made by Sluice, so its subjects stay as they are; make a new topic`,
        )
      }
      const planned: TopicInfo = { ...info, next: nextPartitions(info.partitions, count) }
      const written = await this.#store.replace(keyOf(name), planned, revision)
      if (written === undefined) await sleep(this.#clock, lookEveryMs)
      else await this.#finishTakeOver({ ...found, info: planned, revision: written })
    }
    throw busy(name)
  }

  async setRetention(name: string, retention: Pick<TopicSpec, 'retentionMs' | 'retentionBytes'>): Promise<void> {
    const { stream } = await this.get(name)
    const maxAge = 'retentionMs' in retention ? (retention.retentionMs ?? 0) : stream.config.max_age / 1e6
    await this.#connection.streams.streams.update(streamOf(name), {
      max_age: nanos(maxAge),
      duplicate_window: nanos(this.#dedupMs(maxAge)),
      ...('retentionBytes' in retention ? { max_bytes: retention.retentionBytes ?? -1 } : {}),
    })
  }

  /** Deletes the stream, the entry, and what groups keep in the bucket. */
  async remove(name: string): Promise<void> {
    const { info } = await this.get(name)
    await this.#connection.streams.streams.delete(streamOf(name))
    await this.#store.purge(keyOf(name))
    await this.#forgetGroups(info.id)
  }

  /** Writes the entry of a topic that is not known; `undefined`: somebody else was first. */
  async #begin(
    name: string,
    spec: TopicSpec,
    stream: StreamInfo | undefined,
    stale: Entry<TopicInfo> | undefined,
  ): Promise<'created' | 'exists' | undefined> {
    const order = spec.order ?? 'key'
    const partitions = firstPartitions(order === 'none' ? 1 : (spec.partitions ?? this.#config.partitions))
    const adopted = stream !== undefined
    const info: TopicInfo = {
      // Not of the connection's random numbers, which tests repeat.
      id: nuid.next(),
      name,
      order,
      adopted,
      streamCreated: stream?.created,
      partitions,
      next: undefined,
    }
    if (stream !== undefined) this.#refuseMisfit(info, stream, spec)
    const revision =
      stale === undefined
        ? await this.#store.create(keyOf(name), info)
        : await this.#store.replace(keyOf(name), info, stale.revision)
    if (revision === undefined) return undefined
    if (stale !== undefined) await this.#forgetGroups(stale.value.id)
    if (adopted) return 'exists'
    try {
      await this.#finishCreation({ key: keyOf(name), value: info, revision }, spec)
    } catch (error) {
      await this.#store.remove(keyOf(name), revision)
      throw error
    }
    return 'created'
  }

  /** Makes the stream of an entry that has none yet. */
  async #finishCreation(entry: Entry<TopicInfo>, spec: TopicSpec): Promise<void> {
    const { value: info, revision } = entry
    const stream = (await this.stream(info.name)) ?? (await this.#addStream(info, spec))
    await this.#store.replace(entry.key, { ...info, streamCreated: stream.created }, revision)
  }

  /**
   * The entry, once its stream is made. Whoever wrote it is at that, most likely; of two requests to make a stream a cluster
   * may answer only one. An entry that stays without a stream was left behind.
   */
  async #settledEntry(name: string): Promise<Entry<TopicInfo> | undefined> {
    const end = this.#clock.monotonic() + this.#config.requestTimeoutMs
    for (;;) {
      const entry = await this.#entry(name)
      const settled = entry === undefined || entry.value.streamCreated !== undefined
      if (settled || this.#clock.monotonic() > end) return entry
      await sleep(this.#clock, lookEveryMs)
    }
  }

  /** For a message only: no answer is no stream. */
  async #hasStream(name: string): Promise<boolean> {
    try {
      return (await this.stream(name)) !== undefined
    } catch {
      return false
    }
  }

  async #addStream(info: TopicInfo, spec: TopicSpec): Promise<StreamInfo> {
    const { replicas, storage } = this.#config
    const maxAge = spec.retentionMs ?? 0
    const config: Partial<StreamConfig> & { readonly name: string } = {
      name: streamOf(info.name),
      description: `Topic "${info.name}" of Sluice, order ${info.order}`,
      subjects: subjectsOf(info.name, info.order, info.partitions),
      retention: RetentionPolicy.Limits,
      discard: DiscardPolicy.Old,
      storage: storage === 'memory' ? StorageType.Memory : StorageType.File,
      num_replicas: replicas,
      max_age: nanos(maxAge),
      max_bytes: spec.retentionBytes ?? -1,
      duplicate_window: nanos(this.#dedupMs(maxAge)),
      ...(info.order === 'key' && storesTogether(this.#connection) ? { allow_atomic: true } : {}),
    }
    return this.#connection.streams.streams.add(config)
  }

  /**
   * Lets the next partitions take over. First the stream stops taking the old subjects, so that no producer, however
   * late, can write behind the end; then a mark shows that everything before is stored; then the entry says so.
   */
  async #finishTakeOver(found: FoundTopic): Promise<FoundTopic> {
    const { info, revision } = found
    if (info.next === undefined) return found
    const { streams } = this.#connection.streams
    const old = subjectsOf(info.name, info.order, info.partitions)
    // Subjects that somebody else gave to the stream stay.
    const others = (found.stream.config.subjects ?? []).filter((subject) => !old.includes(subject))
    const subjects = [...new Set([...subjectsOf(info.name, info.order, info.next), ...others])]
    await streams.update(streamOf(info.name), { subjects })
    const mark = await this.#connection.jetstream.publish(barrierSubject(info.name), '', {
      msgID: `${info.id}.${info.next[0]?.id ?? ''}`,
    })
    const done = takeOver(info, mark.seq)
    const written = await this.#store.replace(keyOf(info.name), done, revision)
    return written === undefined ? this.get(info.name) : { ...found, info: done, revision: written }
  }

  #refuseMisfit(info: TopicInfo, stream: StreamInfo, spec: TopicSpec): void {
    const wanted = subjectsOf(info.name, 'none', info.partitions)
    const problems = [...misfits(stream.config, wanted, this.#config.dedupMs)]
    if (spec.retentionMs !== undefined && nanos(spec.retentionMs) !== stream.config.max_age)
      problems.push(`keeps records for ${stream.config.max_age / 1e6} ms, not for ${spec.retentionMs}`)
    if (problems.length === 0) return
    throw new StreamError(
      'conflict',
      `the stream ${streamOf(info.name)} exists and cannot carry topic "${info.name}": it ${problems.join('; it ')}`,
    )
  }

  #dedupMs(maxAgeMs: number): number {
    return maxAgeMs === 0 ? this.#config.dedupMs : Math.min(this.#config.dedupMs, maxAgeMs)
  }

  async #forgetGroups(id: string): Promise<void> {
    await this.#store.purge(`groups.${id}.>`)
    await this.#store.purge(`leases.${id}.>`)
  }

  #entry(name: string): Promise<Entry<TopicInfo> | undefined> {
    return this.#store.get<TopicInfo>(keyOf(name))
  }
}

function keyOf(topic: string): string {
  return `topics.${encodeName(topic)}`
}

/** The entry is of a stream that is not there any more. */
function isStale(info: TopicInfo, stream: StreamInfo | undefined): boolean {
  return info.streamCreated !== undefined && info.streamCreated !== stream?.created
}

function checkSame(name: string, spec: TopicSpec, info: TopicInfo): void {
  const open = info.partitions.filter((partition) => !partition.ended).length
  const differs =
    spec.order !== undefined && spec.order !== info.order
      ? `order ${info.order}, not ${spec.order}`
      : spec.partitions !== undefined && info.order === 'key' && spec.partitions !== open
        ? `${open} partitions, not ${spec.partitions}`
        : undefined
  if (differs !== undefined) throw new StreamError('conflict', `topic "${name}" exists with ${differs}`)
}

function notFound(name: string, streamThere: boolean, safe: string): StreamError {
  const hint = streamThere
    ? `; there is a stream ${streamOf(name)}, and creating the topic takes it over if it fits`
    : '; create it first (admin.createTopic, or: sluice topics create)'
  return new StreamError('not-found', `topic "${name}" does not exist on ${safe}${hint}`, { details: { topic: name } })
}

function busy(name: string): StreamError {
  return new StreamError('unavailable', `topic "${name}" is being changed by others all the time; try again`)
}
