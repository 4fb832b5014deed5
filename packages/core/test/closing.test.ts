import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { eventually, settle } from '@sluice/driver/testing'
import { describe, expect, it } from 'vitest'
import { connect, defineFunction } from '../src/index.ts'
import type { Cloud, Consumer, Message, SettledAs } from '../src/index.ts'
import { bytes } from '../src/codecs.ts'

it('a handler that fails while its consumer closes is not waited for again; its message comes to the next', async () => {
  await using cloud = await connect('memory:')
  const topic = cloud.topic('t', { partitions: 1 })
  await topic.sendAll([0, 1].map((value) => ({ key: 'k', value })))
  const settings = { group: 'g', retry: { baseMs: 3_600_000, maxMs: 3_600_000 } }
  const first = topic.consumer(settings)
  const begun = Promise.withResolvers<void>()
  const running = first.run(() => begun.promise)
  await eventually(() => expect(first.stats().running).toBe(1))
  const closing = first.close({ timeoutMs: 3_600_000 })
  begun.reject(new Error('not now'))
  await Promise.all([closing, running])
  expect(first.stats()).toMatchObject({ bufferedRecords: 0, running: 0 })
  const second = topic.consumer(settings)
  const seen: unknown[] = []
  const again = second.run((message) => void seen.push(message.value))
  await eventually(() => expect(seen).toEqual([0, 1]))
  await second.close()
  await again
})

it('a loop over read() keeps nothing of what it has passed', async () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  await using cloud = await connect('memory:')
  const topic = cloud.topic('t', { partitions: 2, codec: bytes })
  const count = 3_000
  await topic.sendAll(Array.from({ length: count }, (_, i) => ({ value: new Uint8Array(1_000).fill(i % 256) })))
  const passed: WeakRef<object>[] = []
  for await (const message of topic.read()) {
    passed.push(new WeakRef(message))
    if (passed.length < count) continue
    await eventually(() => {
      collect()
      // Those of the last read may still be in hand.
      expect(passed.filter((one) => one.deref() !== undefined).length).toBeLessThan(count / 2)
    })
  }
  expect(passed).toHaveLength(count)
})

it('of messages that a close gives back before their turn no outcome is told', async () => {
  await using cloud = await connect('memory:')
  const topic = cloud.topic('t', { partitions: 1 })
  await Promise.all([1, 2, 3, 4, 5].map((value) => topic.send({ key: 'k', value })))
  const told: unknown[] = []
  const onSettled = ({ value }: { readonly value: unknown }, outcome: SettledAs): void =>
    void told.push([value, outcome])
  const consumer = topic.consumer({ group: 'g', onSettled })
  const held = Promise.withResolvers<void>()
  const running = consumer.run(() => held.promise)
  await eventually(() => expect(consumer.stats().bufferedRecords).toBe(5))
  await expect(consumer.close({ timeoutMs: 20 })).rejects.toMatchObject({ code: 'timeout' })
  held.resolve()
  await running
  expect(told).toEqual([[1, 'abandoned']])
})

describe('what is still in hands when the time of a close is over', () => {
  const stuckConsumer = async (
    cloud: Cloud,
    run: (consumer: Consumer<unknown>, held: Promise<void>) => Promise<void>,
  ) => {
    const topic = cloud.topic('t', { partitions: 1 })
    const { id } = await topic.send({ key: 'k', value: 1 })
    const outcomes: SettledAs[] = []
    const consumer = topic.consumer({ group: 'g', onSettled: (_, outcome) => outcomes.push(outcome) })
    const held = Promise.withResolvers<void>()
    const running = run(consumer, held.promise)
    await eventually(() => expect(consumer.stats().received).toBe(1))
    return { topic, id, consumer, outcomes, held, running }
  }

  it.each<[string, (consumer: Consumer<unknown>, held: Promise<void>) => Promise<void>]>([
    ['of a handler', (consumer, held) => consumer.run(() => held)],
    [
      'of a batch handler',
      (consumer, held) => consumer.run((batch) => held.then(() => batch[0]?.retry()), { batch: { max: 5 } }),
    ],
  ])('%s is named by a timeout, told as abandoned once, and comes again', async (_, run) => {
    await using cloud = await connect('memory:')
    const { consumer, held, id, outcomes, running, topic } = await stuckConsumer(cloud, run)
    await expect(consumer.close({ timeoutMs: 20 })).rejects.toMatchObject({
      code: 'timeout',
      details: { topic: 't', group: 'g', abandoned: [id] },
    })
    await running
    held.resolve()
    await settle()
    expect(outcomes).toEqual(['abandoned'])
    expect(consumer.stats()).toMatchObject({ acked: 0, retried: 0, running: 0, bufferedRecords: 0 })
    const next = topic.consumer({ group: 'g' })
    for await (const message of next) {
      expect(message.id).toBe(id)
      message.ack()
      break
    }
  })

  it('of a loop that is left is told as abandoned, and leaving it is no failure', async () => {
    await using cloud = await connect('memory:')
    let left: Message<unknown> | undefined
    const { outcomes, running } = await stuckConsumer(cloud, async (consumer) => {
      for await (const message of consumer) {
        left = message
        break
      }
    })
    await running
    left?.ack()
    expect(outcomes).toEqual(['abandoned'])
  })

  it('of a worker is named likewise', async () => {
    await using cloud = await connect('memory:')
    await cloud.topic('in', { partitions: 1 }).send({ id: 'a', value: 1 })
    const worker = cloud.worker(defineFunction({ name: 'f', handle: () => new Promise<undefined>(() => undefined) }), {
      from: 'in',
    })
    const running = worker.run()
    await eventually(() => expect(worker.stats().running).toBe(1))
    await expect(worker.close({ timeoutMs: 20 })).rejects.toMatchObject({
      code: 'timeout',
      details: { abandoned: ['a'] },
    })
    await running
  })
})

it('a close with a time that is none is refused, and closes nothing', async () => {
  await using cloud = await connect('memory:')
  const topic = cloud.topic('t')
  const [producer, consumer] = [topic.producer(), topic.consumer({ group: 'g' })]
  const worker = cloud.worker(defineFunction({ name: 'f', handle: () => undefined }), { from: 'u' })
  for (const timeoutMs of [Number.NaN, -5, 'x' as unknown as number]) {
    for (const one of [producer, consumer, worker, cloud])
      await expect(one.close({ timeoutMs })).rejects.toMatchObject({ code: 'invalid-argument' })
  }
  await producer.send({ value: 1 })
})

describe('a signal that has aborted before', () => {
  const aborted = { signal: AbortSignal.abort() }

  it('has a run resolve, with nothing begun and the consumer closed', async () => {
    await using cloud = await connect('memory:')
    const consumer = cloud.topic('t').consumer({ group: 'g' })
    await consumer.run(() => undefined, aborted)
    await expect(consumer.run(() => undefined)).rejects.toMatchObject({ code: 'closed' })
    expect(await cloud.admin.listTopics()).toEqual([])
    const worker = cloud.worker(defineFunction({ name: 'f', handle: () => undefined }), { from: 't' })
    await worker.run(aborted)
    await expect(worker.run()).rejects.toMatchObject({ code: 'closed' })
    expect(await cloud.admin.listTopics()).toEqual([])
  })

  it('has a read throw, so that it does not look complete; as it does when it aborts later, or the connection closes', async () => {
    const cloud = await connect('memory:')
    const topic = cloud.topic('t', { partitions: 1 })
    await topic.sendAll([1, 2, 3].map((value) => ({ value })))
    await expect(Array.fromAsync(topic.read(aborted))).rejects.toMatchObject({ code: 'aborted' })
    const stop = new AbortController()
    const seen: unknown[] = []
    const reading = async (): Promise<void> => {
      for await (const { value } of topic.read({ signal: stop.signal })) {
        seen.push(value)
        stop.abort()
      }
    }
    await expect(reading()).rejects.toMatchObject({ code: 'aborted' })
    expect(seen).toEqual([1])
    const following = Array.fromAsync(topic.read({ follow: true }))
    await settle()
    await Promise.all([expect(following).rejects.toMatchObject({ code: 'closed' }), cloud.close()])
  })
})
