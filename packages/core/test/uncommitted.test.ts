import { eventually } from '@sluice/driver/testing'
import { describe, expect, it } from 'vitest'
import { connect } from '../src/index.ts'
import type { Cloud } from '../src/index.ts'

const maxBufferedRecords = 5
const maxUncommitted = 20

const openTopic = async (cloud: Cloud, keys: readonly string[]): Promise<void> => {
  await cloud.admin.createTopic('in', { partitions: 1 })
  await cloud.topic('in').sendAll(keys.map((key, value) => ({ key, value })))
}

const committedIn = async (cloud: Cloud): Promise<number> => {
  const [lag] = await cloud.admin.lag('in', 'g')
  return lag?.committed === undefined ? 0 : Number(lag.committed) + 1
}

describe('maxUncommitted', () => {
  it('bounds what a crash could repeat, also while nothing is stuck and only commits are late', async () => {
    await using cloud = await connect('memory:')
    await openTopic(cloud, ['first'])
    const settings = { group: 'g', maxBufferedRecords, maxUncommitted, commitIntervalMs: 3_600_000 }
    await using consumer = cloud.topic('in').consumer(settings)
    let handled = 0
    const running = consumer.run(() => void handled++)
    await eventually(async () => expect(await committedIn(cloud)).toBe(1))
    await cloud.topic('in').sendAll(Array.from({ length: 300 }, (_, value) => ({ key: `k${value}`, value })))
    await eventually(() => expect(handled).toBeGreaterThanOrEqual(maxUncommitted))
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(handled - (await committedIn(cloud))).toBeLessThan(maxUncommitted + maxBufferedRecords)
    await consumer.close()
    await running
    expect(await committedIn(cloud)).toBe(handled)
  })

  it('lets a stuck key that was given up be read again, however far the others have run ahead', async () => {
    await using cloud = await connect('memory:')
    const keys = [...Array.from({ length: 8 }, () => 'stuck'), ...Array.from({ length: 60 }, (_, n) => `k${n}`)]
    await openTopic(cloud, keys)
    const settings = { group: 'g', maxBufferedRecords, maxUncommitted, commitIntervalMs: 0 }
    await using consumer = cloud.topic('in').consumer(settings)
    const stuck = Promise.withResolvers<void>()
    const handled: unknown[] = []
    const running = consumer.run(async ({ value }) => {
      if (value === 0) await stuck.promise
      handled.push(value)
    })
    await eventually(() => expect(handled.length).toBeGreaterThanOrEqual(maxUncommitted - 8))
    expect(consumer.stats().parked).toBeGreaterThan(0)
    stuck.resolve()
    await eventually(() => expect(handled).toHaveLength(keys.length))
    expect(handled.filter((value) => Number(value) < 8)).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
    await eventually(async () => expect(await committedIn(cloud)).toBe(keys.length))
    await consumer.close()
    await running
  })
})
