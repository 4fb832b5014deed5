import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import { bytes, connect, defineFunction, text } from '../src/index.ts'
import type { Cloud, Codec, OutgoingMessage, StandardSchema, Topic } from '../src/index.ts'

const valuesOf = async <T>(topic: Topic<T, never>): Promise<readonly T[]> => {
  const values: T[] = []
  for await (const { value } of topic.read()) values.push(value)
  return values
}

const counted = { partitions: 1 } as const

describe('what is sent is the message as it was at the call of send', () => {
  it('on the first use of a topic, when it is still being opened', async () => {
    await using cloud = await connect('memory:')
    const topic = cloud.topic('t', counted)
    const reused = { n: 0 }
    const sends = [1, 2, 3, 4].map((n) => {
      reused.n = n
      return topic.send({ value: reused })
    })
    await Promise.all(sends)
    expect(await valuesOf(topic)).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }, { n: 4 }])
  })

  it('its key, headers and date too', async () => {
    await using cloud = await connect('memory:')
    const topic = cloud.topic('t', counted)
    const expiresAt = new Date(Date.UTC(2200, 0))
    const message = { value: 1, key: 'k', headers: { a: '1' }, id: 'i', expiresAt }
    const sent = topic.send(message)
    Object.assign(message, { key: 'other', id: 'other' })
    message.headers.a = '2'
    expiresAt.setTime(0)
    await sent
    const [read] = await Array.fromAsync(topic.read())
    expect(read).toMatchObject({ key: 'k', headers: { a: '1' }, id: 'i', expiresAt: new Date(Date.UTC(2200, 0)) })
  })

  it('while its schema is still validating, before and after the topic is open', async () => {
    const slow: StandardSchema<{ n: number }> = {
      '~standard': {
        version: 1,
        vendor: 'test',
        validate: async (value) => {
          const { n } = value as { n: number }
          await new Promise((resolve) => setImmediate(resolve))
          return n === 1 ? { value: { n } } : { issues: [{ message: 'n is not 1' }] }
        },
      },
    }
    await using cloud = await connect('memory:')
    const topic = cloud.topic('t', { ...counted, schema: slow })
    for (let round = 0; round < 2; round++) {
      const value = { n: 1 }
      const sent = topic.send({ value })
      value.n = 666
      await sent
    }
    expect(await valuesOf(topic)).toEqual([{ n: 1 }, { n: 1 }])
  })

  it('with the bytes codec and a buffer that is reused', async () => {
    await using cloud = await connect('memory:')
    const topic = cloud.topic('t', { ...counted, codec: bytes })
    const buffer = new Uint8Array(2)
    for (const round of [0, 2]) {
      const sends = [1, 2].map((n) => {
        buffer.fill(round + n)
        return topic.send({ value: buffer })
      })
      await Promise.all(sends)
    }
    expect((await valuesOf(topic)).map((value) => value[0])).toEqual([1, 2, 3, 4])
  })

  it.each(['exactly-once', 'at-least-once'] as const)('and as it was yielded by a function, %s', async (delivery) => {
    await using cloud = await connect('memory:')
    const reuse = defineFunction({
      name: 'reuse',
      *handle() {
        const reused: OutgoingMessage<{ n: number }> = { value: { n: 0 } }
        while (reused.value.n < 3) {
          reused.value.n++
          yield reused
        }
      },
    })
    await cloud.admin.createTopic('to', counted)
    expect(await runOnce(cloud, reuse, delivery)).toMatchObject({ acked: 1, produced: 3 })
    expect(await valuesOf(cloud.topic('to'))).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }])
  })
})

/** Lets a function handle one message, and tells the worker's counts. */
async function runOnce(
  cloud: Cloud,
  definition: Parameters<Cloud['worker']>[0],
  delivery: 'exactly-once' | 'at-least-once',
): Promise<object> {
  await cloud.topic('from').send({ value: 1 })
  const worker = cloud.worker(definition, { from: 'from', to: 'to', delivery })
  const ended = worker.run()
  await expect.poll(() => worker.stats().acked + worker.stats().deadLettered).toBe(1)
  await worker.close()
  await ended
  return worker.stats()
}

it.each(['exactly-once', 'at-least-once'] as const)(
  'a message that its function dead-letters has no outputs, %s',
  async (delivery) => {
    await using cloud = await connect('memory:')
    const both = defineFunction({
      name: 'both',
      handle: (message) => {
        message.deadLetter('no')
        return [{ value: 1 }, { value: 2 }]
      },
    })
    await cloud.admin.createTopic('to', counted)
    expect(await runOnce(cloud, both, delivery)).toMatchObject({ deadLettered: 1, produced: 0 })
    expect(await valuesOf(cloud.topic('to'))).toEqual([])
  },
)

describe('fields of a message that are not known', () => {
  it.each([
    [{ kee: 'a', value: 1 }, 'a message to send has no field "kee"; did you mean "key"?'],
    [
      { orderingKey: 'a', value: 1 },
      'a message to send has no field "orderingKey"; known are value, key, headers, id, expiresAt, partition',
    ],
  ])('are refused: %j', async (message, expected) => {
    await using cloud = await connect('memory:')
    const topic = cloud.topic('t', counted)
    await expect(topic.send(message)).rejects.toMatchObject({ code: 'invalid-argument', message: expected })
    expect(await topic.sendAll([message, { value: 2 }])).toMatchObject([{ ok: false }, { ok: true }])
  })

  it('a message in the hands of a handler can be sent as it is, and not copied without its key', async () => {
    await using cloud = await connect('memory:')
    const [from, to] = [cloud.topic('from', counted), cloud.topic('to', counted)]
    await from.send({ key: 'k', value: 1 })
    const consumer = from.consumer({ group: 'g' })
    for await (const message of consumer) {
      await expect(to.send({ ...message, value: 2 })).rejects.toThrow('name what you pass on: { key: message.key')
      await to.send(message)
      message.ack()
      break
    }
    expect(await Array.fromAsync(to.read())).toMatchObject([{ key: 'k', value: 1 }])
  })

  it('a message that was read can be copied, and objects of a class may have more', async () => {
    class Reading {
      readonly value = 3
      readonly key = 'k'
      readonly sensor = 's'
    }
    await using cloud = await connect('memory:')
    const topic = cloud.topic('t', counted)
    await topic.send({ key: 'k', value: 1 })
    for await (const message of topic.read()) await topic.send({ ...message, value: 2, id: undefined })
    await topic.send(new Reading())
    expect(await valuesOf(topic)).toEqual([1, 2, 3])
  })
})

it('a function may pass on a key and headers that a message need not have', async () => {
  await using cloud = await connect('memory:')
  const copy = defineFunction({
    name: 'copy',
    handle: ({ expiresAt, headers, key, value }) => ({ expiresAt, headers, key, value }),
  })
  await cloud.admin.createTopic('to', counted)
  await runOnce(cloud, copy, 'at-least-once')
  expect(await valuesOf(cloud.topic('to'))).toEqual([1])
})

describe('what a codec makes of a value', () => {
  const codec = (encoded: unknown): Codec<unknown> => ({
    contentType: 'application/x-mine',
    encode: () => encoded as Uint8Array,
    decode: (body) => body,
  })

  it.each<[string, unknown]>([
    ['a string', 'hello'],
    ['undefined', undefined],
    ['an object of class Uint16Array', new Uint16Array(2)],
    ['an object of class ArrayBuffer', new ArrayBuffer(2)],
    ['an array', [1]],
    ['an object of class Promise', Promise.resolve(new Uint8Array())],
  ])('is refused when it is %s', async (what, encoded) => {
    await using cloud = await connect('memory:')
    const topic = cloud.topic('t', { ...counted, codec: codec(encoded) })
    await expect(topic.send({ value: 1 })).rejects.toMatchObject({
      code: 'invalid-argument',
      message: `the value for topic "t" was encoded as ${what} by the codec for application/x-mine; encode must return a Uint8Array`,
    })
    expect(await valuesOf(topic)).toEqual([])
  })

  it.each<[string, Uint8Array]>([
    ['a Buffer', Buffer.from([1])],
    ["another realm's", runInNewContext('Uint8Array.of(1)') as Uint8Array],
  ])('may be %s', async (_, encoded) => {
    await using cloud = await connect('memory:')
    const topic = cloud.topic('t', { ...counted, codec: codec(encoded) })
    await topic.send({ value: 1 })
    expect((await Array.fromAsync(topic.read()))[0]?.body).toEqual(Uint8Array.of(1))
  })

  it.each<[string, unknown, unknown, string]>([
    ['a string as bytes', bytes, 'hello', 'takes a Uint8Array, not a string'],
    ['numbers as bytes', bytes, [1, 2], 'takes a Uint8Array, not an array'],
    ['wider numbers as bytes', bytes, new Uint16Array(1), 'takes a Uint8Array, not an object of class Uint16Array'],
    ['numbers as text', text, [104, 105], 'takes a string, not an array'],
    ['a Buffer as text', text, Buffer.from('hi'), 'takes a string, not an object of class Buffer'],
    ['half a character as text', text, 'a\uD800', 'lone surrogate'],
  ])('%s: refused', async (_, given, value, message) => {
    await using cloud = await connect('memory:')
    const topic = cloud.topic('t', { ...counted, codec: given as Codec<unknown> })
    await expect(topic.send({ value })).rejects.toMatchObject({
      code: 'invalid-argument',
      message: expect.stringContaining(message) as string,
    })
  })
})
