import { describe, expect, it } from 'vitest'
import { eventually } from '@sluice/driver/testing'
import type { Driver, QueuedRecord, QueueSource } from '@sluice/driver'
import { StoreClock } from '../src/store/clock.ts'
import { openStore } from '../src/store/schema.ts'
import {
  credit,
  live,
  open,
  record,
  Recorder,
  rejection,
  send,
  subscribeQueue,
  temporaryFolder,
  text,
  texts,
} from './fixtures.ts'

async function queueWith(address: string, bodies: readonly string[]): Promise<Driver> {
  const driver = await open(address)
  await driver.admin.createTopic('q', { order: 'none' }, live)
  await send(
    driver,
    'q',
    bodies.map((body) => record({ body })),
  )
  return driver
}

async function pullAll(source: QueueSource, count: number): Promise<QueuedRecord[]> {
  const records: QueuedRecord[] = []
  const end = performance.now() + 30_000
  while (records.length < count && performance.now() < end) {
    records.push(...(await source.pull({ records: count - records.length, bytes: 1e9 }, live)))
  }
  return records
}

const ack = (records: readonly QueuedRecord[]): { token: string; verb: 'ack' }[] =>
  records.map(({ token }) => ({ token, verb: 'ack' }))

describe('a topic without order', () => {
  it('gives each record to one of the consumers, and every record to every group', async () => {
    const driver = await queueWith(
      'memory:',
      Array.from({ length: 30 }, (_, i) => String(i)),
    )
    const [a, b, other] = [
      await subscribeQueue(driver, 'q', 'g', 'a'),
      await subscribeQueue(driver, 'q', 'g', 'b'),
      await subscribeQueue(driver, 'q', 'other'),
    ]
    const [first, second] = [await pullAll(a, 10), await pullAll(b, 20)]
    expect(
      texts([...first, ...second])
        .map(Number)
        .toSorted((x, y) => x - y),
    ).toEqual(Array.from({ length: 30 }, (_, i) => i))
    expect(await pullAll(other, 30)).toHaveLength(30)
  })

  it('names the partitions of records as receipts do, also of those that came after it', async () => {
    const driver = await queueWith('memory:', [])
    const source = await subscribeQueue(driver, 'q', 'g')
    await driver.admin.setPartitions('q', 3, live)
    const sent = await send(
      driver,
      'q',
      ['1', '2', '3'].map((partition) => record({ partition, body: partition })),
    )
    const records = await pullAll(source, 3)
    expect(records.map((each) => [each.partition, each.position])).toEqual(
      sent.map((each) => [each.partition, each.position]),
    )
  })

  it('is not-found for whoever has open what was of another order before', async () => {
    const driver = await open('memory:')
    await driver.admin.createTopic('t', { order: 'key' }, live)
    const [opened, events] = [await driver.openTopic('t', live), new Recorder()]
    await driver.admin.deleteTopic('t', live)
    await driver.admin.createTopic('t', { order: 'none' }, live)
    const subscribing = opened.subscribe({ group: 'g', member: 'm', start: { kind: 'earliest' }, events }, live)
    expect((await rejection(subscribing)).code).toBe('not-found')
  })

  it('forgets what is acknowledged and brings back the rest, also for another connection', async () => {
    const folder = temporaryFolder()
    const driver = await queueWith(`local:${folder}`, ['a', 'b', 'c'])
    const source = await subscribeQueue(driver, 'q', 'g')
    const records = await pullAll(source, 3)
    expect(await source.settle(ack(records.slice(0, 1)), live)).toEqual([{ ok: true }])
    await source.close()
    const again = await subscribeQueue(await open(`local:${folder}`), 'q', 'g')
    expect((await pullAll(again, 2)).map((each) => [text(each.body), each.attempt])).toEqual([
      ['b', 1],
      ['c', 1],
    ])
  })

  it('holds a retried record back, counts the attempt, and lets others pass', async () => {
    const driver = await queueWith('memory:', ['a', 'b'])
    const source = await subscribeQueue(driver, 'q', 'g')
    const [first] = await source.pull({ records: 1, bytes: 1e9 }, live)
    if (first === undefined) throw new Error('nothing came')
    const started = performance.now()
    await source.settle([{ token: first.token, verb: 'retry', delayMs: 300 }], live)
    expect(texts(await source.pull(credit, live))).toEqual(['b'])
    const [again] = await pullAll(source, 1)
    expect(performance.now() - started).toBeGreaterThanOrEqual(299)
    expect([again?.id, again?.attempt]).toEqual([first.id, 2])
  })

  it('brings a record back when its lease runs out, and fences the late settlement', async () => {
    const driver = await queueWith('memory:?leaseMs=15000', ['a'])
    const [slow, quick] = [
      await subscribeQueue(driver, 'q', 'g', 'slow'),
      await subscribeQueue(driver, 'q', 'g', 'quick'),
    ]
    const held = await pullAll(slow, 1)
    const taken = await pullAll(quick, 1)
    expect([text(taken[0]?.body ?? new Uint8Array()), taken[0]?.attempt]).toEqual(['a', 2])
    const [late] = await slow.settle(ack(held), live)
    expect(late?.ok === false && late.error.code).toBe('fenced')
    expect(await quick.settle(ack(taken), live)).toEqual([{ ok: true }])
    const [twice] = await quick.settle(ack(taken), live)
    expect(twice?.ok === false && twice.error.code).toBe('fenced')
  })

  it('keeps a record that is extended', async () => {
    const driver = await queueWith('memory:?leaseMs=1500', ['a'])
    const [holder, other] = [await subscribeQueue(driver, 'q', 'g', 'h'), await subscribeQueue(driver, 'q', 'g', 'o')]
    const held = await pullAll(holder, 1)
    const came: QueuedRecord[] = []
    // Longer than one lease.
    for (const end = performance.now() + 2_500; performance.now() < end;) {
      await holder.extend([...held.map((each) => each.token), 'unknown'], live)
      came.push(...(await other.pull(credit, AbortSignal.timeout(200)).catch(() => [])))
    }
    expect(await holder.settle(ack(held), live)).toEqual([{ ok: true }])
    came.push(...(await other.pull(credit, live)))
    expect(came).toEqual([])
  })

  it('gives released records back at once, without counting', async () => {
    const driver = await queueWith('memory:', ['a'])
    const [a, b] = [await subscribeQueue(driver, 'q', 'g', 'a'), await subscribeQueue(driver, 'q', 'g', 'b')]
    const held = await pullAll(a, 1)
    const pulled = b.pull(credit, live)
    await a.release(
      held.map((each) => each.token),
      live,
    )
    expect((await pulled).map((each) => each.attempt)).toEqual([1])
  })

  it('keeps to the credit, and takes one record that is larger', async () => {
    const driver = await queueWith('memory:', ['a'.repeat(1000), 'b'.repeat(1000), 'c'.repeat(1000)])
    const source = await subscribeQueue(driver, 'q', 'g')
    expect(await source.pull({ records: 10, bytes: 1 }, live)).toHaveLength(1)
    expect(await source.pull({ records: 10, bytes: 1100 }, live)).toHaveLength(2)
  })

  it('tells how far a group is behind, counting what is out, and moves by seek', async () => {
    const driver = await queueWith('memory:', ['a', 'b', 'c'])
    const source = await subscribeQueue(driver, 'q', 'g')
    const records = await pullAll(source, 2)
    await source.settle(ack(records.slice(0, 1)), live)
    expect((await driver.admin.lag('q', 'g', live)).map((each) => each.messages)).toEqual([2])
    await driver.admin.seek('q', 'g', { kind: 'earliest' }, live)
    expect(texts(await pullAll(source, 3))).toEqual(['a', 'b', 'c'])
    const [late] = await source.settle(ack(records.slice(1)), live)
    expect(late?.ok).toBe(false)
  })

  it('goes on over a growth', async () => {
    const driver = await queueWith('memory:', ['a'])
    const source = await subscribeQueue(driver, 'q', 'g')
    await driver.admin.setPartitions('q', 3, live)
    await send(driver, 'q', [record({ body: 'b' })])
    expect(texts(await pullAll(source, 2)).toSorted()).toEqual(['a', 'b'])
  })

  it('wakes for records of another connection', async () => {
    const folder = temporaryFolder()
    const driver = await queueWith(`local:${folder}`, [])
    const source = await subscribeQueue(driver, 'q', 'g')
    const far = await open(`local:${folder}`)
    const pulled = pullAll(source, 1)
    await send(far, 'q', [record({ body: 'far' })])
    expect(texts(await pulled)).toEqual(['far'])
  })
})

const machine = (): { wallMs: number; monotonicMs: number; wall: () => number; monotonic: () => number } => ({
  wallMs: 1_000_000,
  monotonicMs: 0,
  wall() {
    return this.wallMs
  },
  monotonic() {
    return this.monotonicMs
  },
})

describe('the time of queue leases', () => {
  it('does not follow a wall clock that jumps', () => {
    const database = openStore({ folder: undefined, durability: 'full', busyMs: 0, maxPages: undefined })
    const clock = machine()
    const store = new StoreClock(database, { wall: () => clock.wall(), monotonic: () => clock.monotonic() })
    clock.wallMs -= 3_600_000
    clock.monotonicMs += 50
    expect(store.now()).toBe(1_000_050)
    database.close()
  })

  it('never goes back, and catches up with who is ahead, once', () => {
    const database = openStore({ folder: undefined, durability: 'full', busyMs: 0, maxPages: undefined })
    const [ahead, behind] = [machine(), machine()]
    ahead.wallMs += 3_600_000
    const first = new StoreClock(database, { wall: () => ahead.wall(), monotonic: () => ahead.monotonic() })
    const second = new StoreClock(database, { wall: () => behind.wall(), monotonic: () => behind.monotonic() })
    expect(first.advance()).toBe(4_600_000)
    expect(second.now()).toBe(4_600_000)
    behind.monotonicMs += 500
    expect(second.advance()).toBe(4_600_500)
    ahead.monotonicMs += 500
    expect(first.now()).toBe(4_600_500)
    database.close()
  })
})

it('a queue leaves nothing behind once all is acknowledged', async () => {
  const driver = await queueWith('memory:', ['a', 'b'])
  const source = await subscribeQueue(driver, 'q', 'g')
  await source.settle(ack(await pullAll(source, 2)), live)
  await eventually(async () =>
    expect((await driver.admin.lag('q', 'g', live)).map((each) => each.messages)).toEqual([0]),
  )
})
