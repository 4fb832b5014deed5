import { describe, expect, it } from 'vitest'
import type { Position } from '@sluice/driver'
import {
  comparePositions,
  fromCheckpoint,
  placeAt,
  placeBehind,
  progressOf,
  toCheckpoint,
  toPosition,
} from '../src/places.ts'
import type { Place } from '../src/places.ts'

const sequence = '49590338271490256608559692538361571095921575989136588898'
const p = (text: string): Position => text as Position

describe('positions', () => {
  it.each([
    [`${sequence}:0`, `${sequence}:1`],
    [`${sequence}:9`, `${sequence}:10`],
    ['9:5', '10:0'],
    ['99:0', '100:0'],
    [`${sequence}:7`, `${BigInt(sequence) + 1n}:0`],
  ])('%s comes before %s', (a, b) => {
    expect(comparePositions(p(a), p(b))).toBeLessThan(0)
    expect(comparePositions(p(b), p(a))).toBeGreaterThan(0)
    expect(comparePositions(p(a), p(a))).toBe(0)
  })

  it.each(['', '1', '1:', ':1', 'a:1', '1:a', '1:-2', 'TRIM_HORIZON', `${'9'.repeat(129)}:0`])(
    '"%s" is none',
    (text) => {
      expect(() => placeBehind(p(text), 'shardId-000000000000')).toThrow(/no position of shardId-000000000000/)
    },
  )

  it('are where reading goes on behind, or begins with', () => {
    expect(placeBehind(toPosition('7', 2), 's')).toEqual({ kind: 'behind', sequence: '7', subsequence: 2 })
    expect(placeAt(toPosition('7', 2), 's')).toEqual({ kind: 'behind', sequence: '7', subsequence: 1 })
    expect(placeAt(toPosition('7', 0), 's')).toEqual({ kind: 'behind', sequence: '7', subsequence: -1 })
  })
})

describe('checkpoints', () => {
  const places: readonly Place[] = [
    { kind: 'horizon' },
    { kind: 'latest' },
    { kind: 'time', timeMs: 1_700_000_000_000 },
    { kind: 'behind', sequence, subsequence: 3 },
    { kind: 'behind', sequence, subsequence: -1 },
  ]

  it.each(places)('$kind comes back as it was', (place) => {
    expect(fromCheckpoint(toCheckpoint(place), 's')).toEqual(place)
  })

  it('that hold no progress yet are no committed position', () => {
    expect(places.map((place) => progressOf(toCheckpoint(place)))).toEqual([
      undefined,
      undefined,
      undefined,
      `${sequence}:3`,
      undefined,
    ])
    expect(progressOf(undefined)).toBeUndefined()
  })
})
