import { createHash } from 'node:crypto'

/** How many hash keys there are: MD5 has 128 bits. */
const hashKeys = 1n << 128n

/** The hash keys of a shard, both inclusive. */
export interface HashRange {
  readonly start: bigint
  readonly end: bigint
}

/** Divides all hash keys evenly, the last range taking what is left: as `CreateStream` does. */
export function evenRanges(count: number): readonly HashRange[] {
  const width = hashKeys / BigInt(count)
  return Array.from({ length: count }, (_, index) => ({
    start: width * BigInt(index),
    end: index === count - 1 ? hashKeys - 1n : width * BigInt(index + 1) - 1n,
  }))
}

/** The hash key of a partition key. */
export function hashKeyOf(partitionKey: string): bigint {
  return BigInt(`0x${createHash('md5').update(partitionKey, 'utf8').digest('hex')}`)
}

/** Whether there is a hash key of that number. */
export function isHashKey(value: bigint): boolean {
  return value < hashKeys
}

export function includes(range: HashRange, key: bigint): boolean {
  return range.start <= key && key <= range.end
}

/** Whether one range ends where the other begins. */
export function areNeighbours(a: HashRange, b: HashRange): boolean {
  return a.end + 1n === b.start || b.end + 1n === a.start
}
