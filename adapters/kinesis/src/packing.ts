import { Buffer } from 'node:buffer'
import type { OutgoingRecord } from '@sluice/driver'
import { aggregate, aggregatedBytes, emptyAggregateBytes } from './aggregate.ts'
import type { Piece } from './aggregate.ts'
import { encodeRecord, partitionKeyOf, toPiece } from './codec.ts'
import type { KinesisConfig } from './config.ts'
import type { Allocate } from './memory.ts'

/** A record of the stream as it is to be written, and which records of the batch are in it. */
export interface Parcel {
  readonly partitionKey: string
  /** The partition that was asked for. */
  readonly partition: string | undefined
  /** Where that partition begins: a hash key goes before the partition key. */
  readonly explicitHashKey: string | undefined
  /** Those that the service counts, of its data and the partition key; at most. */
  readonly bytes: number
  /** Indexes into the batch, in the order in which they stand in it. */
  readonly members: readonly number[]
  /** Its data, written now: what is held back costs nothing. */
  data(): Buffer
}

/** What of one key follows one another: only when a parcel is stored may the next be sent. Of no key, everything at once. */
export interface Lane {
  readonly parcels: readonly Parcel[]
}

/** How records are put together. */
export type PackingOptions = Pick<KinesisConfig, 'encoding' | 'aggregation' | 'aggregateBytes'>

/** A hash key in a partition; `undefined`: it is not known. */
export type HashKeyOf = (partition: string) => string | undefined

/** What packing works with. */
export interface PackingDeps {
  readonly options: PackingOptions
  readonly hashKeyOf: HashKeyOf
  /** Where aggregates are written. */
  readonly allocate: Allocate
}

/**
 * Puts the records of a batch into records of the stream. An aggregate is of one key alone, because the KCL drops one in
 * which a key lies outside the shard's range; and it is stored whole or not at all, so it keeps the order of its records.
 * A key keeps its order also where some of its records name a partition, which may be that of the key.
 */
export function pack(records: readonly OutgoingRecord[], deps: PackingDeps): readonly Lane[] {
  const keyed = new Map<string, number[]>()
  /** By the partition that is asked for. */
  const keyless = new Map<string, number[]>()
  const lanes: Lane[] = []
  for (const [index, record] of records.entries()) {
    const { key, partition } = record
    if (key === undefined && !deps.options.aggregation) {
      lanes.push({ parcels: [lone(record, index, partitionKeyOf(key), deps)] })
      continue
    }
    const alike = key === undefined ? keyless : keyed
    const name = key ?? partition ?? ''
    const members = alike.get(name)
    if (members === undefined) alike.set(name, [index])
    else members.push(index)
  }
  for (const members of [...keyed.values(), ...keyless.values()]) lanes.push(...lanesOf(records, members, deps))
  return lanes
}

function lanesOf(records: readonly OutgoingRecord[], members: readonly number[], deps: PackingDeps): readonly Lane[] {
  const { options } = deps
  const { key } = records[members[0] ?? 0] as OutgoingRecord
  if (!options.aggregation) {
    const partitionKey = partitionKeyOf(key)
    return [{ parcels: members.map((index) => lone(records[index] as OutgoingRecord, index, partitionKey, deps)) }]
  }
  const runs = runsOf(records, members, options.aggregateBytes)
  // Without a key, each has one of its own, so that they spread over the shards.
  if (key === undefined) return runs.map((run) => ({ parcels: [new Together(run, partitionKeyOf(key), deps)] }))
  const partitionKey = partitionKeyOf(key)
  return [{ parcels: runs.map((run) => new Together(run, partitionKey, deps)) }]
}

/** What goes into one aggregate. */
interface Run {
  readonly partition: string | undefined
  readonly members: number[]
  readonly pieces: Piece[]
  /** Those of the partition key are among them. */
  bytes: number
}

/** Cut where an aggregate would grow too large, or another partition is asked for. The service counts the partition key too. */
function runsOf(records: readonly OutgoingRecord[], members: readonly number[], maxBytes: number): readonly Run[] {
  const runs: Run[] = []
  let run: Run | undefined
  for (const index of members) {
    const record = records[index] as OutgoingRecord
    const { key, partition } = record
    const piece = toPiece(record)
    const own = aggregatedBytes(piece.bytes, partition !== undefined)
    if (run === undefined || run.bytes + own > maxBytes || partition !== run.partition) {
      const keyBytes = Buffer.byteLength(partitionKeyOf(key))
      const bytes = keyBytes + emptyAggregateBytes(keyBytes, partition !== undefined)
      run = { partition, members: [], pieces: [], bytes }
      runs.push(run)
    }
    run.bytes += own
    run.members.push(index)
    run.pieces.push(piece)
  }
  return runs
}

class Together implements Parcel {
  readonly partitionKey: string
  readonly partition: string | undefined
  readonly explicitHashKey: string | undefined
  readonly bytes: number
  readonly members: readonly number[]
  readonly #pieces: readonly Piece[]
  readonly #allocate: Allocate

  constructor({ partition, members, pieces, bytes }: Run, partitionKey: string, deps: PackingDeps) {
    this.partitionKey = partitionKey
    this.partition = partition
    this.explicitHashKey = partition === undefined ? undefined : deps.hashKeyOf(partition)
    this.bytes = bytes
    this.members = members
    this.#pieces = pieces
    this.#allocate = deps.allocate
  }

  data(): Buffer {
    return aggregate(this.partitionKey, this.#pieces, this.explicitHashKey, this.#allocate)
  }
}

function lone(record: OutgoingRecord, index: number, partitionKey: string, deps: PackingDeps): Parcel {
  const { partition } = record
  const explicitHashKey = partition === undefined ? undefined : deps.hashKeyOf(partition)
  const data = encodeRecord(deps.options.encoding, partitionKey, record, explicitHashKey)
  const bytes = data.length + Buffer.byteLength(partitionKey)
  return { partitionKey, partition, explicitHashKey, bytes, members: [index], data: () => data }
}
