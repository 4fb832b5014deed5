import { Buffer } from 'node:buffer'
import type { OutgoingRecord } from '@sluice/driver'
import { aggregatedBytes, emptyAggregateBytes } from './aggregate.ts'
import { encodeRecords, partitionKeyOf, toAggregated } from './codec.ts'
import type { KinesisConfig } from './config.ts'

/** A record of the stream as it is to be written, and which records of the batch are in it. */
export interface Parcel {
  readonly partitionKey: string
  /** The partition that was asked for. */
  readonly partition: string | undefined
  /** Where that partition begins: a hash key goes before the partition key. */
  readonly explicitHashKey: string | undefined
  readonly data: Buffer
  /** Indexes into the batch, in the order in which they stand in it. */
  readonly members: readonly number[]
}

/** What of one key follows one another: only when a parcel is stored may the next be sent. Of no key, everything at once. */
export interface Lane {
  readonly parcels: readonly Parcel[]
}

/** How records are put together. */
export type PackingOptions = Pick<KinesisConfig, 'encoding' | 'aggregation' | 'aggregateBytes'>

/** A hash key in a partition; `undefined`: it is not known. */
export type HashKeyOf = (partition: string) => string | undefined

/**
 * Puts the records of a batch into records of the stream. An aggregate is of one key alone, because the KCL drops one in
 * which a key lies outside the shard's range; and it is stored whole or not at all, so it keeps the order of its records.
 * A key keeps its order also where some of its records name a partition, which may be that of the key.
 */
export function pack(
  records: readonly OutgoingRecord[],
  options: PackingOptions,
  hashKeyOf: HashKeyOf = () => undefined,
): readonly Lane[] {
  const lanes = new Map<string, number[]>()
  const lone: Lane[] = []
  for (const [index, record] of records.entries()) {
    const { key, partition } = record
    if (key === undefined && !options.aggregation) {
      lone.push({ parcels: [parcelOf(records, [index], partitionKeyOf(key), options, hashKeyOf)] })
      continue
    }
    const lane = key === undefined ? (partition ?? '') : `=${key}`
    const members = lanes.get(lane)
    if (members === undefined) lanes.set(lane, [index])
    else members.push(index)
  }
  return [...lone, ...[...lanes.values()].flatMap((members) => lanesOf(records, members, options, hashKeyOf))]
}

function lanesOf(
  records: readonly OutgoingRecord[],
  members: readonly number[],
  options: PackingOptions,
  hashKeyOf: HashKeyOf,
): readonly Lane[] {
  const { key } = records[members[0] ?? 0] as OutgoingRecord
  const runs = options.aggregation ? runsOf(records, members, options.aggregateBytes) : members.map((index) => [index])
  // Without a key, each has one of its own, so that they spread over the shards.
  if (key === undefined)
    return runs.map((run) => ({ parcels: [parcelOf(records, run, partitionKeyOf(key), options, hashKeyOf)] }))
  const partitionKey = partitionKeyOf(key)
  return [{ parcels: runs.map((run) => parcelOf(records, run, partitionKey, options, hashKeyOf)) }]
}

/** Cut where an aggregate would grow too large, or another partition is asked for. The service counts the partition key too. */
function runsOf(
  records: readonly OutgoingRecord[],
  members: readonly number[],
  maxBytes: number,
): readonly (readonly number[])[] {
  const runs: number[][] = []
  let bytes = Infinity
  let last: string | undefined
  for (const index of members) {
    const record = records[index] as OutgoingRecord
    const { key, partition } = record
    const own = aggregatedBytes(toAggregated(record), partition !== undefined)
    if (bytes + own > maxBytes || partition !== last) {
      const keyBytes = Buffer.byteLength(partitionKeyOf(key))
      runs.push([])
      bytes = keyBytes + emptyAggregateBytes(keyBytes, partition !== undefined)
      last = partition
    }
    bytes += own
    runs.at(-1)?.push(index)
  }
  return runs
}

function parcelOf(
  records: readonly OutgoingRecord[],
  members: readonly number[],
  partitionKey: string,
  { encoding }: PackingOptions,
  hashKeyOf: HashKeyOf,
): Parcel {
  const packed = members.map((index) => records[index]) as [OutgoingRecord, ...OutgoingRecord[]]
  const [{ partition }] = packed
  const explicitHashKey = partition === undefined ? undefined : hashKeyOf(partition)
  const data = encodeRecords(encoding, partitionKey, packed, explicitHashKey)
  return { partitionKey, partition, explicitHashKey, data, members }
}
