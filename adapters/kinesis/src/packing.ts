import { Buffer } from 'node:buffer'
import type { OutgoingRecord } from '@sluice/driver'
import { aggregatedBytes, emptyAggregateBytes } from './aggregate.ts'
import { encodeRecords, partitionKeyOf, toAggregated } from './codec.ts'
import type { KinesisConfig } from './config.ts'

/** A record of the stream as it is to be written, and which records of the batch are in it. */
export interface Parcel {
  readonly partitionKey: string
  readonly data: Buffer
  /** Indexes into the batch, in the order in which they stand in it. */
  readonly members: readonly number[]
}

/** What of one key follows one another: only when a parcel is stored may the next be sent. Of no key, everything at once. */
export interface Lane {
  /** The partition that was asked for. */
  readonly partition: string | undefined
  readonly parcels: readonly Parcel[]
}

/** How records are put together. */
export type PackingOptions = Pick<KinesisConfig, 'encoding' | 'aggregation' | 'aggregateBytes'>

/**
 * Puts the records of a batch into records of the stream. An aggregate is of one key alone, because the KCL drops one in
 * which a key lies outside the shard's range; and it is stored whole or not at all, so it keeps the order of its records.
 */
export function pack(records: readonly OutgoingRecord[], options: PackingOptions): readonly Lane[] {
  const lanes = new Map<string, number[]>()
  const lone: Lane[] = []
  for (const [index, record] of records.entries()) {
    const { key, partition } = record
    if (key === undefined && !options.aggregation) {
      lone.push({ partition, parcels: [parcelOf(records, [index], partitionKeyOf(key), options)] })
      continue
    }
    const lane = `${partition ?? ''}\n${key === undefined ? '' : `=${key}`}`
    const members = lanes.get(lane)
    if (members === undefined) lanes.set(lane, [index])
    else members.push(index)
  }
  return [...lone, ...[...lanes.values()].flatMap((members) => lanesOf(records, members, options))]
}

function lanesOf(
  records: readonly OutgoingRecord[],
  members: readonly number[],
  options: PackingOptions,
): readonly Lane[] {
  const { key, partition } = records[members[0] ?? 0] as OutgoingRecord
  const runs = options.aggregation ? runsOf(records, members, options.aggregateBytes) : members.map((index) => [index])
  // Without a key, each has one of its own, so that they spread over the shards.
  if (key === undefined)
    return runs.map((run) => ({ partition, parcels: [parcelOf(records, run, partitionKeyOf(key), options)] }))
  const partitionKey = partitionKeyOf(key)
  return [{ partition, parcels: runs.map((run) => parcelOf(records, run, partitionKey, options)) }]
}

/** Cut where an aggregate would grow too large. */
function runsOf(
  records: readonly OutgoingRecord[],
  members: readonly number[],
  maxBytes: number,
): readonly (readonly number[])[] {
  const runs: number[][] = []
  let bytes = Infinity
  for (const index of members) {
    const own = aggregatedBytes(toAggregated(records[index] as OutgoingRecord))
    if (bytes + own > maxBytes) {
      runs.push([])
      bytes = emptyAggregateBytes(keyBytesOf(records[index]?.key))
    }
    bytes += own
    runs.at(-1)?.push(index)
  }
  return runs
}

function keyBytesOf(key: string | undefined): number {
  return Buffer.byteLength(partitionKeyOf(key))
}

function parcelOf(
  records: readonly OutgoingRecord[],
  members: readonly number[],
  partitionKey: string,
  { encoding }: PackingOptions,
): Parcel {
  const packed = members.map((index) => records[index]) as [OutgoingRecord, ...OutgoingRecord[]]
  return { partitionKey, data: encodeRecords(encoding, partitionKey, packed), members }
}
