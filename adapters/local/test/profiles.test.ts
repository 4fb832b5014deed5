import { describe, expect, it } from 'vitest'
import { eventually } from '@sluice/driver/testing'
import type { QueuedRecord, QueueSource } from '@sluice/driver'
import {
  credit,
  live,
  open,
  record,
  rejection,
  send,
  subscribe,
  subscribeQueue,
  take,
  text,
  texts,
} from './fixtures.ts'

async function pullAll(source: QueueSource, count: number): Promise<QueuedRecord[]> {
  const records: QueuedRecord[] = []
  const end = performance.now() + 30_000
  while (records.length < count && performance.now() < end) {
    records.push(...(await source.pull({ records: count - records.length, bytes: 1e9 }, live)))
  }
  return records
}

describe.each(['no-positions', 'ordered-queue'])('profile %s', (profile) => {
  it('is a queue without positions, and refuses what it does not have', async () => {
    const driver = await open(`memory:?profile=${profile}`)
    expect(driver.capabilities).toMatchObject({
      shapes: { key: 'queue', none: 'queue' },
      positions: 'none',
      receiptPosition: false,
      transactions: false,
    })
    await driver.admin.createTopic('t', { partitions: 2 }, live)
    expect(await send(driver, 't', [record({ key: 'k', body: 'a' })])).toEqual([{ ok: true }])
    const topic = await driver.openTopic('t', live)
    expect(() => topic.comparePositions('1' as never, '2' as never)).toThrow(
      expect.objectContaining({ code: 'unsupported' }),
    )
    const start = { kind: 'position', positions: {} } as const
    expect((await rejection(driver.admin.seek('t', 'g', start, live))).code).toBe('unsupported')
    expect((await rejection(driver.admin.setPartitions('t', 3, live))).code).toBe('unsupported')
    expect((await driver.admin.describeTopic('t', live)).partitions.map(({ id, records }) => [id, records])).toEqual([
      ['-', 1],
    ])
    const source = await subscribeQueue(driver, 't', 'g')
    const [first] = await pullAll(source, 1)
    expect([first?.position, first?.partition, text(first?.body ?? new Uint8Array())]).toEqual([undefined, '-', 'a'])
    expect((await driver.admin.lag('t', 'g', live)).map((each) => each.messages)).toEqual([1])
    await source.settle([{ token: first?.token ?? '', verb: 'ack' }], live)
    expect((await driver.admin.lag('t', 'g', live)).map((each) => each.messages)).toEqual([0])
    const alone = await subscribe(driver, 't')
    expect((await take(alone.source, 1)).map((each) => each.position)).toEqual([undefined])
  })

  it('brings back what was not acknowledged, to the next member', async () => {
    const driver = await open(`memory:?profile=${profile}&failoverMs=20000`)
    await driver.admin.createTopic('t', { partitions: 1 }, live)
    await send(
      driver,
      't',
      ['a', 'b', 'c'].map((body) => record({ key: 'k', body })),
    )
    const first = await subscribeQueue(driver, 't', 'g', 'first')
    const held = await pullAll(first, 3)
    await first.settle([{ token: held[0]?.token ?? '', verb: 'ack' }], live)
    await first.close()
    const second = await subscribeQueue(driver, 't', 'g', 'second')
    expect(texts(await pullAll(second, 2))).toEqual(['b', 'c'])
  })

  it('remembers an acknowledgement behind one that is missing, until the group is moved', async () => {
    const driver = await open(`memory:?profile=${profile}&failoverMs=20000`)
    await driver.admin.createTopic('t', { partitions: 1 }, live)
    const bodies = ['a', 'b', 'c']
    await send(
      driver,
      't',
      bodies.map((body) => record({ key: body, body })),
    )
    const first = await subscribeQueue(driver, 't', 'g', 'first')
    const held = await pullAll(first, 3)
    await first.settle([{ token: held[1]?.token ?? '', verb: 'ack' }], live)
    await first.close()
    const second = await subscribeQueue(driver, 't', 'g', 'second')
    expect(texts(await pullAll(second, 2))).toEqual(['a', 'c'])
    await second.close()
    await driver.admin.seek('t', 'g', { kind: 'earliest' }, live)
    const third = await subscribeQueue(driver, 't', 'g', 'third')
    expect(texts(await pullAll(third, 3))).toEqual(bodies)
  })

  it('brings a record back when its lease runs out', async () => {
    const driver = await open(`memory:?profile=${profile}&leaseMs=1000`)
    await driver.admin.createTopic('t', { partitions: 1 }, live)
    await send(driver, 't', [record({ key: 'k', body: 'a' })])
    const source = await subscribeQueue(driver, 't', 'g')
    const [first] = await pullAll(source, 1)
    const [again] = await pullAll(source, 1)
    expect(again?.id).toBe(first?.id)
    const [late] = await source.settle([{ token: first?.token ?? '', verb: 'ack' }], live)
    expect(late?.ok === false && late.error.code).toBe('fenced')
  })
})

/** Acknowledges the second of four records, then has the first retried: what comes then? */
async function retryFirst(profile: string): Promise<string[]> {
  const driver = await open(`memory:?profile=${profile}`)
  await driver.admin.createTopic('t', { partitions: 1 }, live)
  await send(driver, 't', [
    ...['a1', 'a2', 'a3'].map((body) => record({ key: 'a', body })),
    record({ key: 'b', body: 'b1' }),
  ])
  const source = await subscribeQueue(driver, 't', 'g')
  const [first, second] = await pullAll(source, 2)
  await source.settle([{ token: second?.token ?? '', verb: 'ack' }], live)
  await source.settle([{ token: first?.token ?? '', verb: 'retry', delayMs: 1_500 }], live)
  const seen: string[] = []
  await eventually(async () => {
    const records = await source.pull(credit, live)
    seen.push(...texts(records))
    await source.settle(
      records.map(({ token }) => ({ token, verb: 'ack' })),
      live,
    )
    expect(seen).toContain('a1')
    expect(seen).toContain('b1')
    expect(seen).toContain('a3')
  })
  return seen
}

describe('what comes after a retried record', () => {
  it('with no-positions overtakes it', async () => {
    expect(await retryFirst('no-positions')).toEqual(['a3', 'b1', 'a1'])
  })

  it('with ordered-queue is its key again, in order', async () => {
    expect((await retryFirst('ordered-queue')).filter((each) => each.startsWith('a'))).toEqual(['a1', 'a2', 'a3'])
  })
})

describe('profile partial', () => {
  it('fails every fifth record of a request, and stores its neighbours', async () => {
    const driver = await open('memory:?profile=partial')
    expect(driver.capabilities.requestOrder).toBe('none')
    await driver.admin.createTopic('t', { partitions: 1 }, live)
    const producer = await (await driver.openTopic('t', live)).producer(live)
    const outcomes = await producer.sendBatch(
      Array.from({ length: 10 }, (_, i) => record({ body: String(i) })),
      live,
    )
    const failed = outcomes.map((outcome) => (outcome.ok ? '' : `${outcome.error.code} ${outcome.error.retryable}`))
    expect(failed).toEqual(['', '', '', '', 'throttled true', '', '', '', '', 'throttled true'])
    const { source } = await subscribe(driver, 't')
    expect(texts(await take(source, 8))).toEqual(['0', '1', '2', '3', '5', '6', '7', '8'])
  })
})

describe.each([
  ['ambiguous', 2],
  ['ambiguous-dedup', 1],
])('profile %s', (profile, copies) => {
  it(`loses an answer now and then; sent again, the record is there ${copies} times`, async () => {
    const driver = await open(`memory:?profile=${profile}`)
    expect(driver.capabilities.dedup === false).toBe(copies === 2)
    await driver.admin.createTopic('t', { partitions: 1 }, live)
    const producer = await (await driver.openTopic('t', live)).producer(live)
    let lost = 0
    for (let i = 0; i < 8; i++) {
      const one = record({ body: String(i) })
      const error = await producer.sendBatch([one], live).then(
        () => undefined,
        (reason: unknown) => reason,
      )
      if (error === undefined) continue
      expect(error).toMatchObject({ code: 'timeout', ambiguous: true, retryable: true })
      lost++
      await producer.sendBatch([one], live)
    }
    expect(lost).toBeGreaterThan(0)
    const { partitions } = await driver.admin.describeTopic('t', live)
    expect(partitions[0]?.records).toBe(8 + lost * (copies - 1))
  })
})

describe('profile small', () => {
  it('has the limits of a small backend, and keeps to them', async () => {
    const driver = await open('memory:?profile=small')
    expect(driver.capabilities).toMatchObject({
      transactions: false,
      seekLive: false,
      lag: ['age'],
      explicitPartition: false,
      emptyKey: false,
      headers: true,
    })
    await driver.admin.createTopic('t', {}, live)
    const topic = await driver.openTopic('t', live)
    expect(topic.limits).toMatchObject({ maxRecordBytes: 1_048_576, maxBatchRecords: 500, maxBatchBytes: 1_048_576 })
    const producer = await topic.producer(live)
    expect(
      (
        await rejection(
          producer.sendBatch(
            Array.from({ length: 501 }, () => record()),
            live,
          ),
        )
      ).code,
    ).toBe('too-large')
    const outcomes = await producer.sendBatch([record({ key: '' }), record({ partition: '0' }), record()], live)
    expect(outcomes.map((outcome) => (outcome.ok ? 'ok' : outcome.error.code))).toEqual([
      'unsupported',
      'unsupported',
      'ok',
    ])
  })

  it('moves a group only at rest, and has no transactions', async () => {
    const driver = await open('memory:?profile=small')
    await driver.admin.createTopic('t', {}, live)
    const { source } = await subscribe(driver, 't', { group: 'g' })
    expect('transact' in source).toBe(false)
    expect((await rejection(driver.admin.seek('t', 'g', { kind: 'latest' }, live))).code).toBe('conflict')
    await source.close()
    await driver.admin.seek('t', 'g', { kind: 'latest' }, live)
    expect(Object.keys((await driver.admin.lag('t', 'g', live))[0] ?? {})).not.toContain('messages')
  })
})

it('profiles combine', async () => {
  const driver = await open('memory:?profile=small,partial,no-positions')
  expect(driver.capabilities).toMatchObject({ requestOrder: 'none', positions: 'none', lag: ['age'], seekLive: false })
})
