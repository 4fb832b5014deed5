import { StreamError } from '@sluice/driver'
import type { PartitionId, Position } from '@sluice/driver'

/*
 * A position is `sequence:subsequence`: a record of the stream, and the place of ours in its aggregate, 0 where it is none.
 * So the KCL counts too, and its checkpoints are positions.
 *
 * Where a lease begins that has no progress yet stands in its checkpoint, as the KCL has it there: `TRIM_HORIZON`, or
 * `AT_TIMESTAMP`, here with the time behind it.
 */

/** Where reading of a shard begins. */
export type Place =
  | { readonly kind: 'horizon' }
  | { readonly kind: 'latest' }
  | { readonly kind: 'time'; readonly timeMs: number }
  /** Behind the subsequence of that record; -1: with its first one. */
  | { readonly kind: 'behind'; readonly sequence: string; readonly subsequence: number }

const pattern = /^(\d{1,128}):(-1|\d{1,9})$/

/** The position of a record. */
export function toPosition(sequence: string, subsequence: number): Position {
  return `${sequence}:${subsequence}` as Position
}

/** Orders two positions of one shard. Throws `invalid-argument` for what is none. */
export function comparePositions(a: Position, b: Position): number {
  const [one, other] = [split(a, 'a shard'), split(b, 'a shard')]
  if (one.sequence === other.sequence) return one.subsequence - other.subsequence
  // Numbers of up to 128 digits, without leading zeros.
  if (one.sequence.length !== other.sequence.length) return one.sequence.length - other.sequence.length
  return one.sequence < other.sequence ? -1 : 1
}

/** Behind the record at that position. */
export function placeBehind(position: Position, partition: PartitionId): Place {
  return { kind: 'behind', ...split(position, partition) }
}

/** With the record at that position. */
export function placeAt(position: Position, partition: PartitionId): Place {
  const { sequence, subsequence } = split(position, partition)
  return { kind: 'behind', sequence, subsequence: subsequence - 1 }
}

/** The checkpoint of a lease that begins at a place. */
export function toCheckpoint(place: Place): Position {
  switch (place.kind) {
    case 'horizon':
      return 'TRIM_HORIZON' as Position
    case 'latest':
      return 'LATEST' as Position
    case 'time':
      return `AT_TIMESTAMP:${place.timeMs}` as Position
    case 'behind':
      return toPosition(place.sequence, place.subsequence)
  }
}

/** Where a lease with that checkpoint begins. */
export function fromCheckpoint(checkpoint: Position | undefined, partition: PartitionId): Place {
  if (checkpoint === undefined || checkpoint === 'TRIM_HORIZON') return { kind: 'horizon' }
  if (checkpoint === 'LATEST') return { kind: 'latest' }
  const timeMs = /^AT_TIMESTAMP:(\d{1,15})$/.exec(checkpoint)?.[1]
  return timeMs === undefined ? placeBehind(checkpoint, partition) : { kind: 'time', timeMs: Number(timeMs) }
}

/** The position in a checkpoint, if there is progress in it already. */
export function progressOf(checkpoint: Position | undefined): Position | undefined {
  return checkpoint !== undefined && /:\d+$/.test(checkpoint) && pattern.test(checkpoint) ? checkpoint : undefined
}

function split(
  position: Position,
  partition: PartitionId,
): { readonly sequence: string; readonly subsequence: number } {
  const [, sequence, subsequence] = pattern.exec(position) ?? []
  if (sequence !== undefined && subsequence !== undefined) return { sequence, subsequence: Number(subsequence) }
  throw new StreamError(
    'invalid-argument',
    `"${position}" is no position of ${partition}; a position is the sequence number and the place in its aggregate, as in 4957:0`,
    { details: { partition, position } },
  )
}
