import { ManualClock } from '@sluice/driver/testing'
import { describe, expect, it } from 'vitest'
import { IdGenerator } from '../src/ids.ts'

const shape = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

describe('ids', () => {
  it('are UUIDv7 of the clock', () => {
    const id = new IdGenerator(new ManualClock(Date.UTC(2026, 0, 1))).next()
    expect(id).toMatch(shape)
    expect(Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16)).toBe(Date.UTC(2026, 0, 1))
  })

  it('increase strictly, also when the clock stands still, runs over a full millisecond, or goes back', () => {
    const clock = new ManualClock()
    const generator = new IdGenerator(clock)
    const ids = Array.from({ length: 20_000 }, (_, n) => {
      if (n === 10_000) clock.jump(-60_000)
      if (n === 15_000) clock.jump(120_000)
      return generator.next()
    })
    expect(ids.every((id) => shape.test(id))).toBe(true)
    expect(ids.every((id, n) => n === 0 || id > (ids[n - 1] ?? ''))).toBe(true)
  })

  it('of two generators never meet', () => {
    const clock = new ManualClock()
    const [a, b] = [new IdGenerator(clock), new IdGenerator(clock)]
    const ids = Array.from({ length: 5_000 }, () => [a.next(), b.next()]).flat()
    expect(new Set(ids).size).toBe(10_000)
  })
})
