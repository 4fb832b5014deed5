import { StreamError, systemClock } from '@sluice/driver'
import { eventually } from '@sluice/driver/testing'
import { describe, expect, it } from 'vitest'
import { connect } from '../src/index.ts'
import type { Message, StandardSchema } from '../src/index.ts'

const slowSchema: StandardSchema<number> = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: async (value) => {
      await new Promise((resolve) => setImmediate(resolve))
      return { value: value as number }
    },
  },
}

const label = (message: Message<unknown>): string => `${String(message.value)}#${message.attempt}`

describe('a batch handler', () => {
  it('gets the messages of a key together and in order, also when they are validated asynchronously', async () => {
    await using cloud = await connect('memory:')
    const topic = cloud.topic('t', { schema: slowSchema, partitions: 1 })
    await topic.sendAll([0, 1, 2, 3, 4].map((value) => ({ key: 'k', value })))
    const consumer = topic.consumer({ group: 'g', retry: { baseMs: 1 } })
    let atOnce = 0
    const seen: string[] = []
    const run = consumer.run(
      async (messages) => {
        expect(++atOnce).toBe(1)
        seen.push(...messages.map(label))
        await new Promise((resolve) => setImmediate(resolve))
        atOnce--
        if (messages[0]?.value === 0 && messages[0].attempt === 1) throw new Error('once')
      },
      { batch: { max: 10 } },
    )
    await eventually(() => expect(consumer.stats().acked).toBe(5))
    await consumer.close()
    await run
    const handled = seen.map((text) => Number(text.split('#')[0]))
    expect(handled.slice(handled.lastIndexOf(0))).toEqual([0, 1, 2, 3, 4])
  })

  it('that retries several messages of a key gets them again in their order', async () => {
    await using cloud = await connect('memory:')
    const topic = cloud.topic('t', { partitions: 1 })
    await topic.sendAll([0, 1, 2, 3, 4].map((value) => ({ key: 'k', value })))
    const consumer = topic.consumer({ group: 'g', retry: { baseMs: 20 } })
    const seen: string[] = []
    const run = consumer.run(
      (messages: readonly Message<unknown>[]) => {
        seen.push(...messages.map(label))
        for (const message of messages) if (message.attempt === 1) message.retry()
      },
      { batch: { max: 10 } },
    )
    await eventually(() => expect(consumer.stats().acked).toBe(5))
    await consumer.close()
    await run
    expect(seen.slice(5)).toEqual(['0#2', '1#2', '2#2', '3#2', '4#2'])
  })
})

describe('what handlers throw', () => {
  it.each([
    ['an object without a prototype', Object.create(null)],
    ['an error whose message is no text', Object.assign(new Error('x'), { message: { code: 1 } })],
    ['undefined', undefined],
  ])('may be %s: the message is dead-lettered and the next comes', async (_, thrown: unknown) => {
    await using cloud = await connect('memory:')
    const topic = cloud.topic('t', { partitions: 1 })
    await topic.sendAll([0, 1].map((value) => ({ key: 'k', value })))
    const consumer = topic.consumer({ group: 'g', retry: { maxAttempts: 2, baseMs: 1 } })
    const run = consumer.run((message) => {
      if (message.value === 0) throw thrown
    })
    await eventually(() => expect(consumer.stats()).toMatchObject({ deadLettered: 1, acked: 1 }))
    await consumer.close()
    await run
  })
})

describe('times and numbers', () => {
  it('a wait longer than a timer can hold does not end at once', async () => {
    let fired = 0
    const timers = [2 ** 31, 2 ** 40, Infinity].map((ms) => systemClock.after(ms, () => fired++, true))
    await new Promise((resolve) => setTimeout(resolve, 20))
    for (const timer of timers) timer.cancel()
    expect(fired).toBe(0)
  })

  it('that make no sense are refused', async () => {
    await using cloud = await connect('memory:')
    const topic = cloud.topic('t')
    const never = new Date(Number.NaN)
    await expect(topic.send({ value: 1, expiresAt: never })).rejects.toMatchObject({ code: 'invalid-argument' })
    await expect(cloud.admin.seek('t', 'g', never)).rejects.toMatchObject({ code: 'invalid-argument' })
    expect(() => topic.consumer({ group: 'g', start: never })).toThrow(StreamError)
    expect(() => cloud.topic('r', { rateLimit: { messagesPerSecond: 0 } }).producer()).toThrow(StreamError)
  })
})

it('sends that wait at the door of a fenced key all settle', async () => {
  await using cloud = await connect('memory:')
  const topic = cloud.topic('t', { create: true })
  const producer = topic.producer({ maxBufferedRecords: 1 })
  await producer.send({ key: 'k', value: 0 })
  await cloud.admin.deleteTopic('t')
  const sends = Array.from({ length: 20_000 }, (_, value) => producer.send({ key: 'k', value }))
  const results = await Promise.allSettled(sends)
  expect(results.filter((result) => result.status === 'rejected')).toHaveLength(20_000)
})
