import { describe, expect, it } from 'vitest'
import { eventually, ManualClock } from '@sluice/driver/testing'
import type { TopicSpec } from '@sluice/driver'
import { live, open, record, rejection, send, subscribe, subscribeQueue, take, texts } from './fixtures.ts'

describe('topics', () => {
  it('are made once, and described as they were asked for', async () => {
    const driver = await open('memory:?partitions=3')
    const spec: TopicSpec = { partitions: 2, order: 'key', retentionMs: 1000, retentionBytes: 5000 }
    expect(await driver.admin.createTopic('t', spec, live)).toBe('created')
    expect(await driver.admin.createTopic('t', spec, live)).toBe('exists')
    expect(await driver.admin.createTopic('t', {}, live)).toBe('exists')
    expect(await driver.admin.describeTopic('t', live)).toMatchObject({
      name: 't',
      order: 'key',
      retentionMs: 1000,
      retentionBytes: 5000,
    })
    await driver.admin.createTopic('defaults', {}, live)
    const { partitions, retentionMs } = await driver.admin.describeTopic('defaults', live)
    expect([partitions.length, retentionMs]).toEqual([3, undefined])
    expect(await driver.admin.listTopics(live)).toEqual(['defaults', 't'])
  })

  it.each<[string, TopicSpec]>([
    ['partitions', { partitions: 3 }],
    ['order', { order: 'none' }],
    ['retentionMs', { retentionMs: 5 }],
    ['retentionBytes', { retentionBytes: 5 }],
  ])('that exist with other %s are a conflict, which says so', async (name, spec) => {
    const driver = await open('memory:')
    await driver.admin.createTopic('t', { partitions: 2 }, live)
    const error = await rejection(driver.admin.createTopic('t', spec, live))
    expect(error.code).toBe('conflict')
    expect(error.message).toContain(name)
  })

  it.each(['', '.hidden', 'a b', 'a/b', 'ü', 'x'.repeat(256)])('cannot be named %j', async (name) => {
    const driver = await open('memory:')
    expect((await rejection(driver.admin.createTopic(name, {}, live))).code).toBe('invalid-argument')
  })

  it.each<TopicSpec>([
    { partitions: 0 },
    { partitions: 1.5 },
    { partitions: 5000 },
    { retentionMs: 0 },
    { retentionBytes: -1 },
  ])('cannot have %j', async (spec) => {
    const driver = await open('memory:')
    expect((await rejection(driver.admin.createTopic('t', spec, live))).code).toBe('invalid-argument')
  })

  it('that are deleted take their records and groups along', async () => {
    const driver = await open('memory:?sweepMs=20')
    await driver.admin.createTopic('t', { partitions: 1 }, live)
    await send(driver, 't', [record()])
    const { source } = await subscribe(driver, 't', { group: 'g' })
    await source.close()
    await driver.admin.deleteTopic('t', live)
    expect((await rejection(driver.admin.deleteTopic('t', live))).code).toBe('not-found')
    await driver.admin.createTopic('t', { partitions: 1 }, live)
    expect(await driver.admin.listGroups('t', live)).toEqual([])
    expect((await driver.admin.describeTopic('t', live)).partitions.map((each) => each.records)).toEqual([0])
    await send(driver, 't', [record({ body: 'new' })])
    expect(texts(await take((await subscribe(driver, 't', { group: 'g' })).source, 1))).toEqual(['new'])
  })

  it.each(['describeTopic', 'deleteTopic', 'listGroups'] as const)(
    'that are not there are not-found by %s',
    async (call) => {
      const driver = await open('memory:')
      expect((await rejection(driver.admin[call]('nope', live))).code).toBe('not-found')
    },
  )
})

describe('retention', () => {
  it('by age removes whole batches, and moves the earliest position and the readers on', async () => {
    const clock = new ManualClock()
    const driver = await open('memory:?sweepMs=100', { clock })
    await driver.admin.createTopic('t', { partitions: 1, retentionMs: 10_000 }, live)
    await send(driver, 't', [record({ body: 'a' }), record({ body: 'b' })])
    await clock.advance(6000)
    await send(driver, 't', [record({ body: 'c' })])
    await eventually(async () => {
      await clock.advance(1000)
      const [partition] = (await driver.admin.describeTopic('t', live)).partitions
      expect(partition).toMatchObject({ earliest: '2', latest: '2', records: 1 })
    })
    const { source } = await subscribe(driver, 't')
    expect((await take(source, 1)).map((each) => each.position)).toEqual(['2'])
  })

  it('goes on with the offsets when everything is gone', async () => {
    const clock = new ManualClock()
    const driver = await open('memory:?sweepMs=100', { clock })
    await driver.admin.createTopic('t', { partitions: 1 }, live)
    await send(driver, 't', [record(), record()])
    await driver.admin.setRetention('t', { retentionMs: 1000 }, live)
    await eventually(async () => {
      await clock.advance(1000)
      expect((await driver.admin.describeTopic('t', live)).partitions.map((each) => each.records)).toEqual([0])
    })
    expect((await send(driver, 't', [record()])).map((each) => each.position)).toEqual(['2'])
  })

  it('by size keeps the newest', async () => {
    const clock = new ManualClock()
    const driver = await open('memory:?sweepMs=100', { clock })
    await driver.admin.createTopic('t', { partitions: 2, retentionBytes: 10_000 }, live)
    for (let i = 0; i < 20; i++) {
      await clock.advance(1)
      await send(driver, 't', [record({ partition: String(i % 2), body: new Uint8Array(1000) })])
    }
    await eventually(async () => {
      await clock.advance(100)
      const { partitions } = await driver.admin.describeTopic('t', live)
      const bytes = partitions.reduce((sum, each) => sum + (each.bytes ?? 0), 0)
      expect(bytes).toBeLessThanOrEqual(10_000)
      expect(bytes).toBeGreaterThan(8000)
      expect(partitions.map((each) => each.latest)).toEqual(['9', '9'])
    })
  })
})

describe('time', () => {
  it('finds the first record not older, in every partition', async () => {
    const clock = new ManualClock(1_000_000)
    const driver = await open('memory:', { clock })
    await driver.admin.createTopic('t', { partitions: 1 }, live)
    for (let i = 0; i < 50; i++) {
      await send(driver, 't', [record({ body: `${i}` }), record({ body: `${i}+` })])
      await clock.advance(10)
    }
    for (const [timeMs, expected] of [
      [0, '0'],
      [1_000_000, '0'],
      [1_000_001, '1'],
      [1_000_250, '25'],
      [1_000_490, '49'],
    ] as const) {
      const { source } = await subscribe(driver, 't', { start: { kind: 'time', timeMs } })
      expect(texts(await source.poll({ records: 1, bytes: 1e6 }, live))).toEqual([expected])
    }
    const { source } = await subscribe(driver, 't', { start: { kind: 'time', timeMs: 1_000_491 } })
    const polled = take(source, 1)
    await send(driver, 't', [record({ body: 'later' })])
    expect(texts(await polled)).toEqual(['later'])
  })

  it('does not go back with a small step of the clock', async () => {
    const clock = new ManualClock()
    const driver = await open('memory:', { clock })
    await driver.admin.createTopic('t', { partitions: 1 }, live)
    await send(driver, 't', [record()])
    clock.jump(-5000)
    await send(driver, 't', [record()])
    const { source } = await subscribe(driver, 't')
    const [a, b] = await take(source, 2)
    expect(b?.timeMs).toBe(a?.timeMs)
  })
})

describe('groups', () => {
  it('tell how far they are behind, in records and in age', async () => {
    const clock = new ManualClock()
    const driver = await open('memory:', { clock })
    await driver.admin.createTopic('t', { partitions: 1 }, live)
    await send(driver, 't', [record(), record()])
    await clock.advance(1000)
    await send(driver, 't', [record()])
    await clock.advance(500)
    expect((await rejection(driver.admin.lag('t', 'g', live))).code).toBe('not-found')
    const { source } = await subscribe(driver, 't', { group: 'g', member: 'me' })
    const records = await take(source, 3)
    expect(await driver.admin.lag('t', 'g', live)).toEqual([
      { partition: '0', messages: 3, ageMs: 1500, committed: undefined, owner: 'me' },
    ])
    await source.commit([{ partition: '0', epoch: 1, through: records[1]?.position, ended: false }], live)
    expect(await driver.admin.lag('t', 'g', live)).toEqual([
      { partition: '0', messages: 1, ageMs: 500, committed: '1', owner: 'me' },
    ])
    await source.commit([{ partition: '0', epoch: 1, through: records[2]?.position, ended: false }], live)
    expect(await driver.admin.lag('t', 'g', live)).toMatchObject([{ messages: 0, ageMs: 0 }])
  })

  it.each([['key'], ['none']] as const)('are listed, and deleted when no member runs (order %s)', async (order) => {
    const driver = await open('memory:')
    await driver.admin.createTopic('t', { order }, live)
    const source =
      order === 'key' ? (await subscribe(driver, 't', { group: 'g' })).source : await subscribeQueue(driver, 't', 'g')
    expect(await driver.admin.listGroups('t', live)).toEqual(['g'])
    expect((await rejection(driver.admin.deleteGroup('t', 'g', live))).code).toBe('conflict')
    await source.close()
    await driver.admin.deleteGroup('t', 'g', live)
    expect(await driver.admin.listGroups('t', live)).toEqual([])
  })
})
