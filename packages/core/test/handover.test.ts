import { StreamError } from '@sluice/driver'
import type { OutgoingRecord, QueuedRecord, Settlement } from '@sluice/driver'
import { eventually } from '@sluice/driver/testing'
import { describe, expect, it } from 'vitest'
import { connect } from '../src/index.ts'
import { Admission } from '../src/producer/admission.ts'
import type { Applicant } from '../src/producer/admission.ts'
import { allCapabilities, fakeTopic } from './fake-topic.ts'
import { plainDriver, recordAt, ScriptedLog, untilAborted } from './scripted-log.ts'

const settings = { group: 'g', deadLetter: false, commitIntervalMs: 1 } as const

describe('a partition that has ended', () => {
  it('is not committed as such by a member that hands it over with records it has turned away', async () => {
    const log = new ScriptedLog()
    const [second, handling] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    log.poll = (read) => {
      if (read === 1) return Promise.resolve([recordAt(0)])
      if (read > 2) return undefined
      return second.promise.then(() => {
        log.events?.ended('0', [])
        return [recordAt(1), recordAt(2)]
      })
    }
    await using cloud = await connect('silent:', { driver: log.driver, create: false })
    const consumer = cloud.topic('t').consumer(settings)
    const got: unknown[] = []
    const running = consumer.run(async ({ value }) => {
      got.push(value)
      await handling.promise
    })
    await eventually(() => expect(got).toEqual([0]))
    const revoked = log.events?.revoking(['0'], 5_000)
    second.resolve()
    // The read has come back by the time that a further one is asked for, or none is: either way two turns are enough.
    await new Promise((resolve) => setTimeout(resolve, 20))
    handling.resolve()
    await revoked
    await consumer.close()
    await running
    expect(log.commits.map(({ ended, through }) => [through, ended])).toEqual([['0', false]])
  })

  it('and is assigned anew within the same read has not ended under its new tenure', async () => {
    const log = new ScriptedLog()
    const later = Promise.withResolvers<void>()
    log.poll = (read) => {
      if (read === 1) {
        log.events?.ended('0', [])
        log.events?.lost(['0'])
        log.events?.assigned('0', 2)
        return Promise.resolve([])
      }
      return read === 2 ? later.promise.then(() => [recordAt(0, 2)]) : undefined
    }
    await using cloud = await connect('silent:', { driver: log.driver, create: false })
    const consumer = cloud.topic('t').consumer(settings)
    let handled = 0
    const running = consumer.run(() => void handled++)
    await new Promise((resolve) => setTimeout(resolve, 30))
    expect(log.commits).toEqual([])
    later.resolve()
    await eventually(() => expect(log.commits).toHaveLength(1))
    expect(handled).toBe(1)
    await consumer.close()
    await running
  })

  it('is not committed as such before a record that had no room has come again', async () => {
    const log = new ScriptedLog()
    const [gate, again] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    let readAgain = 0
    log.poll = (read) => {
      if (read === 1) return Promise.resolve([0, 1, 2].map((place) => recordAt(place)))
      if (log.rewinds.length === 0) return new Promise((resolve) => setTimeout(resolve, 5, []))
      if (log.rewinds.length === 1 && readAgain++ === 0) {
        log.events?.ended('0', [])
        return Promise.resolve([1, 2, 3].map((place) => recordAt(place)))
      }
      if (log.rewinds.length === 2 && readAgain++ === 1) {
        return again.promise.then(() => {
          log.events?.ended('0', [])
          return [recordAt(3)]
        })
      }
      return undefined
    }
    await using cloud = await connect('silent:', { driver: log.driver, create: false })
    const consumer = cloud.topic('t').consumer({ ...settings, maxBufferedRecords: 3, maxUncommitted: 2 })
    const got: unknown[] = []
    const running = consumer.run(async ({ value }) => {
      if (value === 0) await gate.promise
      got.push(value)
    })
    await eventually(() => expect(consumer.stats().parked).toBe(1))
    gate.resolve()
    await eventually(() => expect(got).toEqual([0, 1, 2]))
    await eventually(() => expect(log.commits.at(-1)?.through).toBe('2'))
    expect(log.commits.some(({ ended }) => ended)).toBe(false)
    again.resolve()
    await eventually(() => expect(log.commits.at(-1)).toMatchObject({ through: '3', ended: true }))
    expect(got).toEqual([0, 1, 2, 3])
    await consumer.close()
    await running
  })
})

describe('a close', () => {
  it('does not acknowledge what a handler returned from because its signal told it to', async () => {
    await using cloud = await connect('memory:signalled?partitions=1')
    await using watcher = await connect('memory:signalled')
    const topic = cloud.topic('t')
    await topic.sendAll([0, 1, 2].map((value) => ({ key: `k${value}`, value })))
    const consumer = topic.consumer({ ...settings, commitIntervalMs: 60_000 })
    const began = new Set<unknown>()
    const later = Promise.withResolvers<void>()
    const behind = async (): Promise<unknown> => (await watcher.admin.lag('t', 'g'))[0]?.messages
    const running = consumer.run(async ({ signal, value }) => {
      began.add(value)
      if (value === 1) await later.promise
      if (value !== 2) return
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
    })
    await eventually(() => expect([began.size, consumer.stats().acked]).toEqual([3, 1]))
    await eventually(async () => expect(await behind()).toBe(2))
    later.resolve()
    await eventually(() => expect(consumer.stats().acked).toBe(2))
    await consumer.close({ timeoutMs: 50 }).catch(() => undefined)
    await running
    expect(await behind()).toBe(1)
  })

  it('tries the commit again that was on its way and failed', async () => {
    const log = new ScriptedLog()
    const failing = Promise.withResolvers<void>()
    let asked = 0
    log.poll = (read) => (read === 1 ? Promise.resolve([recordAt(0)]) : undefined)
    log.commit = (times) => {
      asked = times
      if (times > 1) return undefined
      return failing.promise.then(() => Promise.reject(new StreamError('unavailable', 'a blip')))
    }
    await using cloud = await connect('silent:', { driver: log.driver, create: false })
    const consumer = cloud.topic('t').consumer(settings)
    const running = consumer.run(() => undefined)
    await eventually(() => expect(asked).toBe(1))
    const closing = consumer.close()
    // So that close has come to where it waits for what is on its way.
    await new Promise((resolve) => setTimeout(resolve, 20))
    failing.resolve()
    await closing
    await running
    expect(log.commits.map(({ through }) => through)).toEqual(['0'])
  })

  it('tries the settlement again that was on its way and failed', async () => {
    const failing = Promise.withResolvers<void>()
    const settled: Settlement[] = []
    const released: string[] = []
    let [pulled, asked] = [false, 0]
    const record: QueuedRecord = { ...recordAt(0), token: 'token', attempt: 1 }
    const topic = {
      ...fakeTopic(() => Promise.resolve([])),
      order: 'none' as const,
      subscribe: () =>
        Promise.resolve({
          shape: 'queue' as const,
          leaseMs: 30_000,
          pull: (_: unknown, signal: AbortSignal): Promise<readonly QueuedRecord[]> => {
            if (pulled) return untilAborted(signal)
            pulled = true
            return Promise.resolve([record])
          },
          settle: async (items: readonly Settlement[]) => {
            if (++asked === 1) {
              await failing.promise
              throw new StreamError('unavailable', 'a blip')
            }
            settled.push(...items)
            return items.map(() => ({ ok: true as const }))
          },
          extend: () => Promise.resolve(),
          release: (tokens: readonly string[]) => Promise.resolve(void released.push(...tokens)),
          close: () => Promise.resolve(),
        }),
    }
    const driver = { ...plainDriver, capabilities: { ...allCapabilities, transactions: false } }
    await using cloud = await connect('silent:', {
      driver: { ...driver, openTopic: () => Promise.resolve(topic) },
      create: false,
    })
    const consumer = cloud.topic('t').consumer(settings)
    const running = consumer.run(() => undefined)
    await eventually(() => expect(asked).toBe(1))
    const closing = consumer.close()
    // So that close has come to where it waits for what is on its way.
    await new Promise((resolve) => setTimeout(resolve, 20))
    failing.resolve()
    await closing
    await running
    expect([settled, released]).toEqual([[{ token: 'token', verb: 'ack' }], []])
  })

  it('of the connection inside a handler lets consumers finish what they have begun, and handlers send', async () => {
    await using watcher = await connect('memory:inside?partitions=1')
    const cloud = await connect('memory:inside?partitions=1')
    await cloud.topic('t').sendAll(Array.from({ length: 10 }, (_, value) => ({ key: 'k', value })))
    let sent: unknown
    const consumer = cloud.topic('t').consumer({ group: 'g', commitIntervalMs: 1_000 })
    await consumer.run(async ({ value }) => {
      if (value !== 5) return
      await cloud.close()
      sent = await cloud.topic('other').send({ value: 'x' })
    })
    await cloud.close()
    expect(sent).toMatchObject({ id: expect.any(String) as string })
    const [lag] = await watcher.admin.lag('t', 'g')
    expect(lag?.messages).toBe(4)
  })

  it('of the connection stores the first dead letter, and passes the deadline of no driver that does not let go', async () => {
    const cloud = await connect('memory:?partitions=1')
    await cloud.topic('t').send({ key: 'k', value: 1 })
    const gate = Promise.withResolvers<void>()
    const consumer = cloud.topic('t').consumer({ group: 'g' })
    const running = consumer.run(async (message) => {
      await gate.promise
      message.deadLetter('no')
    })
    await eventually(() => expect(consumer.stats().running).toBe(1))
    const closing = cloud.close()
    gate.resolve()
    await closing
    await running
    expect(consumer.stats().deadLettered).toBe(1)

    const never = new Promise<never>(() => undefined)
    const topic = { ...fakeTopic(() => never), producer: async () => ({ sendBatch: () => never, close: () => never }) }
    const driver = { ...plainDriver, openTopic: () => Promise.resolve(topic), close: () => never }
    const stuck = await connect('silent:', { driver, create: false })
    const producer = stuck.topic('t').producer()
    const unsent = producer.send({ value: 1 }).catch((error: unknown) => error)
    await expect(producer.close({ timeoutMs: 50 })).rejects.toMatchObject({ code: 'timeout' })
    expect(await unsent).toMatchObject({ code: 'timeout' })
    await expect(stuck.close({ timeoutMs: 50 })).rejects.toMatchObject({ code: 'timeout' })
  })

  it('drops what becomes ready too late, and a pause holds it', async () => {
    await using cloud = await connect('memory:?partitions=1')
    await cloud.topic('t').send({ value: 1 })
    const lateSchema = (gate: Promise<void>) => ({
      '~standard': { version: 1 as const, vendor: 'test', validate: (value: unknown) => gate.then(() => ({ value })) },
    })
    const gate = Promise.withResolvers<void>()
    const topic = cloud.topic('t', { schema: lateSchema(gate.promise) })
    const batches = topic.consumer({ group: 'g' })
    const running = batches.run(() => undefined, { batch: { max: 10, waitMs: 60_000 } })
    await eventually(() => expect(batches.stats().running).toBe(1))
    const closing = batches.close()
    gate.resolve()
    await closing
    await running
    expect(batches.stats()).toMatchObject({ acked: 0, running: 0 })

    const other = Promise.withResolvers<void>()
    const paused = cloud.topic('t', { schema: lateSchema(other.promise) }).consumer({ group: 'h' })
    let handled = 0
    const pausedRun = paused.run(() => void handled++)
    await eventually(() => expect(paused.stats().running).toBe(1))
    paused.pause()
    other.resolve()
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(handled).toBe(0)
    paused.resume()
    await eventually(() => expect(paused.stats().acked).toBe(1))
    await paused.close()
    await pausedRun
  })

  it('of a consumer with a deep queue of one key lets go of its partition', { timeout: 60_000 }, async () => {
    await using cloud = await connect('memory:deep?partitions=1')
    const topic = cloud.topic('t')
    const count = 150_000
    await topic.sendAll(Array.from({ length: count }, (_, value) => ({ key: 'k', value })))
    const consumer = topic.consumer({ group: 'g', maxBufferedRecords: count })
    const gate = Promise.withResolvers<void>()
    const running = consumer.run(() => gate.promise)
    await eventually(() => expect(consumer.stats().bufferedRecords).toBeGreaterThan(count * 0.9), 30_000)
    gate.resolve()
    await consumer.close()
    await running
    await eventually(async () => expect((await cloud.admin.lag('t', 'g'))[0]?.owner).toBeUndefined())
  })
})

it('a send that gave up at the door of a full producer is not kept there', () => {
  const admission = new Admission(1, 1_000)
  const admitted: number[] = []
  const applicant = (number: number): Applicant => ({
    record: { id: `${number}`, key: undefined, headers: {}, body: Buffer.alloc(10) } as unknown as OutgoingRecord,
    bytes: 10,
    admit: () => void admitted.push(number),
    left: false,
  })
  const all = Array.from({ length: 5_000 }, (_, number) => applicant(number))
  for (const one of all) admission.join(one)
  for (const one of all.slice(2)) admission.leave(one)
  expect(all.filter(({ record }) => record !== undefined)).toHaveLength(2)
  expect(admission.waiting).toBe(1)
  admission.release(10)
  expect([admitted, admission.waiting]).toEqual([[0, 1], 0])
})
