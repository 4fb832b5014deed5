import { hashKeyOf, isHashKey } from '../hash-range.ts'
import { placeOf, positionTypes } from '../positions.ts'
import { throttled, throttledText } from '../quotas.ts'
import { parseSequence } from '../sequence.ts'
import { invalidArgument, notFound, ServiceError } from '../service-error.ts'
import { blob, flag, integer, list, required, structure, text, time } from '../shape.ts'
import { sizeOf } from '../shard.ts'
import type { NewRecord, Shard, StoredRecord } from '../shard.ts'
import type { Stream } from '../stream.ts'
import { byNameOrArn, checkDryRun, hashKey, operation, sequenceNumber, shardId, streamArn } from './operation.ts'
import type { Call, Operations, Output } from './operation.ts'
import { showChildren } from './show.ts'

/** Source of all limits: API reference, `PutRecords` and `GetRecords`. */
const mebibyte = 1_048_576
const largestRequest = 10 * mebibyte
const largestAnswer = 10 * mebibyte
const mostRead = 10_000

const entry = {
  Data: required(blob({ max: largestRequest })),
  PartitionKey: text({ min: 1, max: 256 }),
  ExplicitHashKey: hashKey,
}

interface Entry {
  readonly Data: Buffer
  readonly PartitionKey: string | undefined
  readonly ExplicitHashKey: string | undefined
}

/** What became of one record. */
type Fate =
  | { readonly shard: Shard; readonly record: StoredRecord }
  | { readonly shard: Shard; readonly code: 'InternalFailure' | 'ProvisionedThroughputExceededException' }

export const recordOperations: Operations = {
  PutRecord: operation(
    { ...byNameOrArn, ...entry, SequenceNumberForOrdering: sequenceNumber, DryRun: flag() },
    (input, call) => {
      const stream = call.service.usableStream(call.region, input)
      const hash = checkEntry(stream, input)
      checkOrdering(stream, input.SequenceNumberForOrdering)
      checkDryRun(input.DryRun)
      const fate = putAll(call, stream, [{ entry: input, hash }])[0] as Fate
      if ('code' in fate) throw failureOf(stream, fate.shard, fate.code)
      return { ShardId: fate.shard.id, SequenceNumber: fate.record.sequence, ...showEncryption(fate.record.encrypted) }
    },
  ),

  PutRecords: operation(
    { ...byNameOrArn, Records: required(list(required(structure(entry)), { min: 1, max: 500 })), DryRun: flag() },
    (input, call) => {
      const stream = call.service.usableStream(call.region, input)
      const bytes = input.Records.reduce((sum, { Data, PartitionKey }) => sum + Data.length + keyBytes(PartitionKey), 0)
      if (bytes > largestRequest) throw invalidArgument('Records size exceeds 10 MB limit')
      const entries = input.Records.map((one) => ({ entry: one, hash: checkEntry(stream, one) }))
      checkDryRun(input.DryRun)
      const fates = putAll(call, stream, entries)
      return {
        FailedRecordCount: fates.filter((fate) => 'code' in fate).length,
        Records: fates.map((fate) => showFate(stream, fate)),
        ...showEncryption(stream.keyId !== undefined),
      }
    },
  ),

  GetShardIterator: operation(
    {
      ...byNameOrArn,
      ShardId: required(shardId),
      ShardIteratorType: required(text<(typeof positionTypes)[number]>({ oneOf: positionTypes })),
      StartingSequenceNumber: sequenceNumber,
      Timestamp: time(),
      DryRun: flag(),
    },
    (input, call) => {
      const { service, region } = call
      const stream = service.usableStream(region, input)
      const shard = service.trimmedShard(region, stream, input.ShardId)
      const position = {
        type: input.ShardIteratorType,
        sequence: input.StartingSequenceNumber,
        timeMs: input.Timestamp,
        call: call.name,
      }
      const place = placeOf(stream, shard, position, service.nowMs)
      checkDryRun(input.DryRun)
      service.quotas.takeIterator(stream, shard)
      return { ShardIterator: iteratorOf(call, stream, shard, place) }
    },
  ),

  GetRecords: operation(
    {
      ShardIterator: required(text({ min: 1, max: 512 })),
      Limit: integer({ min: 1, max: mostRead }),
      StreamARN: streamArn,
      DryRun: flag(),
    },
    async (input, call) => {
      const { service, region } = call
      const { stream, shard, place } = readIterator(call, input.ShardIterator)
      if (input.StreamARN !== undefined && service.nameOf(region, { StreamARN: input.StreamARN }) !== stream.name)
        throw invalidArgument('StreamARN and ShardIterator do not name the same stream.')
      checkDryRun(input.DryRun)
      if (service.faults.throttlesRead(stream, shard)) throw throttled(stream, shard)
      service.quotas.takeRead(stream, shard)
      await service.wait(service.faults.delayOfShard(stream, shard, call.name))
      // It may have been deleted meanwhile, and made again.
      if (service.usableStream(region, { StreamName: stream.name }) !== stream) throw noSuchShard(stream, shard.id)
      service.trim(region, stream, [shard])
      const limit = { records: input.Limit ?? mostRead, bytes: largestAnswer }
      const { records, next, behindMs, atEnd } = shard.read(place, limit, service.nowMs)
      if (records.length > 0 && service.faults.emptiesPage(stream, shard))
        return {
          Records: [],
          NextShardIterator: iteratorOf(call, stream, shard, place),
          MillisBehindLatest: Math.max(1, behindMs),
        }
      service.quotas.countRead(
        shard,
        records.reduce((sum, record) => sum + sizeOf(record), 0),
      )
      return {
        Records: records.map(showRecord),
        ...(atEnd
          ? { ChildShards: showChildren(stream, shard) }
          : { NextShardIterator: iteratorOf(call, stream, shard, next) }),
        MillisBehindLatest: behindMs,
      }
    },
  ),
}

/** A record as readers are given it. */
export function showRecord(record: StoredRecord): Output {
  return {
    SequenceNumber: record.sequence,
    ApproximateArrivalTimestamp: new Date(record.arrivalMs),
    Data: record.data,
    PartitionKey: record.partitionKey,
    ...showEncryption(record.encrypted),
  }
}

/** Throws what the service answers to a record that it does not take; returns its hash key otherwise. */
function checkEntry(stream: Stream, { Data, PartitionKey, ExplicitHashKey }: Entry): bigint | undefined {
  const bytes = Data.length + keyBytes(PartitionKey)
  if (bytes > stream.maxRecordKiB * 1_024)
    throw invalidArgument(
      `Record size of ${bytes} bytes, partition key included, exceeds the maximum record size of ${stream.maxRecordKiB} KiB of ${stream.title}.`,
    )
  if (stream.spread) return undefined
  if (PartitionKey === undefined)
    throw invalidArgument(
      `PartitionKey is required for ${stream.title}, whose record distribution strategy is USER_PARTITION_KEY.`,
    )
  if (ExplicitHashKey === undefined) return hashKeyOf(PartitionKey)
  const hash = BigInt(ExplicitHashKey)
  if (!isHashKey(hash))
    throw invalidArgument(
      `Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was ${hash}`,
    )
  return hash
}

/** The number of an earlier record that this one is to be above. All numbers are, of those that were given out. */
function checkOrdering(stream: Stream, text: string | undefined): void {
  if (text === undefined) return
  const sequence = parseSequence(text)
  const shard = [...stream.shards.values()].find(({ origin }) => origin.index === sequence?.shardIndex)
  if (sequence === undefined || shard === undefined || sequence.place >= shard.next)
    throw invalidArgument(`ExclusiveMinimumSequenceNumber ${text} used in PutRecord on ${stream.title} is invalid.`)
}

/** Stores what can be stored, in order: first where it is kept, then where it is read. */
function putAll(
  { service, region }: Call,
  stream: Stream,
  entries: readonly { readonly entry: Entry; readonly hash: bigint | undefined }[],
): readonly Fate[] {
  const { nowMs } = service
  const stored = new Map<Shard, StoredRecord[]>()
  const fates = entries.map(({ entry: { Data, PartitionKey }, hash }): Fate => {
    const shard = hash === undefined ? anyShard(stream, stored) : stream.shardFor(hash)
    const fresh = { data: Data, partitionKey: PartitionKey ?? '', encrypted: stream.keyId !== undefined }
    const code = service.faults.ofRecord(stream, shard) ?? overQuota(service, shard, fresh)
    if (code !== undefined) return { shard, code }
    const ofShard = stored.get(shard) ?? []
    const record = shard.number(fresh, ofShard.length, nowMs)
    stored.set(shard, ofShard)
    ofShard.push(record)
    return { shard, record }
  })
  service.keep(region, stream, stored)
  for (const [shard, records] of stored) shard.add(records)
  return fates
}

function overQuota(
  { quotas }: Call['service'],
  shard: Shard,
  record: NewRecord,
): 'ProvisionedThroughputExceededException' | undefined {
  return quotas.takeWrite(shard, record) ? undefined : 'ProvisionedThroughputExceededException'
}

/** Where the service spreads records as it likes, the shard with the fewest takes it. */
function anyShard(stream: Stream, pending: ReadonlyMap<Shard, readonly unknown[]>): Shard {
  const held = (shard: Shard): number => shard.next + (pending.get(shard)?.length ?? 0)
  return stream.open.reduce((least, shard) => (held(shard) < held(least) ? shard : least))
}

function failureOf(stream: Stream, shard: Shard, code: string): ServiceError {
  return code === 'InternalFailure' ? new ServiceError('InternalFailure', internalText, 500) : throttled(stream, shard)
}

const internalText = 'Internal service failure.'

function showFate(stream: Stream, fate: Fate): Output {
  if (!('code' in fate)) return { SequenceNumber: fate.record.sequence, ShardId: fate.shard.id }
  const message = fate.code === 'InternalFailure' ? internalText : throttledText(stream, fate.shard)
  return { ErrorCode: fate.code, ErrorMessage: message }
}

/** Nothing is said where there is none. Source: API reference, examples of `PutRecord`, `PutRecords` and `GetRecords`. */
function showEncryption(encrypted: boolean): { readonly EncryptionType?: 'KMS' } {
  return encrypted ? { EncryptionType: 'KMS' } : {}
}

function keyBytes(key: string | undefined): number {
  return key === undefined ? 0 : Buffer.byteLength(key)
}

function iteratorOf({ service, region }: Call, stream: Stream, shard: Shard, place: number): string {
  const made = stream.origin.madeAtMs
  return service.tokens.sign([region, stream.name, made, shard.id, place, service.nowMs])
}

interface Iterator {
  readonly stream: Stream
  readonly shard: Shard
  readonly place: number
}

/** Throws what the service answers to an iterator that is none of its own, or too old. */
function readIterator({ service, region }: Call, token: string): Iterator {
  const parts = service.tokens.read(token)
  const [where, name, made, id, place, atMs] = parts ?? []
  if (parts?.length !== 6 || where !== region) throw invalidArgument('Invalid ShardIterator.')
  const { nowMs } = service
  if (nowMs - Number(atMs) > service.options.iteratorMs)
    throw new ServiceError(
      'ExpiredIteratorException',
      `Iterator expired. The iterator was created at time ${asJava(Number(atMs))} while right now it is ${asJava(nowMs)} which is further in the future than the tolerated delay of ${service.options.iteratorMs} milliseconds.`,
    )
  const stream = service.usableStream(region, { StreamName: String(name) })
  if (stream.origin.madeAtMs !== made) throw noSuchShard(stream, String(id))
  return { stream, shard: stream.shard(String(id)), place: Number(place) }
}

function noSuchShard(stream: Stream, id: string): ServiceError {
  return notFound(`Shard ${id} in ${stream.title} does not exist`)
}

/** A time as Java prints it: `Wed Nov 25 10:00:00 UTC 2026`. */
function asJava(ms: number): string {
  const [, day, date, month, year, time] = /^(\w+), (\d+) (\w+) (\d+) ([\d:]+)/.exec(new Date(ms).toUTCString()) ?? []
  return `${day} ${month} ${date} ${time} UTC ${year}`
}
