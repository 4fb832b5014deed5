/**
 * Sequence numbers as the service forms them: 56 decimal digits that are, in hexadecimal, `2`, nine digits of the second
 * in which the shard was made, `0`, sixteen of the record's place in the shard, `00`, nine of the second in which it came,
 * eight of the shard's index and `2`. Numbers of a child are above those of its parents, because a child is made later.
 * Source: the numbers in AWS's documentation and test events, taken apart.
 */
export interface Sequence {
  /** The second in which the shard was made, since 1970. */
  readonly madeSecond: number
  /** The place in the shard; 0 is the shard's start, records begin at 1. */
  readonly place: number
  /** The second in which the record came. */
  readonly second: number
  readonly shardIndex: number
}

/** The place that closes a shard: above that of every record. */
export const closingPlace: bigint = 0x7fffffffffffffffn

const version = 2n
const [secondBits, placeShift, timeShift, shardShift, madeShift] = [36n, 80n, 36n, 4n, 148n]
const top = 2n << 184n
const secondMask = (1n << secondBits) - 1n
const placeMask = (1n << 64n) - 1n
const shardMask = (1n << 32n) - 1n

/** Forms numbers of one shard. */
export class SequenceForm {
  readonly #base: bigint

  constructor(madeSecond: number, shardIndex: number) {
    this.#base = top | (BigInt(madeSecond) << madeShift) | (BigInt(shardIndex) << shardShift) | version
  }

  at(place: number | bigint, second: number): string {
    return (this.#base | (BigInt(place) << placeShift) | (BigInt(second) << timeShift)).toString()
  }
}

/** Takes a number apart; `undefined`: the service never gave it out. */
export function parseSequence(text: string): Sequence | undefined {
  if (!/^\d{1,129}$/.test(text)) return undefined
  const number = BigInt(text)
  if (number >> 184n !== 2n || (number & 0xfn) !== version || ((number >> 72n) & 0xffn) !== 0n) return undefined
  if (((number >> 144n) & 0xfn) !== 0n) return undefined
  const place = (number >> placeShift) & placeMask
  return {
    madeSecond: Number((number >> madeShift) & secondMask),
    place: place >= closingPlace ? Infinity : Number(place),
    second: Number((number >> timeShift) & secondMask),
    shardIndex: Number((number >> shardShift) & shardMask),
  }
}
