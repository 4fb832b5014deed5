import { randomBytes } from 'node:crypto'
import { sleep } from '@sluice/driver'
import type { Clock } from '@sluice/driver'
import { describeStream, restoreStream } from './description.ts'
import { Faults } from './faults.ts'
import { FileJournal, noJournal } from './journal.ts'
import type { Journal } from './journal.ts'
import { Later } from './later.ts'
import { Quotas } from './quotas.ts'
import { invalidArgument, notFound } from './service-error.ts'
import type { Shard, StoredRecord } from './shard.ts'
import { Stream } from './stream.ts'
import { Tokens } from './tokens.ts'

/** How the service behaves. */
export interface ServiceOptions {
  readonly account: string
  readonly clock: Clock
  /** Where data is kept; `undefined`: in memory. */
  readonly folder: string | undefined
  /** Whether quotas are enforced. */
  readonly quotas: boolean
  /** How long each change of a stream's or consumer's state takes, in milliseconds. */
  readonly stateMs: number
  /** How many open shards an account may have in a region. */
  readonly shardLimit: number
  /** How long an iterator can be used, in milliseconds. */
  readonly iteratorMs: number
  /** How long a subscription lasts, in milliseconds. */
  readonly subscriptionMs: number
  readonly resubscribeMs: number
}

/** A stream as requests name it. */
export interface StreamReference {
  readonly StreamName?: string | undefined
  readonly StreamARN?: string | undefined
}

/** One account of the service, in every region. */
export class Service {
  readonly options: ServiceOptions
  readonly faults: Faults = new Faults()
  readonly quotas: Quotas
  readonly tokens: Tokens
  readonly later: Later
  readonly #journal: Journal
  readonly #streams = new Map<string, Stream>()
  /** By the names of streams that were deleted a moment ago: the first second that the next one may use. */
  readonly #seconds = new Map<string, number>()
  readonly #closing = new AbortController()
  #broken: Error | undefined

  constructor(options: ServiceOptions) {
    this.options = options
    this.#journal = options.folder === undefined ? noJournal : new FileJournal(options.folder)
    this.quotas = new Quotas(options.quotas, () => options.clock.monotonic())
    this.tokens = new Tokens(this.#journal.secret(() => randomBytes(32)))
    this.later = new Later(options.clock, (error) => (this.#broken ??= error))
    for (const { id, description } of this.#journal.load()) {
      const stream = restoreStream(description, (shard) => this.#journal.records(id, shard))
      if (stream.status === 'DELETING') {
        // Nobody saw the end of its deletion; it is over.
        this.#journal.remove(id)
        continue
      }
      this.#streams.set(id, settled(stream, this.nowMs))
      this.#journal.save(id, describeStream(stream))
    }
  }

  get nowMs(): number {
    return Math.floor(this.options.clock.now())
  }

  /** What went wrong where nobody could be told: from then on everybody is. */
  get broken(): Error | undefined {
    return this.#broken
  }

  /** Ends when the server does. */
  get closing(): AbortSignal {
    return this.#closing.signal
  }

  wait(ms: number): Promise<void> {
    return ms > 0 ? sleep(this.options.clock, ms, this.closing) : Promise.resolve()
  }

  streamsOf(region: string): readonly Stream[] {
    return [...this.#streams]
      .filter(([id]) => id.startsWith(`${region}/`))
      .map(([, stream]) => stream)
      .toSorted((a, b) => (a.name < b.name ? -1 : 1))
  }

  find(region: string, name: string): Stream | undefined {
    return this.#streams.get(`${region}/${name}`)
  }

  /** The stream that a request names. One that is being made or deleted is there too, where a call asks for that. */
  stream(region: string, reference: StreamReference): Stream {
    const name = this.nameOf(region, reference)
    const stream = this.find(region, name)
    if (stream === undefined) throw notFound(`Stream ${name} under account ${this.options.account} not found.`)
    return stream
  }

  /** The stream that a request names, when records can be written and read. */
  usableStream(region: string, reference: StreamReference): Stream {
    const stream = this.stream(region, reference)
    if (!stream.usable) throw notFound(`Stream ${stream.name} under account ${this.options.account} not found.`)
    return stream
  }

  nameOf(region: string, { StreamName, StreamARN }: StreamReference): string {
    if (StreamARN === undefined) {
      if (StreamName === undefined) throw invalidArgument('Either the StreamARN or the StreamName must be provided.')
      return StreamName
    }
    const [, , , arnRegion, account, resource = ''] = StreamARN.split(':')
    const name = resource.replace(/^stream\//, '')
    if (StreamName !== undefined && StreamName !== name)
      throw invalidArgument('StreamARN and StreamName do not name the same stream.')
    if (arnRegion !== region || account !== this.options.account)
      throw notFound(`Stream ${name} under account ${account ?? ''} not found.`)
    return name
  }

  arnOf(region: string, name: string): string {
    const partition = region.startsWith('cn-') ? 'aws-cn' : region.startsWith('us-gov-') ? 'aws-us-gov' : 'aws'
    return `arn:${partition}:kinesis:${region}:${this.options.account}:stream/${name}`
  }

  make(region: string, name: string): Stream {
    const { account } = this.options
    const notBeforeSecond = this.#seconds.get(`${region}/${name}`) ?? 0
    const stream = new Stream({ name, arn: this.arnOf(region, name), account, madeAtMs: this.nowMs, notBeforeSecond })
    this.#streams.set(`${region}/${name}`, stream)
    return stream
  }

  /** What is set for the stream has changed. */
  changed(region: string, stream: Stream): void {
    const id = this.#currentId(region, stream)
    if (id !== undefined) this.#journal.save(id, describeStream(stream))
  }

  remove(region: string, stream: Stream): void {
    const id = this.#currentId(region, stream)
    if (id !== undefined) {
      this.#journal.remove(id)
      this.#streams.delete(id)
      this.#noteSeconds(id, stream)
    }
    for (const shard of stream.shards.values()) shard.wake()
  }

  /** Sequence numbers tell seconds apart, no less, and none may be given out twice under a name. */
  #noteSeconds(id: string, stream: Stream): void {
    const thisSecond = Math.floor(this.nowMs / 1_000)
    for (const [other, second] of this.#seconds) if (second < thisSecond) this.#seconds.delete(other)
    this.#seconds.set(id, Math.max(...[...stream.shards.values()].map(({ origin }) => origin.madeSecond), 0) + 1)
  }

  /** Keeps records that are about to be added to shards. Throws when they cannot be kept; then none is. */
  keep(region: string, stream: Stream, stored: ReadonlyMap<Shard, readonly StoredRecord[]>): void {
    const id = this.#currentId(region, stream)
    if (id === undefined || stored.size === 0) return
    this.#journal.append(
      id,
      [...stored].map(([{ id: shard }, records]) => ({ shard, records })),
    )
  }

  /** A shard that is to be read, once what is too old in it is forgotten; one that is too old itself is not there. */
  trimmedShard(region: string, stream: Stream, id: string): Shard {
    this.trim(region, stream, [stream.shard(id)])
    return stream.shard(id)
  }

  /** Forgets what is too old, in all shards where none are named. */
  trim(region: string, stream: Stream, shards: readonly Shard[] = [...stream.shards.values()]): void {
    const trimmed = shards.filter((shard) => stream.trim(shard, this.nowMs))
    const id = this.#currentId(region, stream)
    if (trimmed.length === 0 || id === undefined) return
    const trims = trimmed.map((shard) => ({
      shard: shard.id,
      below: stream.shards.has(shard.id) ? shard.first : Number.MAX_SAFE_INTEGER,
    }))
    this.#journal.trim(id, describeStream(stream), trims)
  }

  /** `undefined`: the stream was deleted; its name may be that of another by now. */
  #currentId(region: string, stream: Stream): string | undefined {
    const id = `${region}/${stream.name}`
    return this.#streams.get(id) === stream ? id : undefined
  }

  close(): void {
    this.#closing.abort()
    this.later.close()
    this.#journal.close()
  }
}

/** A change that was under way when the server ended has either happened or not; nothing is under way any more. */
function settled(stream: Stream, nowMs: number): Stream {
  if (stream.status === 'CREATING') stream.begin(nowMs)
  stream.status = 'ACTIVE'
  for (const consumer of stream.consumers.values()) {
    if (consumer.status === 'DELETING') stream.consumers.delete(consumer.name)
    else consumer.status = 'ACTIVE'
  }
  return stream
}
