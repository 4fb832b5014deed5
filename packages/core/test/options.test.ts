import { ContainerModule } from 'inversify'
import { eventually } from '@sluice/driver/testing'
import { describe, expect, it } from 'vitest'
import { connect, defineFunction, StreamError, tokens } from '../src/index.ts'
import type { Cloud, Message } from '../src/index.ts'

/** What JavaScript, or JSON, may give. */
const any = (value: unknown): never => value as never

const refusalOf = async (call: () => unknown): Promise<string> => {
  try {
    await call()
  } catch (error) {
    if (StreamError.is(error, 'invalid-argument')) return error.message
    throw error
  }
  throw new Error('it was not refused')
}

const nothing = (): undefined => undefined
const plain = defineFunction({ name: 'f', handle: nothing })
const run = (cloud: Cloud, handler: unknown, options?: unknown): Promise<void> =>
  cloud.topic('t').consumer({ group: 'g' }).run(any(handler), any(options))
const consumerOf = (cloud: Cloud, options: object): unknown =>
  cloud.topic('t').consumer(any({ group: 'g', ...options }))

describe('options that make no sense are refused with invalid-argument, naming what is allowed', () => {
  it.each<[string, (cloud: Cloud) => unknown]>([
    [
      'topic "x": there is no option "partitons"; did you mean "partitions"?',
      (c) => c.topic('x', any({ partitons: 4 })),
    ],
    [
      'topic "x": there is no option "retention"; did you mean "retentionMs"?',
      (c) => c.topic('x', any({ retention: '7d' })),
    ],
    ['topic "x": options must be an object, not null', (c) => c.topic('x', any(null))],
    ['topic: its name must be a string that is not empty, not undefined', (c) => c.topic(any(undefined))],
    ['topic "x": schema must be a Standard Schema', (c) => c.topic('x', any({ schema: {} }))],
    ['topic "x": codec must be a codec', (c) => c.topic('x', any({ codec: 'json' }))],
    ['topic "x": there is no option "rateLimit.foo"; known are', (c) => c.topic('x', any({ rateLimit: { foo: 1 } }))],
    [
      'topic "x": rateLimit.bytesPerSecond must be a number above 0, not 0',
      (c) => c.topic('x', { rateLimit: { bytesPerSecond: 0 } }),
    ],
    [
      'a producer of topic "t": there is no option "linger"; did you mean "lingerMs"?',
      (c) => c.topic('t').producer(any({ linger: 5 })),
    ],
    ['a producer of topic "t": retry must be an object, not 5', (c) => c.topic('t').producer(any({ retry: 5 }))],
    [
      'onOrderedFailure must be "fence" or "continue", not "x"',
      (c) => c.topic('t').producer(any({ onOrderedFailure: 'x' })),
    ],
    ['a consumer of topic "t": options must be an object, not undefined', (c) => c.topic('t').consumer(any(undefined))],
    [
      'a consumer of topic "t": group must be a name; to look without a group, use topic.read()',
      (c) => c.topic('t').consumer(any({})),
    ],
    ['group must be a string that is not empty, not ""', (c) => c.topic('t').consumer({ group: '' })],
    ['there is no option "foo"', (c) => consumerOf(c, { foo: 1 })],
    ['onPoison must be "dead-letter" or "skip" or "stop", not "x"', (c) => consumerOf(c, { onPoison: 'x' })],
    ['deadLetter must be false or { topic }, not true', (c) => consumerOf(c, { deadLetter: true })],
    ['deadLetter.topic must be a string that is not empty, not 1', (c) => consumerOf(c, { deadLetter: { topic: 1 } })],
    ['deadLetter.topic is the topic itself', (c) => consumerOf(c, { deadLetter: { topic: 't' } })],
    [
      'retry.maxAttempts must be a whole number, 1 or more, not 1.5',
      (c) => consumerOf(c, { retry: { maxAttempts: 1.5 } }),
    ],
    ['start must be "earliest", "latest", a valid Date, or { positions', (c) => consumerOf(c, { start: 'first' })],
    [
      'start takes a time as a Date; write new Date("2026-11-01T00:00:00Z")',
      (c) => consumerOf(c, { start: '2026-11-01T00:00:00Z' }),
    ],
    ['start must be', (c) => consumerOf(c, { start: new Date('x') })],
    ['start must be', (c) => consumerOf(c, { start: { positions: { 0: 1 } } })],
    ['the handler must be a function, not undefined', (c) => run(c, undefined)],
    ['there is no option "foo"; known are concurrency, signal, batch', (c) => run(c, nothing, { foo: 1 })],
    ['batch.max must be a whole number, 1 or more, not undefined', (c) => run(c, nothing, { batch: {} })],
    ['concurrency must be a whole number', (c) => run(c, nothing, { concurrency: 0 })],
    ['signal must be an AbortSignal, not 1', (c) => run(c, nothing, { signal: 1 })],
    [
      'worker: its function must be an object with handle, not undefined',
      (c) => c.worker(any(undefined), { from: 'l' }),
    ],
    ['worker: its function must be an object with handle', (c) => c.worker(any({ name: 'f' }), { from: 'l' })],
    ["worker: its function's name must be a string", (c) => c.worker(any({ handle: nothing }), { from: 'l' })],
    ['the worker of function "f": from must be a string', (c) => c.worker(plain, any({}))],
    [
      'delivery must be "exactly-once" or "at-least-once", not "x"',
      (c) => c.worker(plain, any({ from: 'l', delivery: 'x' })),
    ],
    ['there is no option "onSettled"', (c) => c.worker(plain, any({ from: 'l', onSettled: nothing }))],
    ['from and to are both "l"', (c) => c.worker(plain, { from: 'l', to: 'l' })],
    [
      'running function "f": signal must be an AbortSignal, not 1',
      (c) => c.worker(plain, { from: 'l' }).run(any({ signal: 1 })),
    ],
    ['reading topic "t": from must be "earliest", "latest"', (c) => c.topic('t').read(any({ from: 'x' }))],
    [
      'reading topic "t": there is no option "folow"; did you mean "follow"?',
      (c) => c.topic('t').read(any({ folow: true })),
    ],
    ['send: signal must be an AbortSignal, not 5', (c) => c.topic('t').send({ value: 1 }, any({ signal: 5 }))],
    ['sendAll: messages must be an array, not 5', (c) => c.topic('t').sendAll(any(5))],
    [
      'headers are an object of names and values, not an array',
      (c) => c.topic('t').send(any({ value: 1, headers: [] })),
    ],
    ['expiresAt is a Date, not a number', (c) => c.topic('t').send(any({ value: 1, expiresAt: 5 }))],
    ['an id is 1 to 128 printable ASCII characters', (c) => c.topic('t').send(any({ value: 1, id: 5 }))],
    ['a partition is named by a string, not a number', (c) => c.topic('t').send(any({ value: 1, partition: 0 }))],
    ['topic "x": options must be an object, not 5', (c) => c.admin.createTopic('x', any(5))],
    [
      'topic "x": partitions must be a whole number, 1 or more, not 1.5',
      (c) => c.admin.createTopic('x', { partitions: 1.5 }),
    ],
    ['there is no option "retention"', (c) => c.admin.setRetention('x', any({ retention: 1 }))],
    ['a topic has 1 partition or more, not x', (c) => c.admin.setPartitions('x', any('x'))],
    ['seek: to must be "earliest", "latest"', (c) => c.admin.seek('t', 'g', any('first'))],
    ['seek: to must be "earliest", "latest"', (c) => c.admin.seek('t', 'g', any(undefined))],
    ['admin: the name of the group must be a string that is not empty, not ""', (c) => c.admin.seek('t', '', 'latest')],
    ['admin: the name of the group must be', (c) => c.admin.lag('t', '')],
    ['admin: the name of the group must be', (c) => c.admin.deleteGroup('t', '')],
    ['admin: the name of the topic must be', (c) => c.admin.describeTopic(any(undefined))],
    ['admin: the name of the topic must be', (c) => c.admin.createTopic(any(undefined))],
  ])('%s', async (message, call) => {
    await using cloud = await connect('memory:')
    await cloud.admin.createTopic('t')
    expect(await refusalOf(() => call(cloud))).toContain(message)
  })

  it.each<[string, object]>([
    ['connect: there is no option "foo"', { foo: 1 }],
    ['connect: there is no option "connectTimeoutMS"; did you mean "connectTimeoutMs"?', { connectTimeoutMS: 1 }],
    [
      'connect: connectTimeoutMs must be a number of milliseconds, 0 or more, not NaN',
      { connectTimeoutMs: Number.NaN },
    ],
    ['connect: connectTimeoutMs must be a number of milliseconds, 0 or more, not -1', { connectTimeoutMs: -1 }],
    ['connect: connectTimeoutMs must be a number of milliseconds, 0 or more, not "x"', { connectTimeoutMs: 'x' }],
    ['connect: clock must be an object with now, monotonic, after, not an object', { clock: {} }],
    ['connect: logger must be an object with debug, info, warn, error', { logger: nothing }],
    [
      'connect: there is no option "topics.t.partitons"; did you mean "partitions"?',
      { topics: { t: { partitons: 1 } } },
    ],
    ['connect: there is no option "producer.linger"; did you mean "lingerMs"?', { producer: { linger: 1 } }],
    ['connect: signal must be an AbortSignal', { signal: 1 }],
    ['connect: modules must be an array of inversify modules, not 1', { modules: 1 }],
    ['connect: an inversify module could not be loaded', { modules: [1] }],
    [
      'connect: an inversify module could not be loaded',
      { modules: [new ContainerModule(() => Promise.reject(new Error('late')))] },
    ],
    [
      'connect: an inversify module could not be loaded; modules and adapters are arrays of ContainerModule (boom)',
      {
        modules: [
          new ContainerModule(() => {
            throw new Error('boom')
          }),
        ],
      },
    ],
    [
      'connect: what is bound as tokens.Logger must be an object with debug, info, warn, error, not an object',
      { modules: [new ContainerModule(({ bind }) => void bind(tokens.Logger).toConstantValue(any({})))] },
    ],
  ])('%s', async (message, options) => {
    expect(await refusalOf(() => connect('memory:', any(options)))).toContain(message)
    expect(await refusalOf(() => connect(any({ backend: 'memory:', ...options })))).toContain(message)
  })

  it.each([Infinity, 1e12, 2 ** 31])('but a connect deadline of %d ms is as good as none', async (connectTimeoutMs) => {
    await using cloud = await connect('memory:', { connectTimeoutMs })
    expect(cloud.name).toBe('memory')
  })
})

it('a send whose options were refused leaves nothing behind that a close would wait for', async () => {
  const cloud = await connect('memory:')
  const topic = cloud.topic('t')
  await topic.send({ value: 1 })
  await expect(topic.send({ value: 2 }, any({ signal: 5 }))).rejects.toMatchObject({ code: 'invalid-argument' })
  await cloud.close({ timeoutMs: 1_000 })
})

it('a retry with a delay that is none fails its handler, and the message is tried again all the same', async () => {
  await using cloud = await connect('memory:')
  const topic = cloud.topic('t', { partitions: 1 })
  await topic.send({ value: 1 })
  const errors: unknown[] = []
  const consumer = topic.consumer({ group: 'g', retry: { baseMs: 0 } })
  const running = consumer.run((message: Message<unknown>) => {
    if (message.attempt > 1) return
    try {
      message.retry({ delayMs: any('x') })
    } catch (error) {
      errors.push(error)
      throw error
    }
  })
  await eventually(() => expect(consumer.stats().acked).toBe(1))
  await consumer.close()
  await running
  expect(errors).toMatchObject([
    { code: 'invalid-argument', message: expect.stringContaining('delayMs must be') as string },
  ])
})

describe('a logger or a listener that throws, or rejects,', () => {
  it.each<[string, () => unknown]>([
    [
      'at once',
      () => {
        throw new Error('no')
      },
    ],
    ['later', () => Promise.reject(new Error('no'))],
  ])('%s breaks nothing', async (_, fails) => {
    const logger = any({ debug: fails, info: fails, warn: fails, error: fails })
    await using cloud = await connect('memory:', { logger })
    const topic = cloud.topic('t', { partitions: 1 })
    await topic.send({ value: 1 })
    const consumer = topic.consumer({ group: 'g', retry: { baseMs: 0, maxAttempts: 2 }, onSettled: fails })
    const running = consumer.run(() => {
      throw new Error('not handled')
    })
    await eventually(() => expect(consumer.stats()).toMatchObject({ retried: 1, deadLettered: 1 }))
    await consumer.close()
    await running
  })
})

it('dead letters are found by the name of their topic and by that of the topic they came from', async () => {
  await using cloud = await connect('memory:')
  const { admin } = cloud
  const orders = cloud.topic('orders', { partitions: 1 })
  await orders.sendAll([1, 2].map((value) => ({ value })))
  const consumer = orders.consumer({ group: 'g' })
  const running = consumer.run((message) => message.deadLetter('no'))
  await eventually(() => expect(consumer.stats().deadLettered).toBe(2))
  await consumer.close()
  await running
  for (const name of ['orders', 'orders.dead-letters']) {
    const letters = await Array.fromAsync(admin.deadLetters(name))
    expect(letters.map(({ origin }) => origin.topic)).toEqual(['orders', 'orders'])
  }
  const [first] = await Array.fromAsync(admin.deadLetters('orders'))
  expect(await admin.sendBack('orders', ({ id }) => id === first?.id)).toBe(1)
  expect(await Array.fromAsync(admin.deadLetters('orders.dead-letters'))).toHaveLength(1)
  expect(await admin.sendBack('orders.dead-letters')).toBe(1)
  await expect(Array.fromAsync(admin.deadLetters('other'))).rejects.toMatchObject({ code: 'not-found' })
  await expect(admin.sendBack('other')).rejects.toMatchObject({ code: 'not-found' })
})

it('a function with a part that is misspelt is refused where it is defined', () => {
  // @ts-expect-error -- misspelt
  expect(() => defineFunction({ name: 'f', handel: nothing })).toThrow(
    'defineFunction: there is no option "handel"; did you mean "handle"?',
  )
  class Doubling {
    readonly name = 'double'
    readonly factor = 2
    handle(): void {}
  }
  expect(defineFunction(new Doubling()).name).toBe('double')
})
