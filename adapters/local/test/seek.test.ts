import { describe, expect, it } from 'vitest'
import type { Driver, Position, StartFrom } from '@sluice/driver'
import { live, open, record, send, subscribe, subscribeQueue, take, text } from './fixtures.ts'

/** A topic of two partitions with the records a, b in the one and c, d in the other. */
async function twoPartitions(order: 'key' | 'none'): Promise<Driver> {
  const driver = await open('memory:?failoverMs=20000')
  await driver.admin.createTopic('t', { order, partitions: 2 }, live)
  const places = { a: '0', b: '0', c: '1', d: '1' }
  await send(
    driver,
    't',
    Object.entries(places).map(([body, partition]) => record({ body, partition })),
  )
  return driver
}

const at = (positions: Readonly<Record<string, string>>): StartFrom => ({
  kind: 'position',
  positions: positions as Readonly<Record<string, Position>>,
})

const behind = async (driver: Driver): Promise<unknown> =>
  (await driver.admin.lag('t', 'g', live)).map(({ partition, messages }) => `${partition}: ${messages}`)

describe.each(['key', 'none'] as const)('a group of a topic with order %s', (order) => {
  it('that is moved to a position of one partition stays where it is in the other', async () => {
    const driver = await twoPartitions(order)
    await driver.admin.seek('t', 'g', at({ '0': '1', '1': '1' }), live)
    expect(await behind(driver)).toEqual(['0: 1', '1: 1'])
    await driver.admin.seek('t', 'g', at({ '0': '0' }), live)
    expect(await behind(driver)).toEqual(['0: 2', '1: 1'])
    await driver.admin.seek('t', 'g', at({ '1': '2' }), live)
    expect(await behind(driver)).toEqual(['0: 2', '1: 0'])
  })

  it('that is new begins at the earliest record of a partition it is given no position for', async () => {
    const driver = await twoPartitions(order)
    await driver.admin.seek('t', 'g', at({ '1': '2' }), live)
    expect(await behind(driver)).toEqual(['0: 2', '1: 0'])
  })
})

it('a running member keeps the partition that is not moved, with what it has in hand of it', async () => {
  const driver = await twoPartitions('key')
  const { source, events } = await subscribe(driver, 't', { group: 'g' })
  await take(source, 4)
  events.log.length = 0
  await driver.admin.seek('t', 'g', at({ '0': '0' }), live)
  expect((await take(source, 2)).map(({ body }) => text(body))).toEqual(['a', 'b'])
  expect(events.log).toEqual(['lost 0', 'assigned 0'])
})

it('deliveries of a partition that is not moved can still be settled, those of the moved one come again', async () => {
  const driver = await twoPartitions('none')
  const source = await subscribeQueue(driver, 't', 'g')
  const records = []
  while (records.length < 4) records.push(...(await source.pull({ records: 4, bytes: 1e6 }, live)))
  await driver.admin.seek('t', 'g', at({ '0': '0' }), live)
  const settled = await source.settle(
    records.map(({ token }) => ({ token, verb: 'ack' as const })),
    live,
  )
  expect(records.map(({ body }, index) => `${text(body)} ${settled[index]?.ok}`).toSorted()).toEqual([
    'a false',
    'b false',
    'c true',
    'd true',
  ])
})
