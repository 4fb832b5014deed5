import * as fc from 'fast-check'
import type { Position } from '@sluice/driver'
import { describe, expect, it } from 'vitest'
import { Watermark } from '../src/consumer/watermark.ts'
import type { WatermarkNode } from '../src/consumer/watermark.ts'

const position = (n: number): Position => String(n) as Position

describe('Watermark', () => {
  it('stands at the last settled record before the first unsettled one, whatever the order of settling', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ add: fc.boolean(), pick: fc.nat() }), { maxLength: 300, size: 'max' }),
        (steps) => {
          const watermark = new Watermark()
          const settled: boolean[] = []
          const open = new Map<number, WatermarkNode>()
          for (const step of steps) {
            if (step.add || open.size === 0) {
              open.set(settled.length, watermark.add(position(settled.length)))
              settled.push(false)
            } else {
              const index = [...open.keys()][step.pick % open.size] as number
              watermark.settle(open.get(index) as WatermarkNode)
              open.delete(index)
              settled[index] = true
            }
            const first = settled.indexOf(false)
            const expected = first < 0 ? settled.length - 1 : first - 1
            expect(watermark.value).toBe(expected < 0 ? undefined : position(expected))
            expect(watermark.size).toBe(open.size)
          }
        },
      ),
    )
  })

  it('keeps no memory of settled records behind a stuck one', () => {
    const watermark = new Watermark()
    const stuck = watermark.add(position(0))
    for (let n = 1; n <= 1_000_000; n++) watermark.settle(watermark.add(position(n)))
    expect(watermark.size).toBe(1)
    expect(watermark.value).toBeUndefined()
    expect(watermark).toMatchObject({ added: 1_000_001, reached: 0 })
    watermark.settle(stuck)
    expect(watermark.value).toBe(position(1_000_000))
    expect(watermark).toMatchObject({ added: 1_000_001, reached: 1_000_001 })
  })

  it('leaves nothing reachable from a settled record: one that has grown old would keep all that came after it', () => {
    const watermark = new Watermark()
    const nodes = [0, 1, 2].map((n) => watermark.add(position(n)))
    for (const node of [1, 0, 2]) watermark.settle(nodes[node] as WatermarkNode)
    for (const node of nodes) expect(node).toMatchObject({ previous: undefined, next: undefined })
    expect(watermark).toMatchObject({ value: position(2), size: 0 })
  })
})
