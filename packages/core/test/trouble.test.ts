import { ContainerModule } from 'inversify'
import { parseBackendUrl, silentLogger, StreamError, tokens } from '@sluice/driver'
import type { Driver, DriverTopic, IncomingRecord, Logger } from '@sluice/driver'
import { eventually } from '@sluice/driver/testing'
import { describe, expect, it } from 'vitest'
import { connect, defineFunction } from '../src/index.ts'
import type { Cloud, DeadLetter, Message, StandardSchema } from '../src/index.ts'
import { fakeTopic } from './fake-topic.ts'
import { plainDriver, untilAborted } from './scripted-log.ts'

const queued: IncomingRecord & { readonly token: string } = {
  id: 'a',
  partition: '0',
  position: '0' as never,
  key: 'k',
  headers: {},
  body: Buffer.from('1'),
  timeMs: 0,
  expiresAtMs: undefined,
  epoch: 1,
  native: undefined,
  token: 'a',
}

const lettersOf = async (cloud: Cloud, topic: string): Promise<readonly DeadLetter[]> => {
  const letters: DeadLetter[] = []
  for await (const letter of cloud.admin.deadLetters(topic)) letters.push(letter)
  return letters
}

it('a send that is aborted and then refused by its schema leaves the door of its producer as it was', async () => {
  const refusal = Promise.withResolvers<{ readonly issues: readonly { readonly message: string }[] }>()
  const schema: StandardSchema<number> = {
    '~standard': {
      version: 1,
      vendor: 'test',
      validate: (value) => (value === -1 ? refusal.promise : { value: value as number }),
    },
  }
  await using cloud = await connect('memory:')
  const topic = cloud.topic('t', { schema, partitions: 1 })
  const producer = topic.producer({ maxBufferedRecords: 1 })
  await producer.send({ key: 'k', value: 0 })
  const stop = new AbortController()
  const aborted = producer.send({ value: -1 }, { signal: stop.signal })
  stop.abort()
  await expect(aborted).rejects.toMatchObject({ code: 'aborted' })
  refusal.resolve({ issues: [{ message: 'bad' }] })
  await Promise.all([1, 2, 3, 4].map((value) => producer.send({ key: 'k', value })))
  await producer.flush()
  await producer.close()
  const values: unknown[] = []
  for await (const { value } of topic.read()) values.push(value)
  expect(values).toEqual([0, 1, 2, 3, 4])
  expect(producer.stats().failed).toBe(1)
})

describe('dead letters', () => {
  it('near the size limit keep their own bytes, also when another topic shares id and dead-letter topic', async () => {
    await using cloud = await connect('memory:?maxRecordBytes=4096&partitions=1')
    const id = '01890000-0000-7000-8000-000000000000'
    for (const name of ['orders', 'invoices']) {
      await cloud.topic(name).send({ key: 'c', id, value: name + 'x'.repeat(3_950) })
      const consumer = cloud.topic(name).consumer({ group: 'g', deadLetter: { topic: 'shared' } })
      const running = consumer.run((message) => message.deadLetter('no'))
      await eventually(() => expect(consumer.stats().deadLettered).toBe(1))
      await consumer.close()
      await running
    }
    const found = (await lettersOf(cloud, 'shared')).map(
      ({ body, origin }) => `${origin.topic}: ${Buffer.from(body).toString().slice(1, 7)}`,
    )
    expect(found.toSorted()).toEqual(['invoices: invoic', 'orders: orders'])
  })

  it("do not include other programs' records, which do not stop a send-back either", async () => {
    await using cloud = await connect('memory:?partitions=1')
    await cloud.topic('t.dead-letters').send({ value: 'a stranger' })
    await cloud.topic('t').send({ key: 'k', value: 1 })
    const consumer = cloud.topic('t').consumer({ group: 'g' })
    const running = consumer.run((message) => message.deadLetter('no'))
    await eventually(() => expect(consumer.stats().deadLettered).toBe(1))
    await consumer.close()
    await running
    expect(await lettersOf(cloud, 't.dead-letters')).toHaveLength(1)
    expect(await cloud.admin.sendBack('t.dead-letters')).toBe(1)
  })

  it('that cannot be stored do not keep a close from ending', async () => {
    await using big = await connect('memory:refusing?partitions=2')
    await big.topic('t').send({ key: 'big', partition: '0', value: 'x'.repeat(10_000) })
    await big.topic('t').send({ key: 'other', partition: '1', value: 1 })
    await using small = await connect('memory:refusing?partitions=2&maxRecordBytes=4096')
    const consumer = small.topic('t').consumer({ group: 'g', commitIntervalMs: 60_000 })
    let others = 0
    const running = consumer.run((message) => (message.key === 'big' ? message.deadLetter('no') : void others++))
    await eventually(() => expect(others).toBe(1))
    await big.topic('t').send({ key: 'other', partition: '1', value: 2 })
    await eventually(() => expect(others).toBe(2))
    await expect(consumer.close({ timeoutMs: 200 })).rejects.toMatchObject({ code: 'timeout' })
    await running
    const lag = await big.admin.lag('t', 'g')
    expect(lag.map(({ messages }) => messages)).toEqual([1, 0])
  })

  it('keep the reason they were given when they are refused once, and are counted once', async () => {
    await using cloud = await connect('memory:?partitions=1')
    await cloud.topic('in').send({ key: 'k', value: 1 })
    await cloud.admin.createTopic('letters')
    const begin = Promise.withResolvers<void>()
    const handle = async (message: Message<unknown>): Promise<void> => {
      await begin.promise
      message.deadLetter('my reason')
    }
    const worker = cloud.worker(defineFunction({ name: 'f', handle }), {
      from: 'in',
      to: 'out',
      deadLetter: { topic: 'letters' },
      commitIntervalMs: 0,
    })
    const running = worker.run()
    await eventually(() => expect(worker.stats().running).toBe(1))
    await cloud.admin.deleteTopic('letters')
    begin.resolve()
    await eventually(() => expect(worker.stats().deadLettered).toBe(1))
    await cloud.admin.createTopic('letters')
    await eventually(async () => expect(await lettersOf(cloud, 'letters')).toHaveLength(1))
    expect(worker.stats()).toMatchObject({ acked: 0, deadLettered: 1 })
    const [letter] = await lettersOf(cloud, 'letters')
    expect(letter?.reason).toBe('my reason')
    await worker.close()
    await running
  })
})

describe('one key or message that waits', () => {
  it('does not hold up other keys, however soon it is tried again', async () => {
    await using cloud = await connect('memory:')
    const topic = cloud.topic('t', { partitions: 1 })
    await topic.sendAll(Array.from({ length: 60 }, (_, value) => ({ key: 'stuck', value })))
    await topic.sendAll(Array.from({ length: 20 }, (_, value) => ({ key: `k${value}`, value })))
    const settings = { group: 'g', maxBufferedRecords: 40, deadLetter: false } as const
    await using consumer = topic.consumer({ ...settings, retry: { baseMs: 20, maxMs: 60 } })
    const others = new Set<unknown>()
    const running = consumer.run((message) => {
      if (message.key === 'stuck') throw new Error('not yet')
      others.add(message.value)
    })
    await eventually(() => expect(others.size).toBe(20))
    await consumer.close({ timeoutMs: 0 })
    await running
  })

  it('does not hold up other partitions where outputs wait for it to be stored', async () => {
    await using cloud = await connect('memory:?partitions=2')
    const from = cloud.topic('in')
    await from.send({ key: 'bad', value: -1, partition: '0' })
    await from.sendAll(Array.from({ length: 150 }, (_, value) => ({ key: `p${value}`, value, partition: '0' })))
    const settings = { from: 'in', to: 'out', deadLetter: false, maxBufferedRecords: 100 } as const
    const handle = (message: Message<unknown>): { value: unknown } => {
      if (message.value === -1) throw new Error('down')
      return { value: message.value }
    }
    await using worker = cloud.worker(defineFunction({ name: 'f', handle }), {
      ...settings,
      retry: { baseMs: 20, maxMs: 60 },
      commitIntervalMs: 5,
    })
    const running = worker.run()
    await eventually(() => expect(worker.stats().acked).toBeGreaterThanOrEqual(99))
    await from.sendAll(Array.from({ length: 20 }, (_, value) => ({ key: `q${value}`, value, partition: '1' })))
    await eventually(async () => {
      const lag = await cloud.admin.lag('in', 'f')
      expect(lag.map(({ messages }) => messages)).toEqual([151, 0])
    })
    await worker.close({ timeoutMs: 0 })
    await running
  })
})

describe('close', () => {
  const silentAt = (what: 'commit' | 'subscribe' | 'close'): Driver => {
    let sent = false
    const topic: DriverTopic = {
      ...fakeTopic(() => Promise.resolve([])),
      subscribe: async ({ events }, signal) => {
        if (what === 'subscribe') await untilAborted(signal)
        events.assigned('0', 1)
        return {
          shape: 'log',
          poll: async (_, aborted) => {
            if (sent) return untilAborted(aborted)
            sent = true
            return [queued]
          },
          commit: async (commits, aborted) => {
            if (what === 'commit') await untilAborted(aborted)
            return commits.map(() => ({ ok: true }))
          },
          pause: () => undefined,
          resume: () => undefined,
          rewind: () => undefined,
          close: () => (what === 'close' ? new Promise(() => undefined) : Promise.resolve()),
        }
      },
    }
    return { ...plainDriver, openTopic: () => Promise.resolve(topic) }
  }

  it.each(['commit', 'subscribe', 'close'] as const)('ends though the backend does not answer a %s', async (what) => {
    const cloud = await connect('silent:', { driver: silentAt(what), create: false })
    const consumer = cloud.topic('t').consumer({ group: 'g', deadLetter: false })
    let handled = 0
    const running = consumer.run(() => void handled++).catch(() => undefined)
    await eventually(() => expect(handled).toBe(what === 'subscribe' ? 0 : 1))
    const closed = consumer.close({ timeoutMs: 100 })
    await expect(closed).resolves.toBeUndefined()
    await running
    await cloud.close()
  })

  it('of one consumer from the handler of another waits for what that one is at', async () => {
    await using cloud = await connect('memory:')
    await cloud.topic('t', { partitions: 1 }).sendAll([{ value: 1 }])
    const [a, b] = [cloud.topic('t').consumer({ group: 'a' }), cloud.topic('t').consumer({ group: 'b' })]
    const release = Promise.withResolvers<void>()
    const order: string[] = []
    const runningB = b.run(async () => {
      await release.promise
      order.push('b is done')
    })
    await eventually(() => expect(b.stats().running).toBe(1))
    const runningA = a.run(async () => {
      setTimeout(() => release.resolve(), 50)
      await b.close()
      order.push('b is closed')
    })
    await eventually(() => expect(order).toEqual(['b is done', 'b is closed']))
    await a.close()
    await Promise.all([runningA, runningB])
  })
})

it('a batch that is due while its consumer is paused waits for the resume', async () => {
  await using cloud = await connect('memory:')
  const topic = cloud.topic('t', { partitions: 1 })
  await topic.send({ value: 1 })
  const consumer = topic.consumer({ group: 'g' })
  let batches = 0
  const running = consumer.run(() => void batches++, { batch: { max: 10, waitMs: 150 } })
  await eventually(() => expect(consumer.stats().received).toBe(1))
  consumer.pause()
  await new Promise((resolve) => setTimeout(resolve, 300))
  expect(batches).toBe(0)
  consumer.resume()
  await eventually(() => expect(batches).toBe(1))
  await consumer.close()
  await running
})

it('a listener that rejects is logged, and so are retries and dead letters with their reason', async () => {
  const lines: [string, string, object][] = []
  const log = (level: string) => (fields: object, message: string) => void lines.push([level, message, fields])
  const logger: Logger = { ...silentLogger, info: log('info'), warn: log('warn'), error: log('error') }
  const modules = [new ContainerModule(({ bind }) => void bind(tokens.Logger).toConstantValue(logger))]
  await using cloud = await connect('memory:', { modules })
  const topic = cloud.topic('t', { partitions: 1 })
  await topic.send({ value: 1 })
  const onSettled = (): void => Promise.reject(new Error('listener')) as unknown as void
  const consumer = topic.consumer({ group: 'g', retry: { maxAttempts: 2, baseMs: 1 }, onSettled })
  const running = consumer.run(() => {
    throw new Error('no address')
  })
  await eventually(() => expect(consumer.stats().deadLettered).toBe(1))
  await consumer.close()
  await running
  const of = (message: string): object | undefined => lines.find(([, said]) => said === message)?.[2]
  expect(of('a message will be tried again')).toMatchObject({ group: 'g', attempt: 1, error: 'no address' })
  expect(of('a message was dead-lettered')).toMatchObject({ reason: 'gave up after 2 attempts: no address' })
  expect(of('onSettled threw')).toBeDefined()
})

it.each(['Endpoint=sb://x/;SharedAccessKey=s3cr3t', ' nats://user:s3cr3t@host', 'nats//user:s3cr3t@host'])(
  'what is no address is not shown: %s',
  async (address) => {
    await expect(connect(address)).rejects.toMatchObject({ code: 'invalid-argument' })
    expect(() => parseBackendUrl(address)).toThrow(/^(?!.*s3cr3t)/s)
  },
)

it('a queue that settles nothing for a while is asked again with pauses, and acknowledged in the end', async () => {
  let [asked, well] = [0, false]
  const record = { ...queued, attempt: 1 }
  let handedOut = false
  const topic: DriverTopic = {
    ...fakeTopic(() => Promise.resolve([])),
    order: 'none',
    subscribe: async () => ({
      shape: 'queue',
      leaseMs: 30_000,
      pull: async (_, signal) => {
        if (!handedOut) return ((handedOut = true), [record])
        return new Promise((__, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))
      },
      settle: async (items) => {
        asked++
        const error = new StreamError('unavailable', 'not connected at the moment')
        return items.map(() => (well ? { ok: true } : { ok: false, error }))
      },
      extend: () => Promise.resolve(),
      release: () => Promise.resolve(),
      close: () => Promise.resolve(),
    }),
  }
  const cloud = await connect('silent:', {
    driver: { ...plainDriver, openTopic: () => Promise.resolve(topic) },
    create: false,
  })
  const consumer = cloud.topic('t').consumer({ group: 'g', deadLetter: false })
  const running = consumer.run(() => undefined)
  await eventually(() => expect(asked).toBeGreaterThan(2))
  await new Promise((resolve) => setTimeout(resolve, 300))
  expect(asked).toBeLessThan(30)
  well = true
  await consumer.close()
  await running
  await cloud.close()
})
