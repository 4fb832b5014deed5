import { StreamError } from '@sluice/driver'
import type { PartitionId, Position } from '@sluice/driver'

/** The position of an offset. */
export function toPosition(offset: number): Position {
  return String(offset) as Position
}

/** The offset in a position. Throws `invalid-argument` when this adapter did not make it. */
export function toOffset(position: Position, partition: PartitionId): number {
  if (/^\d{1,16}$/.test(position)) return Number(position)
  throw new StreamError(
    'invalid-argument',
    `"${position}" is not a position of partition ${partition} in a local log; positions are whole numbers`,
  )
}

/** Orders two positions of one partition. Throws `invalid-argument` for what is none. */
export function comparePositions(a: Position, b: Position): number {
  return toOffset(a, 'any') - toOffset(b, 'any')
}
