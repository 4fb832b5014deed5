import { describe, expect, it } from 'vitest'
import { eventually } from '@sluice/driver/testing'
import { StoreRegistry } from '../src/store/registry.ts'
import {
  credit,
  live,
  open,
  record,
  rejection,
  send,
  stored,
  subscribe,
  take,
  temporaryFolder,
  texts,
} from './fixtures.ts'

describe('appending and reading', () => {
  it('gives back what was sent, in order, with dense positions', async () => {
    const driver = await open(`local:${temporaryFolder()}`)
    await driver.admin.createTopic('t', { partitions: 1 }, live)
    const sent = [
      record({ key: 'k', headers: { a: '1', 'ü-x': 'värde' }, body: 'one' }),
      record({ key: '', body: '', expiresAtMs: 123 }),
      record({ body: new Uint8Array([0, 255, 128]) }),
    ]
    const outcomes = await send(driver, 't', sent)
    expect(outcomes.map((outcome) => [outcome.partition, outcome.position])).toEqual([
      ['0', '0'],
      ['0', '1'],
      ['0', '2'],
    ])
    const { source } = await subscribe(driver, 't')
    const got = await take(source, 3)
    const shown = got.map(({ id, key, headers, body, expiresAtMs, position }) => ({
      id,
      key,
      headers,
      body,
      expiresAtMs,
      position,
    }))
    expect(shown).toEqual(
      sent.map(({ id, key, headers, body, expiresAtMs }, index) => ({
        id,
        key,
        headers,
        body,
        expiresAtMs,
        position: String(index),
      })),
    )
  })

  it('keeps records across close and open', async () => {
    const folder = temporaryFolder()
    const first = await open(`local:${folder}`)
    await first.admin.createTopic('t', { partitions: 1 }, live)
    await send(first, 't', [record({ body: 'a' })])
    await first.close()
    const second = await open(`local:${folder}`)
    await send(second, 't', [record({ body: 'b' })])
    const { source } = await subscribe(second, 't')
    expect(texts(await take(source, 2))).toEqual(['a', 'b'])
  })

  it('wakes a poll that waits when this process appends', async () => {
    const driver = await open('memory:')
    await driver.admin.createTopic('t', { partitions: 1 }, live)
    const { source } = await subscribe(driver, 't')
    const polled = take(source, 1)
    await send(driver, 't', [record({ body: 'now' })])
    expect(texts(await polled)).toEqual(['now'])
  })

  it('wakes a poll that waits when another connection appends', async () => {
    const folder = temporaryFolder()
    const [reader, writer] = [await open(`local:${folder}`), await open(`local:${folder}`)]
    await reader.admin.createTopic('t', { partitions: 1 }, live)
    const { source } = await subscribe(reader, 't')
    const polled = take(source, 1)
    await send(writer, 't', [record({ body: 'far' })])
    expect(texts(await polled)).toEqual(['far'])
  })

  it('resolves a poll with nothing after about a second', async () => {
    const driver = await open('memory:')
    await driver.admin.createTopic('t', {}, live)
    const { source } = await subscribe(driver, 't')
    const started = performance.now()
    expect(await source.poll(credit, live)).toEqual([])
    expect(performance.now() - started).toBeGreaterThan(800)
  })

  it('hands out no more than the credit, and goes on in the middle of a batch', async () => {
    const driver = await open('memory:')
    await driver.admin.createTopic('t', { partitions: 1 }, live)
    await send(
      driver,
      't',
      Array.from({ length: 10 }, (_, i) => record({ body: `b${i}` })),
    )
    const { source } = await subscribe(driver, 't')
    const got: string[][] = []
    for (let i = 0; i < 3; i++) got.push(texts(await source.poll({ records: 4, bytes: 1e6 }, live)))
    expect(got.map((each) => each.length)).toEqual([4, 4, 2])
    expect(got.flat()).toEqual(Array.from({ length: 10 }, (_, i) => `b${i}`))
    const one = await subscribe(driver, 't')
    expect(await one.source.poll({ records: 100, bytes: 1 }, live)).toHaveLength(1)
  })

  it('never resolves with nothing while records are left, however credit and batches cut each other', async () => {
    const driver = await open('memory:')
    await driver.admin.createTopic('t', { partitions: 3 }, live)
    for (const [partition, sizes] of [[5, 5, 4], [1], [7, 2]].entries()) {
      for (const size of sizes) {
        const records = Array.from({ length: size }, () => record({ partition: String(partition) }))
        await send(driver, 't', records)
      }
    }
    for (const records of [3, 5, 10, 20]) {
      const { source } = await subscribe(driver, 't')
      const counts: number[] = []
      while (counts.reduce((sum, count) => sum + count, 0) < 24) {
        counts.push((await source.poll({ records, bytes: 1e6 }, live)).length)
      }
      expect([records, counts.filter((count) => count === 0)]).toEqual([records, []])
      await source.close()
    }
  })

  it('goes on with a partition at once while another is empty', async () => {
    const driver = await open('memory:')
    await driver.admin.createTopic('t', { partitions: 2 }, live)
    for (let i = 0; i < 4; i++) {
      const records = Array.from({ length: 5 }, () => record({ partition: '0' }))
      await send(driver, 't', records)
    }
    const { source } = await subscribe(driver, 't')
    const counts: number[] = []
    while (counts.reduce((sum, count) => sum + count, 0) < 20) {
      counts.push((await source.poll({ records: 3, bytes: 1e6 }, live)).length)
    }
    expect(counts).not.toContain(0)
  })

  it('rewinds within a batch', async () => {
    const driver = await open('memory:')
    await driver.admin.createTopic('t', { partitions: 1 }, live)
    const sent = await send(
      driver,
      't',
      Array.from({ length: 6 }, (_, i) => record({ body: `b${i}` })),
    )
    const { source } = await subscribe(driver, 't')
    await take(source, 5)
    const at = sent[2]?.position
    if (at !== undefined) source.rewind('0', at)
    expect(texts(await take(source, 4))).toEqual(['b2', 'b3', 'b4', 'b5'])
  })

  it('leaves paused partitions out, and wakes on resume', async () => {
    const driver = await open('memory:')
    await driver.admin.createTopic('t', { partitions: 2 }, live)
    await send(driver, 't', [record({ partition: '0', body: 'zero' }), record({ partition: '1', body: 'one' })])
    const { source } = await subscribe(driver, 't')
    source.pause(['0'])
    expect(texts(await source.poll(credit, live))).toEqual(['one'])
    const polled = take(source, 1)
    source.resume(['0'])
    expect(texts(await polled)).toEqual(['zero'])
  })

  it('keeps equal keys in one partition and in order, and spreads the rest', async () => {
    const driver = await open('memory:')
    await driver.admin.createTopic('t', { partitions: 4 }, live)
    const outcomes = await send(
      driver,
      't',
      Array.from({ length: 100 }, (_, i) => record({ key: `k${i % 10}`, body: String(i) })),
    )
    const partitions = new Map<string, Set<string | undefined>>()
    outcomes.forEach((outcome, i) => {
      const key = `k${i % 10}`
      partitions.set(key, (partitions.get(key) ?? new Set()).add(outcome.partition))
    })
    expect([...partitions.values()].every((each) => each.size === 1)).toBe(true)
    expect(new Set(outcomes.map((outcome) => outcome.partition)).size).toBeGreaterThan(1)
  })

  it('refuses partitions that are not there, one record at a time, and later records of that key', async () => {
    const driver = await open('memory:')
    await driver.admin.createTopic('t', { partitions: 1 }, live)
    const topic = await driver.openTopic('t', live)
    const producer = await topic.producer(live)
    const outcomes = await producer.sendBatch(
      [record({ key: 'a', partition: '7' }), record({ key: 'a' }), record({ key: 'b' })],
      live,
    )
    expect(outcomes.map((outcome) => (outcome.ok ? 'ok' : outcome.error.code))).toEqual([
      'not-found',
      'not-found',
      'ok',
    ])
  })

  it('shares memory by name inside one process, and keeps the unnamed apart', async () => {
    const registry = new StoreRegistry()
    const [a, b] = [await open('memory:x', { registry }), await open('memory:x', { registry })]
    const [c, d] = [await open('memory:', { registry }), await open('memory:', { registry })]
    await a.admin.createTopic('t', {}, live)
    await c.admin.createTopic('t', {}, live)
    expect(await b.admin.listTopics(live)).toEqual(['t'])
    expect(await d.admin.listTopics(live)).toEqual([])
    await a.close()
    expect(await b.admin.listTopics(live)).toEqual(['t'])
  })

  it('stores a record sent twice with one id once', async () => {
    const folder = temporaryFolder()
    const [a, b] = [await open(`local:${folder}`), await open(`local:${folder}`)]
    await a.admin.createTopic('t', { partitions: 2 }, live)
    const [first, second] = await send(a, 't', [record({ id: 'same', key: 'k' }), record({ id: 'other', key: 'k' })])
    const again = await send(a, 't', [
      record({ id: 'same', key: 'k' }),
      record({ id: 'new', key: 'k' }),
      record({ id: 'new', key: 'k' }),
    ])
    expect(again.map((outcome) => outcome.duplicate ?? false)).toEqual([true, false, true])
    expect(again[0]?.position).toEqual(first?.position)
    const far = await send(b, 't', [record({ id: 'other', key: 'k' })])
    expect(far).toEqual([{ ok: true, partition: second?.partition, position: second?.position, duplicate: true }])
    await send(b, 't', [record({ id: 'late', key: 'k' })])
    expect((await send(a, 't', [record({ id: 'late', key: 'k' })]))[0]?.duplicate).toBe(true)
    const { source } = await subscribe(a, 't')
    expect((await take(source, 4)).map((each) => each.id).toSorted()).toEqual(['late', 'new', 'other', 'same'])
  })

  it('rejects with not-found for a topic that is not there or was deleted', async () => {
    const driver = await open('memory:')
    expect((await rejection(driver.openTopic('nope', live))).code).toBe('not-found')
    await driver.admin.createTopic('t', {}, live)
    const topic = await driver.openTopic('t', live)
    const producer = await topic.producer(live)
    const { source } = await subscribe(driver, 't')
    const polled = rejection(source.poll(credit, live))
    await driver.admin.deleteTopic('t', live)
    expect((await rejection(producer.sendBatch([record()], live))).code).toBe('not-found')
    expect((await polled).code).toBe('not-found')
    await driver.admin.createTopic('t', {}, live)
    expect(stored((await producer.sendBatch([record()], live))[0] ?? { ok: false, error: await polled }).position).toBe(
      '0',
    )
  })

  it('ends a poll that waits when its signal aborts, and loses nothing by it', async () => {
    const driver = await open('memory:')
    await driver.admin.createTopic('t', { partitions: 1 }, live)
    const { source } = await subscribe(driver, 't')
    const stop = new AbortController()
    const polled = rejection(source.poll(credit, stop.signal))
    stop.abort()
    expect((await polled).code).toBe('aborted')
    await send(driver, 't', [record({ body: 'a' })])
    expect(texts(await take(source, 1))).toEqual(['a'])
  })
})

describe('groups', () => {
  it('goes on behind the last commit', async () => {
    const driver = await open('memory:')
    await driver.admin.createTopic('t', { partitions: 1 }, live)
    await send(
      driver,
      't',
      ['a', 'b', 'c'].map((body) => record({ body })),
    )
    const first = await subscribe(driver, 't', { group: 'g' })
    const got = await take(first.source, 3)
    const outcome = await first.source.commit(
      [{ partition: '0', epoch: got[1]?.epoch ?? 0, through: got[1]?.position, ended: false }],
      live,
    )
    expect(outcome).toEqual([{ ok: true }])
    await first.source.close()
    const second = await subscribe(driver, 't', { group: 'g' })
    expect(texts(await take(second.source, 1))).toEqual(['c'])
  })

  it('shares partitions among members and hands over', async () => {
    const driver = await open('memory:?failoverMs=3000')
    await driver.admin.createTopic('t', { partitions: 4 }, live)
    const a = await subscribe(driver, 't', { group: 'g', member: 'a' })
    expect([...a.events.assignedEpochs.keys()].toSorted()).toEqual(['0', '1', '2', '3'])
    const b = await subscribe(driver, 't', { group: 'g', member: 'b' })
    await eventually(() => {
      expect([a.events.assignedEpochs.size, b.events.assignedEpochs.size]).toEqual([2, 2])
    }, 30_000)
  })
})
