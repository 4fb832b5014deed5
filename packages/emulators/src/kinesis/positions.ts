import { parseSequence } from './sequence.ts'
import { invalidArgument } from './service-error.ts'
import type { Shard } from './shard.ts'
import type { Stream } from './stream.ts'

/** From where a shard can be read. */
export const positionTypes = [
  'AFTER_SEQUENCE_NUMBER',
  'LATEST',
  'AT_TIMESTAMP',
  'AT_SEQUENCE_NUMBER',
  'TRIM_HORIZON',
] as const

/** A position as `GetShardIterator` and `SubscribeToShard` are given one. */
export interface Position {
  readonly type: (typeof positionTypes)[number]
  readonly sequence: string | undefined
  readonly timeMs: number | undefined
  /** The call, for messages. */
  readonly call: string
}

/** The place at which reading begins. Throws what the service answers to a position that it cannot take. */
export function placeOf(stream: Stream, shard: Shard, position: Position, nowMs: number): number {
  const { type, sequence, timeMs } = position
  const bySequence = type === 'AT_SEQUENCE_NUMBER' || type === 'AFTER_SEQUENCE_NUMBER'
  if (bySequence !== (sequence !== undefined)) throw wrongPair(type, sequence)
  switch (type) {
    case 'TRIM_HORIZON':
      return shard.first
    case 'LATEST':
      return shard.next
    case 'AT_TIMESTAMP':
      return placeAtTime(shard, timeMs, Math.max(nowMs, shard.lastArrivalMs))
    case 'AT_SEQUENCE_NUMBER':
      return placeOfSequence(stream, shard, sequence ?? '', position.call)
    case 'AFTER_SEQUENCE_NUMBER':
      return placeOfSequence(stream, shard, sequence ?? '', position.call) + 1
  }
}

function wrongPair(type: string, sequence: string | undefined): Error {
  const given = sequence === undefined ? 'no StartingSequenceNumber' : 'also a StartingSequenceNumber'
  return invalidArgument(
    `Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER iterator type and StartingSequenceNumber or (2) TRIM_HORIZON or LATEST iterator type and no StartingSequenceNumber. Request specified ${type} and ${given}.`,
  )
}

function placeAtTime(shard: Shard, timeMs: number | undefined, nowMs: number): number {
  if (timeMs === undefined) throw invalidArgument('Must specify timestampInMillis for AT_TIMESTAMP iterator')
  if (timeMs > nowMs)
    throw invalidArgument(
      `The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. timestampInMillis: ${timeMs}, currentTimestampInMillis: ${nowMs}`,
    )
  return shard.placeAt(timeMs)
}

/** A number that the shard gave out, its own first and last ones included. */
function placeOfSequence(stream: Stream, shard: Shard, text: string, call: string): number {
  const sequence = parseSequence(text)
  const ours =
    sequence !== undefined &&
    sequence.shardIndex === shard.origin.index &&
    sequence.madeSecond === shard.origin.madeSecond
  if (ours && sequence.place === Infinity && shard.endSequence === text) return shard.next
  if (ours && sequence.place < shard.next) {
    const record = shard.at(sequence.place)
    // Of what is trimmed nothing is left to compare with.
    if (record === undefined || record.sequence === text) return sequence.place
  }
  throw invalidArgument(
    `StartingSequenceNumber ${text} used in ${call} on shard ${shard.id} in ${stream.title} is invalid because it did not come from this stream.`,
  )
}

/** The number after which reading goes on at a place. */
export function sequenceBefore(shard: Shard, place: number): string {
  const record = shard.at(place - 1)
  if (record !== undefined) return record.sequence
  return place >= shard.next && shard.endSequence !== undefined ? shard.endSequence : shard.startSequence
}
