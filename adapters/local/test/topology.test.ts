import { describe, expect, it } from 'vitest'
import { eventually } from '@sluice/driver/testing'
import type { IncomingRecord, LogSource, PartitionId } from '@sluice/driver'
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
import type { Reader } from './fixtures.ts'

/** Commits the end of every partition the source said has ended, as core does once all is settled. */
async function commitEnds(reader: Reader, done: Set<PartitionId>, group: boolean): Promise<void> {
  for (const line of reader.events.log) {
    const partition = /^ended (\S+)/.exec(line)?.[1]
    if (partition === undefined || done.has(partition)) continue
    done.add(partition)
    const epoch = reader.events.assignedEpochs.get(partition) ?? 0
    if (group) await reader.source.commit([{ partition, epoch, through: undefined, ended: true }], live)
  }
}

async function drain(reader: Reader, count: number, group: boolean): Promise<IncomingRecord[]> {
  const done = new Set<PartitionId>()
  const records: IncomingRecord[] = []
  const end = performance.now() + 30_000
  while (records.length < count && performance.now() < end) {
    records.push(...(await reader.source.poll(credit, live)))
    await commitEnds(reader, done, group)
  }
  return records
}

describe('changing the number of partitions', () => {
  it.each([
    [2, 4, { '2': ['0'], '3': ['1'], '4': ['0'], '5': ['1'] }],
    [4, 2, { '4': ['0', '2'], '5': ['1', '3'] }],
    [2, 3, { '2': ['0', '1'], '3': ['0', '1'], '4': ['0', '1'] }],
    [3, 1, { '3': ['0', '1', '2'] }],
  ])('from %i to %i ends the old ones and says whose children the new ones are', async (from, to, parents) => {
    const driver = await open('memory:')
    await driver.admin.createTopic('t', { partitions: from }, live)
    await driver.admin.setPartitions('t', to, live)
    const { partitions } = await driver.admin.describeTopic('t', live)
    expect(partitions.filter((each) => each.state === 'ended').map((each) => each.id)).toEqual(
      Array.from({ length: from }, (_, i) => String(i)),
    )
    const open_ = partitions.filter((each) => each.state === 'open')
    expect(Object.fromEntries(open_.map((each) => [each.id, each.parents]))).toEqual(parents)
  })

  it('tells the end of a partition only behind its last record, whatever has been read ahead', async () => {
    const driver = await open('memory:')
    await driver.admin.createTopic('t', { partitions: 2 }, live)
    for (let i = 0; i < 8; i++) (await send(driver, 't', [record({ key: 'k', body: String(i) })])).map(stored)
    await driver.admin.setPartitions('t', 1, live)
    const reader = await subscribe(driver, 't')
    const ends = (): number => reader.events.log.filter((line) => line.startsWith('ended')).length
    const got: string[] = []
    const endsBefore: number[] = []
    while (got.length < 8) {
      endsBefore.push(ends())
      got.push(...texts(await reader.source.poll({ ...credit, records: 1 }, live)))
      // Gives what is read ahead meanwhile the time to arrive.
      await driver.admin.describeTopic('t', live)
    }
    expect(Math.max(...endsBefore)).toBeLessThan(2)
    await eventually(async () => {
      await reader.source.poll(credit, live)
      expect(ends()).toBe(2)
    })
  })

  it.each([[true], [false]])('keeps every key in order under concurrent sends (with a group: %s)', async (group) => {
    const folder = temporaryFolder()
    const driver = await open(`local:${folder}?failoverMs=20000`)
    const other = await open(`local:${folder}`)
    await driver.admin.createTopic('t', { partitions: 2 }, live)
    const keys = 8
    const perKey = 40
    const reader = await subscribe(driver, 't', group ? { group: 'g' } : {})
    const sending = [driver, other].map(async (each, which) => {
      const producer = await (await each.openTopic('t', live)).producer(live)
      for (let i = 0; i < perKey; i++) {
        const records = Array.from({ length: keys }, (_, key) => record({ key: `${which}-${key}`, body: String(i) }))
        ;(await producer.sendBatch(records, live)).map(stored)
      }
    })
    const growing = (async () => {
      for (const count of [3, 5, 2]) {
        await eventually(async () => {
          const { partitions } = await other.admin.describeTopic('t', live)
          expect(
            partitions.filter((each) => each.state === 'open').reduce((sum, each) => sum + (each.records ?? 0), 0),
          ).toBeGreaterThan(10)
        })
        await other.admin.setPartitions('t', count, live)
      }
    })()
    const records = await drain(reader, keys * perKey * 2, group)
    await Promise.all([...sending, growing])
    expect(records).toHaveLength(keys * perKey * 2)
    const next = new Map<string | undefined, number>()
    for (const { key, body } of records) {
      expect([key, Number(new TextDecoder().decode(body))]).toEqual([key, next.get(key) ?? 0])
      next.set(key, (next.get(key) ?? 0) + 1)
    }
  })

  it('lets nobody read a child before its parents are settled', async () => {
    const driver = await open('memory:?failoverMs=20000')
    await driver.admin.createTopic('t', { partitions: 1 }, live)
    await send(driver, 't', [record({ key: 'k', body: 'old' })])
    const reader = await subscribe(driver, 't', { group: 'g' })
    await driver.admin.setPartitions('t', 1 + 1, live)
    await send(driver, 't', [record({ key: 'k', body: 'new' })])
    expect(texts(await take(reader.source, 1))).toEqual(['old'])
    expect(await reader.source.poll(credit, live)).toEqual([])
    expect(reader.events.log).toEqual(['assigned 0', 'ended 0 -> 1 2'])
    await reader.source.commit([{ partition: '0', epoch: 1, through: undefined, ended: true }], live)
    expect(texts(await take(reader.source, 1))).toEqual(['new'])
  })

  it('begins a late group at the oldest generation', async () => {
    const driver = await open('memory:?failoverMs=20000')
    await driver.admin.createTopic('t', { partitions: 2 }, live)
    await send(driver, 't', [record({ key: 'k', body: 'a' })])
    await driver.admin.setPartitions('t', 3, live)
    await send(driver, 't', [record({ key: 'k', body: 'b' })])
    const reader = await subscribe(driver, 't', { group: 'g' })
    expect(texts(await drain(reader, 2, true))).toEqual(['a', 'b'])
  })

  it('refuses a number that makes no sense', async () => {
    const driver = await open('memory:')
    await driver.admin.createTopic('t', {}, live)
    expect((await rejection(driver.admin.setPartitions('t', 0, live))).code).toBe('invalid-argument')
    expect((await rejection(driver.admin.setPartitions('nope', 2, live))).code).toBe('not-found')
  })
})

describe('where a group begins', () => {
  it('latest is fixed when the group begins, even if the member goes away', async () => {
    const driver = await open('memory:')
    await driver.admin.createTopic('t', { partitions: 2 }, live)
    await send(driver, 't', [record({ partition: '0', body: 'before' })])
    const first = await subscribe(driver, 't', { group: 'g', start: { kind: 'latest' } })
    await first.source.close()
    await send(driver, 't', [record({ partition: '0', body: 'after 0' }), record({ partition: '1', body: 'after 1' })])
    const second = await subscribe(driver, 't', { group: 'g', start: { kind: 'latest' } })
    expect(texts(await take(second.source, 2)).toSorted()).toEqual(['after 0', 'after 1'])
  })

  it('at a position is inclusive, and earliest where none is named', async () => {
    const driver = await open('memory:')
    await driver.admin.createTopic('t', { partitions: 2 }, live)
    const sent = await send(driver, 't', [
      ...['a', 'b', 'c'].map((body) => record({ partition: '0', body })),
      record({ partition: '1', body: 'x' }),
    ])
    const at = sent[1]?.position
    if (at === undefined) throw new Error('no position')
    const { source } = await subscribe(driver, 't', { start: { kind: 'position', positions: { '0': at } } })
    expect(texts(await take(source, 3)).toSorted()).toEqual(['b', 'c', 'x'])
  })
})

const seekTo = async (
  kind: 'earliest' | 'latest',
): Promise<{ reader: Reader; source: LogSource; seek: () => Promise<void>; more: () => Promise<unknown> }> => {
  const driver = await open('memory:?failoverMs=20000')
  await driver.admin.createTopic('t', { partitions: 1 }, live)
  await send(
    driver,
    't',
    ['a', 'b', 'c'].map((body) => record({ body })),
  )
  const reader = await subscribe(driver, 't', { group: 'g' })
  return {
    reader,
    source: reader.source,
    seek: () => driver.admin.seek('t', 'g', { kind }, live),
    more: () => send(driver, 't', [record({ body: 'd' })]),
  }
}

describe('seek', () => {
  it('back moves a running member: it is fenced and reads again', async () => {
    const { reader, source, seek } = await seekTo('earliest')
    const records = await take(source, 3)
    const epoch = records[0]?.epoch ?? 0
    expect(await source.commit([{ partition: '0', epoch, through: records[2]?.position, ended: false }], live)).toEqual(
      [{ ok: true }],
    )
    await seek()
    const [late] = await source.commit([{ partition: '0', epoch, through: records[2]?.position, ended: false }], live)
    expect(late?.ok === false && late.error.code).toBe('fenced')
    expect(texts(await take(source, 3))).toEqual(['a', 'b', 'c'])
    expect(reader.events.log).toEqual(['assigned 0', 'lost 0', 'assigned 0'])
  })

  it('forward passes records over', async () => {
    const { source, seek, more } = await seekTo('latest')
    await seek()
    await more()
    await eventually(async () => expect(texts(await source.poll(credit, live)).at(-1)).toBe('d'))
  })

  it('back over a growth makes the children wait for their parents again', async () => {
    const driver = await open('memory:?failoverMs=20000')
    await driver.admin.createTopic('t', { partitions: 1 }, live)
    await send(driver, 't', [record({ key: 'k', body: 'a' })])
    await driver.admin.setPartitions('t', 2, live)
    await send(driver, 't', [record({ key: 'k', body: 'b' })])
    const reader = await subscribe(driver, 't', { group: 'g' })
    expect(texts(await drain(reader, 2, true))).toEqual(['a', 'b'])
    await driver.admin.seek('t', 'g', { kind: 'earliest' }, live)
    reader.events.log.length = 0
    expect(texts(await drain(reader, 2, true))).toEqual(['a', 'b'])
  })

  it('moves a group that does not exist yet, and no other', async () => {
    const driver = await open('memory:')
    await driver.admin.createTopic('t', { partitions: 1 }, live)
    await send(
      driver,
      't',
      ['a', 'b'].map((body) => record({ body })),
    )
    await driver.admin.seek('t', 'new', { kind: 'latest' }, live)
    await send(driver, 't', [record({ body: 'c' })])
    const moved = await subscribe(driver, 't', { group: 'new' })
    const other = await subscribe(driver, 't', { group: 'other' })
    expect(texts(await take(moved.source, 1))).toEqual(['c'])
    expect(texts(await take(other.source, 3))).toEqual(['a', 'b', 'c'])
  })
})
