import { Kvm } from '@nats-io/kv'
import type { KV } from '@nats-io/kv'
import { StorageType } from '@nats-io/jetstream'
import type { JetStreamManager } from '@nats-io/jetstream'
import { StreamError } from '@sluice/driver'
import type { Connection } from './connection.ts'
import type { NatsConfig } from './config.ts'
import { isStreamMissing, isWrongSequence } from './errors.ts'

/** A value with the revision that a compare-and-swap names. */
export interface Entry<T> {
  readonly key: string
  readonly value: T
  readonly revision: number
}

/** Reads of a key that the server counts and does not give out. */
const maxTries = 3

/**
 * Small JSON values in one key-value bucket. Reads go to the leader of its stream, so that they show every write that was
 * acknowledged before; keys that are taken out leave nothing behind.
 */
export class Store {
  readonly #connection: Connection
  readonly #config: NatsConfig
  #bucket: Promise<KV> | undefined

  constructor(connection: Connection, config: NatsConfig) {
    this.#connection = connection
    this.#config = config
  }

  /** Makes the bucket unless it is there. */
  async prepare(): Promise<void> {
    const { bucket, replicas, storage } = this.#config
    const made = await new Kvm(this.#connection.jetstream).create(bucket, {
      history: 1,
      replicas,
      storage: storage === 'memory' ? StorageType.Memory : StorageType.File,
      allow_direct: false,
      description: 'Topics, groups and leases of Sluice',
    })
    this.#bucket = Promise.resolve(made)
  }

  /**
   * The server says that there is no message also when it could not load one, whatever the reason: `jsMsgGetRequest` of 2.9.25
   * and 2.15.2. So a key is not there only if its stream does not count it either.
   */
  async get<T>(key: string): Promise<Entry<T> | undefined> {
    try {
      const bucket = await this.#open()
      for (let tries = 0; tries < maxTries; tries++) {
        const entry = await bucket.get(key)
        if (entry !== null && entry.operation !== 'PUT') return undefined
        if (entry !== null) return { key, value: parse<T>(entry.string(), key), revision: entry.revision }
        if ((await this.keys(key)).length === 0) return undefined
      }
      throw new StreamError(
        'unavailable',
        `the server counts ${key} in the bucket, and does not give it out; try again`,
      )
    } catch (error) {
      if (isStreamMissing(error)) return undefined
      throw error
    }
  }

  /** Adds a key; `undefined`: somebody else was first. */
  async create(key: string, value: unknown): Promise<number | undefined> {
    return casOf((await this.#open()).create(key, JSON.stringify(value)))
  }

  /** Replaces the value of that revision; `undefined`: somebody else was first. */
  async replace(key: string, value: unknown, revision: number): Promise<number | undefined> {
    return casOf((await this.#open()).update(key, JSON.stringify(value), revision))
  }

  /** Takes the value of that revision out; false: somebody else was first. */
  async remove(key: string, revision: number): Promise<boolean> {
    const removed = (await this.#open()).delete(key, { previousSeq: revision }).then(() => 1)
    return (await casOf(removed)) !== undefined
  }

  /** Takes out every key that the pattern takes, whatever is in it. */
  async purge(pattern: string): Promise<void> {
    await this.#streams.streams.purge(this.#stream, { filter: this.#subject(pattern) })
  }

  /** The keys that the pattern takes. */
  async keys(pattern: string): Promise<readonly string[]> {
    try {
      const filter = this.#subject(pattern)
      const { state } = await this.#streams.streams.info(this.#stream, { subjects_filter: filter })
      const start = this.#subject('').length
      return Object.keys(state.subjects ?? {}).map((subject) => subject.slice(start))
    } catch (error) {
      if (isStreamMissing(error)) return []
      throw error
    }
  }

  /** The entries that the pattern takes. */
  async list<T>(pattern: string): Promise<readonly Entry<T>[]> {
    const entries = await Promise.all((await this.keys(pattern)).map((key) => this.get<T>(key)))
    return entries.filter((entry) => entry !== undefined)
  }

  get #streams(): JetStreamManager {
    return this.#connection.streams
  }

  get #stream(): string {
    return `KV_${this.#config.bucket}`
  }

  #subject(key: string): string {
    return `$KV.${this.#config.bucket}.${key}`
  }

  #open(): Promise<KV> {
    this.#bucket ??= new Kvm(this.#connection.jetstream).open(this.#config.bucket, { allow_direct: false })
    return this.#bucket
  }
}

async function casOf(write: Promise<number>): Promise<number | undefined> {
  try {
    return await write
  } catch (error) {
    if (isWrongSequence(error)) return undefined
    throw error
  }
}

function parse<T>(text: string, key: string): T {
  try {
    return JSON.parse(text) as T
  } catch (cause) {
    throw new StreamError('corrupt', `the bucket's value of ${key} is not JSON; somebody else wrote it`, { cause })
  }
}
