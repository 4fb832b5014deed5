import { text } from '@sluice/core'
import { expect, it, onTestFinished, vi } from 'vitest'
import { parseBackendUrl, silentLogger, systemClock } from '@sluice/driver'
import type { IncomingRecord } from '@sluice/driver'
import { eventually } from '@sluice/driver/testing'
import { parseConfig } from '../src/config.ts'
import { Connection } from '../src/connection.ts'
import { Pull } from '../src/pull.ts'
import { Reading } from '../src/reading.ts'
import { Store } from '../src/store.ts'
import { TopicView } from '../src/topic.ts'
import { Topics } from '../src/topics.ts'
import { fresh, open } from './fixtures.ts'
import { findServer, obtainServer } from './server.ts'
import { needs } from './suite.ts'

const source = await findServer()
needs(source.kind === 'none' ? `no nats-server: ${source.reason}` : undefined)

/** A connection to a server of the test's own, and a topic of one partition that holds those records. */
async function topicWith(values: readonly string[]): Promise<{ connection: Connection; view: TopicView }> {
  if (source.kind === 'none') throw new Error(source.reason)
  const running = await obtainServer(source)
  onTestFinished(() => running.stop())
  const cloud = await open(running.url)
  const name = fresh('read')
  await cloud.admin.createTopic(name, { partitions: 1 })
  await cloud.topic(name, { codec: text }).sendAll(values.map((value) => ({ value })))

  const config = parseConfig(parseBackendUrl(running.url))
  const signal = AbortSignal.timeout(10_000)
  const ports = { clock: systemClock, logger: silentLogger, random: Math.random, leaseStore: undefined, signal }
  const connection = await Connection.open(config, ports)
  onTestFinished(() => connection.close())
  const view = await TopicView.open(new Topics(connection, new Store(connection, config), config, systemClock), name)
  return { connection, view }
}

/** Reads the topic's partition from its start until the test ends. */
function startReading(connection: Connection, topic: TopicView, onWake: (reading: Reading) => void): Reading {
  const wake = (): void => {
    onWake(reading)
    reading.want()
  }
  const fail = (error: Error): void => expect.unreachable(error.message)
  const context = { connection, topic, clock: systemClock, logger: silentLogger, wake, fail }
  const reading: Reading = new Reading(context, '0', 1, 1)
  onTestFinished(() => reading.close())
  reading.want()
  return reading
}

it('the next request for large records is made before the last one is over', async () => {
  const large = 'x'.repeat(100_000)
  const { connection, view } = await topicWith(Array.from({ length: 60 }, () => large))
  const requests = vi.spyOn(connection.client, 'publish')
  const asked = (): number => requests.mock.calls.filter(([subject]) => subject.includes('CONSUMER.MSG.NEXT')).length
  let received = 0
  const records: IncomingRecord[] = []
  const askedAt: number[] = []
  startReading(connection, view, (reading) => {
    reading.take(records, 1_000, Infinity)
    if (records.length > received) askedAt.push(asked())
    received = records.length
  })
  await eventually(() => expect(records.map(({ position }) => position)).toHaveLength(60))
  // A request takes ten of them: at the tenth, the second one stands already.
  expect(askedAt[9]).toBe(2)
  expect(new Set(records.map(({ position }) => position)).size).toBe(60)
})

it('a partition that ends while its records are on their way is read on by a new consumer', async () => {
  const { connection, view } = await topicWith(Array.from({ length: 300 }, (_, at) => String(at)))
  const makeConsumer = vi.spyOn(connection.streams.consumers, 'add')
  let ended = false
  const known = view.byId.bind(view)
  view.byId = (id) => {
    const partition = known(id)
    return partition === undefined ? undefined : { ...partition, ended }
  }
  const reading = startReading(connection, view, (begun) => {
    // With the first record, it is looked up and found to have ended: the others come to a request that is taken back.
    if (ended) return
    ended = true
    begun.hurry()
  })
  const records: IncomingRecord[] = []
  await eventually(() => {
    reading.take(records, 500, 1_000_000)
    expect(reading.finished).toBe(true)
  })
  expect(new Set(records.map(({ position }) => position)).size).toBe(300)
  // Of what the first one has delivered, some may have come to the server's queue when nobody wanted it any more.
  expect(makeConsumer).toHaveBeenCalledTimes(2)
})

it('a partition that ended is read on though the server says once that it has nothing more', async () => {
  const { connection, view } = await topicWith(['one', 'two', 'three'])
  const known = view.byId.bind(view)
  view.byId = (id) => {
    const partition = known(id)
    return partition === undefined ? undefined : { ...partition, ended: true }
  }
  // A consumer that is behind has none left, and the stream's leader cannot load the next.
  const pulled = vi.spyOn(Pull.prototype, 'end', 'get').mockReturnValueOnce(Promise.resolve('none-left'))
  const asked = vi.spyOn(connection.streams.streams, 'getMessage').mockResolvedValueOnce(null)
  onTestFinished(() => pulled.mockRestore())
  const reading = startReading(connection, view, () => undefined)
  const records: IncomingRecord[] = []
  await eventually(() => {
    reading.take(records, 10, 1_000_000)
    expect(reading.finished).toBe(true)
  })
  expect(records.map(({ position }) => position)).toHaveLength(3)
  expect(asked.mock.calls.length).toBeGreaterThanOrEqual(2)
})
