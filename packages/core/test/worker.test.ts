import { eventually } from '@sluice/driver/testing'
import { describe, expect, it } from 'vitest'
import { connect, defineFunction } from '../src/index.ts'
import type { Cloud, Message } from '../src/index.ts'

const options = { from: 'in', to: 'out', delivery: 'exactly-once', commitIntervalMs: 0 } as const

const openTopics = async (cloud: Cloud, count: number): Promise<void> => {
  await cloud.admin.createTopic('in', { partitions: 1 })
  await cloud.admin.createTopic('out', { partitions: 1 })
  await cloud.topic('in').sendAll(Array.from({ length: count }, (_, value) => ({ key: `k${value}`, value })))
}

const valuesIn = async (cloud: Cloud, topic: string): Promise<readonly unknown[]> => {
  const values: unknown[] = []
  for await (const { value } of cloud.topic(topic).read()) values.push(value)
  return values
}

const copy = (before: (message: Message<unknown>) => Promise<void> | void): ReturnType<typeof defineFunction> =>
  defineFunction({
    name: 'copy',
    handle: async (message) => {
      await before(message)
      return { key: message.key, value: message.value } as { key: string; value: unknown }
    },
  })

describe('a worker with delivery exactly-once', () => {
  it('leaves what it had read and not begun to the next one when it closes', async () => {
    await using cloud = await connect('memory:')
    await openTopics(cloud, 10)
    const first = Promise.withResolvers<void>()
    const worker = cloud.worker(
      copy(() => first.promise),
      { ...options, concurrency: 1 },
    )
    const running = worker.run()
    await eventually(() => expect(worker.stats()).toMatchObject({ running: 1, bufferedRecords: 10 }))
    const closing = worker.close()
    first.resolve()
    await Promise.all([closing, running])

    await using next = cloud.worker(
      copy(() => undefined),
      options,
    )
    const nextRunning = next.run()
    await eventually(async () => expect(await cloud.admin.lag('in', 'copy')).toMatchObject([{ messages: 0 }]))
    await next.close()
    await nextRunning
    expect(await valuesIn(cloud, 'out')).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  })

  it('has its room back when it loses a partition before finished outputs could be stored', async () => {
    await using cloud = await connect('memory:')
    await openTopics(cloud, 4)
    const stuck = Promise.withResolvers<void>()
    let attempts = 0
    const blocked = copy(({ value }) => (value === 0 && attempts++ === 0 ? stuck.promise : undefined))
    await using worker = cloud.worker(blocked, { ...options, maxBufferedRecords: 4 })
    const running = worker.run()
    await eventually(() => expect(worker.stats().acked).toBe(3))
    // Moving the group takes its partitions away from running members.
    await cloud.admin.seek('in', 'copy', 'earliest')
    stuck.resolve()
    await eventually(async () => expect(await valuesIn(cloud, 'out')).toEqual([0, 1, 2, 3]))
    expect(worker.stats().bufferedRecords).toBe(0)
    await worker.close()
    await running
  })

  it('does not start when it was closed, or told to stop, while it was starting', async () => {
    await using cloud = await connect('memory:')
    await openTopics(cloud, 1)
    const closed = cloud.worker(
      copy(() => undefined),
      options,
    )
    const running = closed.run()
    await closed.close()
    await running
    const stop = new AbortController()
    const stopping = cloud
      .worker(
        copy(() => undefined),
        options,
      )
      .run({ signal: stop.signal })
    stop.abort()
    await stopping
    expect(await valuesIn(cloud, 'out')).toEqual([])
  })

  it('keeps to the rate limit of its output topic', async () => {
    await using cloud = await connect('memory:')
    await openTopics(cloud, 6)
    cloud.topic('out', { rateLimit: { messagesPerSecond: 4 } })
    await using worker = cloud.worker(
      copy(() => undefined),
      options,
    )
    const started = performance.now()
    const running = worker.run()
    await eventually(async () => expect(await valuesIn(cloud, 'out')).toHaveLength(6))
    expect(performance.now() - started).toBeGreaterThan(450)
    await worker.close()
    await running
  })
})

describe('a hand-over', () => {
  it('does not wait for a handler that failed, and its successor begins with what failed', async () => {
    await using cloud = await connect('memory:')
    await cloud.admin.createTopic('in', { partitions: 2 })
    const topic = cloud.topic('in')
    await topic.sendAll([0, 1, 2, 3].map((value) => ({ key: `k${value % 2}`, partition: String(value % 2), value })))
    const settings = { group: 'g', revokeTimeoutMs: 3_600_000, retry: { baseMs: 3_600_000, maxMs: 3_600_000 } }
    const stuck = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    for (const { promise } of stuck) promise.catch(() => undefined)
    const first = topic.consumer(settings)
    const running = [first.run((message) => stuck[Number(message.value)]?.promise)]
    await eventually(() => expect(first.stats().running).toBe(2))
    await using second = topic.consumer(settings)
    const seen: unknown[] = []
    running.push(second.run((message) => void seen.push(message.value)))
    // What no handler has begun of the partition is given up when the hand-over begins.
    await eventually(() => expect(first.stats().bufferedRecords).toBe(3))
    for (const { reject } of stuck) reject(new Error('this one never works'))
    await eventually(() => expect(second.stats().partitions).toHaveLength(1))
    const [mine] = second.stats().partitions
    await eventually(() => expect(seen).toEqual([Number(mine), Number(mine) + 2]))
    await Promise.all([first.close(), second.close()])
    await Promise.all(running)
  })
})

describe('a worker whose outputs have nowhere to go', () => {
  const missing = { from: 'in', to: 'out', retry: { maxAttempts: 2, baseMs: 1 }, delivery: 'at-least-once' } as const

  it('ends before it reads anything where the topic is not there', async () => {
    await using cloud = await connect('memory:', { create: false })
    await cloud.admin.createTopic('in', { partitions: 1 })
    await cloud.topic('in').send({ value: 1 })
    const worker = cloud.worker(
      copy(() => undefined),
      missing,
    )
    await expect(worker.run()).rejects.toMatchObject({ code: 'not-found', details: { topic: 'out' } })
    expect(await cloud.admin.listTopics()).toEqual(['in'])
  })

  it.each(['at-least-once', 'exactly-once'] as const)(
    'ends, %s, and leaves its messages to the next where the topic goes away',
    async (delivery) => {
      await using cloud = await connect('memory:', { create: false })
      await openTopics(cloud, 6)
      await cloud.admin.createTopic('in.dead-letters', { partitions: 1 })
      const gone = async ({ value }: Message<unknown>): Promise<void> => {
        if (value === 3) await cloud.admin.deleteTopic('out')
      }
      const worker = cloud.worker(copy(gone), { ...missing, delivery, concurrency: 1, commitIntervalMs: 0 })
      await expect(worker.run()).rejects.toMatchObject({ code: 'not-found', details: { topic: 'out' } })
      expect(worker.stats()).toMatchObject({ deadLettered: 0 })
      await worker.close()
      await cloud.admin.createTopic('out', { partitions: 1 })
      await using next = cloud.worker(
        copy(() => undefined),
        missing,
      )
      const running = next.run()
      await eventually(async () => expect(await valuesIn(cloud, 'out')).toEqual(expect.arrayContaining([3, 4, 5])))
      await next.close()
      await running
    },
  )
})
