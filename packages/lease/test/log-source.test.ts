import { describe, expect, it } from 'vitest'
import type { IncomingRecord, PartitionId, Position } from '@sluice/driver'
import { ManualClock, settle } from '@sluice/driver/testing'
import { LeasedLogSource } from '../src/index.ts'
import type { Membership, PartitionReading } from '../src/index.ts'

/** A partition of which records are put in by hand. */
class ScriptedReading implements PartitionReading {
  readonly records: IncomingRecord[] = []
  finished = false
  caughtUp = false
  wanted = 0
  closed = false

  take(target: IncomingRecord[], records: number): number {
    let bytes = 0
    while (target.length < records && this.records.length > 0) {
      target.push(this.records.shift() as IncomingRecord)
      bytes += 1
    }
    return bytes
  }

  want(): void {
    this.wanted++
  }

  hurry(): void {
    // Nothing is under way here.
  }

  close(): Promise<void> {
    this.closed = true
    return Promise.resolve()
  }
}

function record(partition: PartitionId, place: number): IncomingRecord {
  const position = String(place) as Position
  const rest = { key: undefined, headers: {}, body: new Uint8Array(1), timeMs: 0, expiresAtMs: undefined, epoch: 1 }
  return { id: `${partition}-${place}`, partition, position, native: undefined, ...rest }
}

const never = new AbortController().signal

function setUp() {
  const clock = new ManualClock()
  const readings: { readonly partition: PartitionId; readonly from: number; readonly reading: ScriptedReading }[] = []
  const told: string[] = []
  const drained: PartitionId[] = []
  const source = new LeasedLogSource<number>({
    topic: 't',
    clock,
    events: {
      assigned: (partition, epoch) => void told.push(`assigned ${partition} ${epoch}`),
      revoking: () => Promise.resolve(),
      lost: () => undefined,
      ended: (partition, children) => void told.push(`ended ${partition} ${children.join()}`),
      failed: () => undefined,
    },
    read: (partition, _epoch, from) => {
      const reading = new ScriptedReading()
      readings.push({ partition, from, reading })
      return reading
    },
    startAt: (_partition, position) => Number(position),
    childrenOf: (partition) => [`${partition}0`, `${partition}1`],
    onClosed: () => void told.push('closed'),
  })
  const membership: Membership = {
    start: () => Promise.resolve(),
    refresh: () => undefined,
    drained: (partition) => void drained.push(partition),
    commit: () => Promise.resolve([]),
    close: () => Promise.resolve(),
  }
  const last = (): ScriptedReading => readings.at(-1)?.reading as ScriptedReading
  return { clock, source, membership, readings, told, drained, last }
}

describe('a log source over leases', () => {
  it('hands out what comes, begins with another partition each time, and keeps to the credit', async () => {
    const { source, membership, readings } = setUp()
    await source.start(membership)
    source.assign('a', 1, 0)
    source.assign('b', 1, 0)
    for (const { partition, reading } of readings) reading.records.push(record(partition, 1), record(partition, 2))
    const credit = { records: 3, bytes: 100 }
    expect((await source.poll(credit, never)).map(({ id }) => id)).toEqual(['a-1', 'a-2', 'b-1'])
    readings[0]?.reading.records.push(record('a', 3))
    expect((await source.poll(credit, never)).map(({ id }) => id)).toEqual(['b-2', 'a-3'])
    expect(readings.every(({ reading }) => reading.wanted > 0)).toBe(true)
  })

  it('waits a second for records, and is woken by them, by an abort and by its end', async () => {
    const { source, membership, clock, last } = setUp()
    await source.start(membership)
    source.assign('a', 1, 0)
    const nothing = source.poll({ records: 1, bytes: 1 }, never)
    await clock.advance(1_000)
    expect(await nothing).toEqual([])
    const something = source.poll({ records: 1, bytes: 1 }, never)
    await settle()
    last().records.push(record('a', 1))
    source.wake()
    expect(await something).toHaveLength(1)
    const controller = new AbortController()
    const aborted = source.poll({ records: 1, bytes: 1 }, controller.signal)
    controller.abort()
    await expect(aborted).rejects.toMatchObject({ code: 'aborted' })
    const ended = source.poll({ records: 1, bytes: 1 }, never)
    await source.close()
    expect(await ended).toEqual([])
    await expect(source.poll({ records: 1, bytes: 1 }, never)).rejects.toMatchObject({ code: 'closed' })
    expect(clock.pending).toBe(0)
  })

  it('tells an end once, after the last record; and again after a rewind', async () => {
    const { source, membership, told, drained, last, readings, clock } = setUp()
    await source.start(membership)
    source.assign('a', 7, 0)
    last().records.push(record('a', 1))
    await source.poll({ records: 1, bytes: 1 }, never)
    last().finished = true
    const poll = async (): Promise<void> => {
      const polling = source.poll({ records: 1, bytes: 1 }, never)
      await clock.advance(1_000)
      await polling
    }
    await poll()
    await poll()
    expect(told).toEqual(['assigned a 7', 'ended a a0,a1'])
    source.rewind('a', '1' as Position)
    expect(readings[0]?.reading.closed).toBe(true)
    expect(readings[1]).toMatchObject({ partition: 'a', from: 1 })
    last().finished = true
    await poll()
    expect(told.at(-1)).toBe('ended a a0,a1')
    expect(drained).toEqual(['a', 'a'])
  })

  it('leaves paused partitions out, and those withdrawn under the tenure that ended', async () => {
    const { source, membership, readings } = setUp()
    await source.start(membership)
    source.assign('a', 1, 0)
    source.assign('b', 1, 0)
    for (const { partition, reading } of readings) reading.records.push(record(partition, 1))
    source.pause(['a'])
    expect((await source.poll({ records: 9, bytes: 9 }, never)).map(({ id }) => id)).toEqual(['b-1'])
    source.resume(['a'])
    expect(source.withdraw([{ partition: 'a', epoch: 9 }])).toBe(false)
    expect((await source.poll({ records: 9, bytes: 9 }, never)).map(({ id }) => id)).toEqual(['a-1'])
    expect(source.withdraw(source.tenuresOf(['a', 'x']))).toBe(true)
    expect(readings[0]?.reading.closed).toBe(true)
    expect(source.tenuresOf(['a'])).toEqual([])
  })

  it('is caught up when every partition is, and none has just ended', async () => {
    const { source, membership, readings, last, clock } = setUp()
    await source.start(membership)
    expect(source.caughtUp()).toBe(false)
    source.assign('a', 1, 0)
    source.assign('b', 1, 0)
    last().caughtUp = true
    expect(source.caughtUp()).toBe(false)
    for (const { reading } of readings) reading.caughtUp = true
    expect(source.caughtUp()).toBe(true)
    // Its children are not there yet.
    last().finished = true
    expect(source.caughtUp()).toBe(false)
    const polling = source.poll({ records: 1, bytes: 1 }, never)
    await clock.advance(1_000)
    await polling
    expect(source.caughtUp()).toBe(true)
  })
})
