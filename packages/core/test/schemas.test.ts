import { type } from 'arktype'
import { eventually } from '@sluice/driver/testing'
import * as v from 'valibot'
import { describe, expect, expectTypeOf, it } from 'vitest'
import { z } from 'zod'
import { connect, defineFunction, json, text } from '../src/index.ts'
import type { Codec, Handler, Message, OutgoingMessage, StandardResult, StandardSchema, Topic } from '../src/index.ts'

type SentBy<T extends { send: (message: never) => unknown }> =
  Parameters<T['send']>[0] extends OutgoingMessage<infer In> ? In : never
type HandedBy<T extends { read: () => unknown }> =
  ReturnType<T['read']> extends AsyncIterable<{ readonly value: infer Out }> ? Out : never

/** What a group gets and the bytes that are stored, of each message. */
const receivedFrom = async (topic: Topic<unknown, never>, count: number): Promise<[unknown, string][]> => {
  const received: [unknown, string][] = []
  const consumer = topic.consumer({ group: 'g', deadLetter: false, onPoison: 'stop' })
  await consumer.run(({ body, value }) => {
    received.push([value, Buffer.from(body).toString()])
    if (received.length === count) void consumer.close()
  })
  return received
}

const numberFromText: StandardSchema<string, number> = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: (value) =>
      typeof value === 'string' ? { value: Number(value) } : { issues: [{ message: 'expected a string' }] },
  },
}

describe('a schema that transforms', () => {
  it('is applied once, on receive; what is stored is what was given', async () => {
    await using cloud = await connect('memory:')
    const doubled = cloud.topic('doubled', { schema: z.number().transform((value) => value * 2) })
    const parsed = cloud.topic('zod', { schema: z.string().transform(Number) })
    const piped = cloud.topic('valibot', { schema: v.pipe(v.string(), v.transform(Number)) })
    const morphed = cloud.topic('arktype', { schema: type('string.numeric.parse') })
    const own = cloud.topic('own', { schema: numberFromText })
    await doubled.send({ value: 1 })
    expect(await receivedFrom(doubled, 1)).toEqual([[2, '1']])
    for (const topic of [parsed, piped, morphed, own]) {
      expectTypeOf<SentBy<typeof topic>>().toEqualTypeOf<string>()
      expectTypeOf<HandedBy<typeof topic>>().toEqualTypeOf<number>()
      await topic.send({ value: '7' })
      expect(await receivedFrom(topic, 1)).toEqual([[7, '"7"']])
      await expect(topic.send({ value: 7 as unknown as string })).rejects.toMatchObject({ code: 'invalid-argument' })
    }
  })

  it('has its effect on a loop, a read and a batch alike', async () => {
    await using cloud = await connect('memory:')
    const topic = cloud.topic('t', { schema: z.number().transform((value) => value * 2) })
    expect(await topic.sendAll([{ value: 1 }])).toMatchObject([{ ok: true }])
    for await (const { value } of topic.read()) expect(value).toBe(2)
    for await (const message of topic.consumer({ group: 'loop' })) {
      expect(message.value).toBe(2)
      message.ack()
      break
    }
    const batched = topic.consumer({ group: 'batch' })
    await batched.run(
      (messages: readonly Message<number>[]) => {
        expect(messages.map(({ value }) => value)).toEqual([2])
        void batched.close()
      },
      { batch: { max: 1 } },
    )
  })

  it('fills defaults in on receive and does not ask for them on send', async () => {
    await using cloud = await connect('memory:')
    const zod = cloud.topic('zod', { schema: z.object({ n: z.number().default(1) }) })
    const valibot = cloud.topic('valibot', { schema: v.object({ n: v.optional(v.number(), 1) }) })
    const arktype = cloud.topic('arktype', { schema: type({ n: 'number = 1' }) })
    for (const topic of [zod, valibot, arktype]) {
      expectTypeOf<HandedBy<typeof topic>>().toEqualTypeOf<{ n: number }>()
      await topic.send({ value: {} })
      await topic.send({ value: { n: 2 } })
      expect(new Map(await receivedFrom(topic, 2))).toEqual(
        new Map([
          [{ n: 1 }, '{}'],
          [{ n: 2 }, '{"n":2}'],
        ]),
      )
    }
  })

  it('keeps what it would strip in the stored bytes', async () => {
    await using cloud = await connect('memory:')
    const topic = cloud.topic('t', { schema: z.object({ a: z.number() }) })
    const more = { a: 1, b: 2 }
    await topic.send({ value: more })
    expect(await receivedFrom(topic, 1)).toEqual([[{ a: 1 }, '{"a":1,"b":2}']])
  })

  it('brings dates back from their text', async () => {
    await using cloud = await connect('memory:')
    const topic = cloud.topic('t', { schema: z.object({ at: z.coerce.date<Date | string>() }) })
    expectTypeOf<SentBy<typeof topic>>().toEqualTypeOf<{ at: Date | string }>()
    expectTypeOf<HandedBy<typeof topic>>().toEqualTypeOf<{ at: Date }>()
    const at = new Date('2026-11-01T12:00:00.000Z')
    await topic.send({ value: { at } })
    expect(await receivedFrom(topic, 1)).toEqual([[{ at }, '{"at":"2026-11-01T12:00:00.000Z"}']])
  })

  it('stands behind a codec that gives its input', async () => {
    await using cloud = await connect('memory:')
    const topic = cloud.topic('t', { schema: z.string().transform(Number), codec: text })
    expectTypeOf<SentBy<typeof topic>>().toEqualTypeOf<string>()
    await topic.send({ value: '7' })
    expect(await receivedFrom(topic, 1)).toEqual([[7, '7']])
  })

  it('has what does not fit dead-lettered on receive', async () => {
    await using cloud = await connect('memory:')
    await cloud.topic('t').send({ value: 7 })
    const consumer = cloud.topic('t', { schema: numberFromText }).consumer({ group: 'g' })
    const running = consumer.run(() => expect.unreachable())
    await eventually(() => expect(consumer.stats().deadLettered).toBe(1))
    await consumer.close()
    await running
    const letters = await Array.fromAsync(cloud.admin.deadLetters('t.dead-letters'))
    expect(letters.map(({ errorCode, reason }) => [errorCode, reason])).toEqual([
      ['corrupt', expect.stringContaining('does not fit its schema: expected a string')],
    ])
  })
})

describe('a schema that answers with a thenable', () => {
  const thenable = (value: unknown): PromiseLike<StandardResult<string>> => {
    const result: StandardResult<string> =
      typeof value === 'number' ? { value: `#${value}` } : { issues: [{ message: 'expected a number' }] }
    const promise = Promise.resolve(result)
    // oxlint-disable-next-line unicorn/no-thenable -- That is what it is.
    return { then: promise.then.bind(promise) }
  }
  const schema: StandardSchema<number, string> = {
    '~standard': { version: 1, vendor: 'test', validate: thenable },
  }

  it('is waited for on both sides', async () => {
    await using cloud = await connect('memory:')
    const topic = cloud.topic('t', { schema })
    await topic.send({ value: 1 })
    const error = { code: 'invalid-argument', message: expect.stringContaining('expected a number') as string }
    await expect(topic.send({ value: '1' as unknown as number })).rejects.toMatchObject(error)
    for await (const { value } of topic.read()) expect(value).toBe('#1')
    expect(await receivedFrom(topic, 1)).toEqual([['#1', '1']])
  })
})

describe('the types of a topic', () => {
  it('are the input of its schema on send and its output in a handler', async () => {
    await using cloud = await connect('memory:')
    const order = z.object({ cents: z.string().transform(Number), currency: z.string().default('EUR') })
    const topic = cloud.topic('t', { schema: order })
    expectTypeOf(topic).toEqualTypeOf<
      Topic<{ cents: number; currency: string }, { cents: string; currency?: string | undefined }>
    >()
    expectTypeOf<Parameters<ReturnType<typeof topic.producer>['send']>[0]>().toEqualTypeOf<
      OutgoingMessage<z.input<typeof order>>
    >()
    expectTypeOf<Parameters<ReturnType<typeof topic.consumer>['run']>[0]>().toExtend<(messages: never) => unknown>()
    const handler: Handler<z.output<typeof order>> = ({ value }) => value.cents.toFixed(2)
    void ((): Promise<void> => topic.consumer({ group: 'g' }).run(handler))
    // @ts-expect-error -- the output is not what is sent
    void ((): unknown => topic.send({ value: { cents: 1, currency: 'EUR' } }))
    // @ts-expect-error -- the input is not what is received
    void ((): unknown => topic.consumer({ group: 'g' }).run(({ value }) => value.cents.length))
  })

  it('follow the schema also beside a codec of unknown values', async () => {
    await using cloud = await connect('memory:')
    const topic = cloud.topic('t', { schema: z.object({ n: z.number() }), codec: json })
    expectTypeOf(topic).toEqualTypeOf<Topic<{ n: number }>>()
  })

  it('are the output on both sides where a schema declares no types', async () => {
    await using cloud = await connect('memory:')
    const validate = (value: unknown): StandardResult<number> => ({ value: Number(value) })
    const topic = cloud.topic('t', { schema: { '~standard': { version: 1, vendor: 'test', validate } } })
    expectTypeOf(topic).toEqualTypeOf<Topic<number>>()
  })

  it('are one type where one is given, by a codec or by hand', async () => {
    await using cloud = await connect('memory:')
    const codec: Codec<number> = { contentType: 'text/plain', encode: (n) => Buffer.from(`${n}`), decode: Number }
    expectTypeOf(cloud.topic('a', { codec })).toEqualTypeOf<Topic<number, number>>()
    expectTypeOf(cloud.topic<number>('b', { schema: z.number() })).toEqualTypeOf<Topic<number>>()
    expectTypeOf(cloud.topic('c')).toEqualTypeOf<Topic<unknown, unknown>>()
    expectTypeOf<Topic<string>>().toEqualTypeOf<Topic<string, string>>()
  })
})

describe('a function', () => {
  it.each(['exactly-once', 'at-least-once'] as const)(
    'gets the output of its input schema and gives the input of its output schema, %s',
    async (delivery) => {
      await using cloud = await connect('memory:')
      const alert = z.object({ celsius: z.number().transform((n) => n + 0.5), room: z.string().default('hall') })
      const convert = defineFunction({
        name: 'convert',
        input: z.object({ celsius: z.string().transform(Number) }),
        output: alert,
        handle: ({ value }) => {
          expectTypeOf(value).toEqualTypeOf<{ celsius: number }>()
          return { value: { celsius: value.celsius * 2 } }
        },
      })
      defineFunction({
        name: 'wrong',
        output: alert,
        // @ts-expect-error -- an output that its schema does not take
        handle: () => ({ value: { room: 'attic' } }),
      })
      await cloud.topic('in').send({ value: { celsius: '20' } })
      await cloud.admin.createTopic('out')
      await using worker = cloud.worker(convert, { from: 'in', to: 'out', delivery })
      const running = worker.run()
      await eventually(() => expect(worker.stats().acked).toBe(1))
      await worker.close()
      await running
      const stored = '{"celsius":40}'
      expect(await receivedFrom(cloud.topic('out', { schema: alert }), 1)).toEqual([
        [{ celsius: 40.5, room: 'hall' }, stored],
      ])
    },
  )

  it('dead-letters a message whose output does not fit', async () => {
    await using cloud = await connect('memory:')
    const broken = defineFunction({
      name: 'broken',
      output: z.number().positive(),
      handle: () => ({ value: -1 }),
    })
    await cloud.topic('in').send({ value: null })
    await using worker = cloud.worker(broken, { from: 'in', to: 'out', retry: { maxAttempts: 1 } })
    const running = worker.run()
    await eventually(() => expect(worker.stats().deadLettered).toBe(1))
    await worker.close()
    await running
  })
})
