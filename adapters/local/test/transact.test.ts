import { describe, expect, it } from 'vitest'
import type { Commit } from '@sluice/driver'
import { live, open, record, rejection, send, subscribe, take, temporaryFolder, texts } from './fixtures.ts'
import type { Reader } from './fixtures.ts'

async function setUp(): Promise<{ driver: Awaited<ReturnType<typeof open>>; reader: Reader; commit: Commit }> {
  const driver = await open(`local:${temporaryFolder()}`)
  await driver.admin.createTopic('in', { partitions: 1 }, live)
  await driver.admin.createTopic('out', { partitions: 2 }, live)
  await send(
    driver,
    'in',
    ['a', 'b'].map((body) => record({ body })),
  )
  const reader = await subscribe(driver, 'in', { group: 'g' })
  const [first] = await take(reader.source, 2)
  return {
    driver,
    reader,
    commit: { partition: '0', epoch: first?.epoch ?? 0, through: first?.position, ended: false },
  }
}

describe('a transaction', () => {
  it('stores outputs to several topics and progress together', async () => {
    const { driver, reader, commit } = await setUp()
    const records = [
      { topic: 'out', record: record({ key: 'k', body: 'x' }) },
      { topic: 'in', record: record({ body: 'y' }) },
      { topic: 'out', record: record({ key: 'k', body: 'z' }) },
    ]
    const outcomes = await reader.source.transact?.(records, [commit], live)
    expect(outcomes?.map((outcome) => outcome.ok && outcome.position)).toEqual(['0', '2', '1'])
    const out = await subscribe(driver, 'out')
    expect(texts(await take(out.source, 2))).toEqual(['x', 'z'])
    expect((await driver.admin.lag('in', 'g', live)).map((each) => each.committed)).toEqual(['0'])
  })

  it('stores nothing when the progress is refused', async () => {
    const { driver, reader, commit } = await setUp()
    await driver.admin.seek('in', 'g', { kind: 'earliest' }, live)
    const records = [{ topic: 'out', record: record({ body: 'x' }) }]
    const work = reader.source.transact?.(records, [commit], live) ?? Promise.resolve()
    expect((await rejection(work)).code).toBe('fenced')
    const { partitions } = await driver.admin.describeTopic('out', live)
    expect(partitions.map((each) => each.records)).toEqual([0, 0])
  })

  it('stores nothing when an output topic is missing', async () => {
    const { driver, reader, commit } = await setUp()
    const records = [
      { topic: 'out', record: record() },
      { topic: 'nowhere', record: record() },
    ]
    const work = reader.source.transact?.(records, [commit], live) ?? Promise.resolve()
    expect((await rejection(work)).code).toBe('not-found')
    expect((await driver.admin.lag('in', 'g', live)).map((each) => each.committed)).toEqual([undefined])
    const { partitions } = await driver.admin.describeTopic('out', live)
    expect(partitions.map((each) => each.records)).toEqual([0, 0])
  })

  it('stores nothing when one record asks for a partition that is not there', async () => {
    const { driver, reader, commit } = await setUp()
    const records = [
      { topic: 'out', record: record({ key: 'k' }) },
      { topic: 'out', record: record({ partition: '9' }) },
    ]
    const work = reader.source.transact?.(records, [commit], live) ?? Promise.resolve()
    expect((await rejection(work)).code).toBe('not-found')
    const { partitions } = await driver.admin.describeTopic('out', live)
    expect(partitions.map((each) => each.records)).toEqual([0, 0])
  })

  it('with progress alone is a commit, and with nothing is nothing', async () => {
    const { driver, reader, commit } = await setUp()
    expect(await reader.source.transact?.([], [commit], live)).toEqual([])
    expect(await reader.source.transact?.([], [], live)).toEqual([])
    expect((await driver.admin.lag('in', 'g', live)).map((each) => each.committed)).toEqual(['0'])
  })
})
