import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { BatchMemory, MemoryPool } from '../src/memory.ts'

describe('memory of batches', () => {
  it('is nobody else’s until it is released, whatever is asked for and given back in whatever order', () => {
    const batch = fc.record({
      sizes: fc.array(fc.oneof(fc.nat(100), fc.nat(300_000)), { maxLength: 8 }),
      released: fc.boolean(),
    })
    fc.assert(
      fc.property(fc.array(batch, { maxLength: 12 }), fc.nat(3), (batches, behind) => {
        const pool = new MemoryPool()
        const underWay: { readonly memory: BatchMemory; readonly written: readonly (readonly [Buffer, number])[] }[] =
          []
        const end = ({ memory, written }: (typeof underWay)[number]): void => {
          for (const [bytes, mark] of written) expect(bytes.every((byte) => byte === mark)).toBe(true)
          memory.release()
        }
        for (const [at, { sizes, released }] of batches.entries()) {
          const memory = new BatchMemory(pool)
          const written = sizes.map((size) => [memory.allocate(size).fill(at), at] as const)
          expect(written.map(([{ length }]) => length)).toEqual(sizes)
          if (released) underWay.push({ memory, written })
          for (const one of underWay.splice(behind)) end(one)
        }
        for (const one of underWay) end(one)
      }),
      { numRuns: 50 },
    )
  })

  it('is used again once it is released', () => {
    const pool = new MemoryPool()
    const first = new BatchMemory(pool)
    const { buffer } = first.allocate(70_000)
    first.release()
    expect(new BatchMemory(pool).allocate(100_000).buffer === buffer).toBe(true)
  })

  it('is not kept without end', () => {
    const pool = new MemoryPool()
    const large = 16 * 1024 * 1024
    const [one, other] = [pool.take(large), pool.take(large)]
    pool.give(one)
    pool.give(other)
    // Compared as such: to show how these differ would take seconds.
    expect(pool.take(large) === one).toBe(true)
    expect(pool.take(large) === other).toBe(false)
  })
})
