import { eventually } from '@sluice/driver/testing'
import { describe, expect, it, onTestFinished } from 'vitest'
import { backend, open, texts } from './fixtures.ts'

describe('members with enhanced fan-out', () => {
  it('may start all at once, though they look oftener than the service allows', async () => {
    const { url } = await backend({ quotas: true, stateMs: 1_500 })
    const home = await open(url())
    await home.admin.createTopic('t', { partitions: 1 })
    const members = await Promise.all(Array.from({ length: 10 }, () => open(url('&mode=efo'))))
    const ended: unknown[] = []
    const consumers = members.map((cloud) => texts(cloud, 't').consumer({ group: 'g', deadLetter: false }))
    for (const consumer of consumers)
      void consumer
        .run(() => undefined)
        .then(
          () => ended.push('closed'),
          (error: unknown) => ended.push(error),
        )
    onTestFinished(async () => void (await Promise.all(consumers.map((consumer) => consumer.close()))))
    await eventually(() => expect(consumers.some((consumer) => consumer.stats().partitions.length === 1)).toBe(true))
    await new Promise((resolve) => setTimeout(resolve, 3_000))
    expect(ended).toEqual([])
  })
})
