import * as fc from 'fast-check'
import type { IncomingRecord, Position } from '@sluice/driver'
import { describe, expect, it } from 'vitest'
import { Delivery } from '../src/consumer/delivery.ts'
import { LogPartition } from '../src/consumer/log-partition.ts'

const maxUncommitted = 10
const maxRead = 12

const compare = (a: Position, b: Position): number => Number(a) - Number(b)

function recordAt(offset: number, key: string): IncomingRecord {
  return {
    id: `r${offset}`,
    partition: '0',
    position: String(offset) as Position,
    key,
    headers: {},
    body: new Uint8Array(),
    timeMs: 0,
    expiresAtMs: undefined,
    epoch: 1,
    native: undefined,
  }
}

/** A log, a cursor, and per-key queues: a dispatcher of a few lines around the partition under test. */
class World {
  readonly partition = new LogPartition('0', 1, compare)
  readonly queues = new Map<string, Delivery[]>()
  readonly out = new Map<string, Delivery>()
  readonly parked = new Set<string>()
  readonly handled = new Map<string, number[]>()
  readonly settled = new Set<number>()
  readonly keys: readonly string[]
  cursor = 0

  constructor(keys: readonly string[]) {
    this.keys = keys
  }

  read(count: number): void {
    const at = this.partition.takeRewind()
    if (at !== undefined) this.cursor = Number(at)
    if (!this.partition.replaying && this.partition.uncommitted >= maxUncommitted) return
    for (let n = 0; n < count && this.cursor < this.keys.length; n++) {
      const record = recordAt(this.cursor, this.keys[this.cursor++] as string)
      const node = this.partition.admit(record, maxUncommitted)
      if (node === undefined) continue
      const delivery = new Delivery(record, 't', this.partition, 1)
      delivery.node = node
      const queue = this.queues.get(record.key as string) ?? []
      queue.push(delivery)
      this.queues.set(record.key as string, queue)
    }
  }

  start(key: string): void {
    if (this.out.has(key)) return
    const delivery = this.queues.get(key)?.shift()
    if (delivery === undefined) return
    this.out.set(key, delivery)
    const offset = Number(delivery.record.position)
    const seen = this.handled.get(key) ?? []
    seen.push(offset)
    this.handled.set(key, seen)
  }

  finish(key: string): void {
    const delivery = this.out.get(key)
    if (delivery?.node === undefined) return
    this.out.delete(key)
    this.partition.watermark.settle(delivery.node)
    this.settled.add(Number(delivery.record.position))
    if (this.parked.delete(key)) this.partition.unpark(key)
  }

  park(key: string): void {
    const queue = this.queues.get(key) ?? []
    if (!this.out.has(key) || queue.length === 0) return
    this.partition.park(key, queue.splice(0))
    this.parked.add(key)
  }

  commit(): void {
    this.partition.committedRecords = this.partition.watermark.reached
  }

  /** The last read may begin just below the bound; no replay adds to it. */
  checkUncommitted(): void {
    const { uncommitted } = this.partition
    if (uncommitted > maxUncommitted - 1 + maxRead) throw new Error(`${uncommitted} records are uncommitted`)
  }

  checkWatermark(): void {
    const value = this.partition.watermark.value
    if (value === undefined) return
    for (let offset = 0; offset <= Number(value); offset++) {
      if (!this.settled.has(offset)) throw new Error(`the watermark ${value} passed ${offset}, which is not settled`)
    }
  }
}

const step = fc.oneof(
  fc.record({ kind: fc.constant('read' as const), count: fc.integer({ min: 1, max: maxRead }) }),
  fc.record({ kind: fc.constant('commit' as const) }),
  fc.record({
    kind: fc.constantFrom('start' as const, 'finish' as const, 'park' as const),
    key: fc.constantFrom('a', 'b', 'c'),
  }),
)

describe('parking', () => {
  it('hands out every record once, in the order of its key, never lets the watermark pass one, and bounds what is uncommitted', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { minLength: 1, maxLength: 60, size: 'max' }),
        fc.array(step, { maxLength: 200, size: 'max' }),
        (keys, steps) => {
          const world = new World(keys)
          for (const one of steps) {
            if (one.kind === 'read') world.read(one.count)
            else if (one.kind === 'commit') world.commit()
            else world[one.kind](one.key)
            world.checkWatermark()
            world.checkUncommitted()
          }
          for (let round = 0; round < keys.length * 4 + 10; round++) {
            world.commit()
            world.read(5)
            for (const key of 'abcd') {
              world.start(key)
              world.finish(key)
            }
            world.checkWatermark()
          }
          for (const key of new Set(keys)) {
            expect(world.handled.get(key)).toEqual(keys.flatMap((other, offset) => (other === key ? [offset] : [])))
          }
          expect(world.partition.watermark.value).toBe(String(keys.length - 1))
          expect(world.partition.watermark.size).toBe(0)
        },
      ),
      { numRuns: Number(process.env['SLUICE_MODEL_RUNS'] ?? 1000) },
    )
  })
})
