import { DiscardPolicy, jetstream, jetstreamManager } from '@nats-io/jetstream'
import type { StreamConfig } from '@nats-io/jetstream'
import { connect, headers } from '@nats-io/transport-node'
import type { NatsConnection } from '@nats-io/transport-node'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import type { Cloud } from '@sluice/core'
import { eventually } from '@sluice/driver/testing'
import type { NatsBinary } from '@sluice/emulators'
import { collect, failure, fresh, open, openDriver, server, topicOf } from './fixtures.ts'
import { findServer, obtainServer } from './server.ts'
import type { RunningServer } from './server.ts'
import { needs } from './suite.ts'

const source = await findServer()
const missing = source.kind === 'none' ? `no nats-server: ${source.reason}` : undefined
const noneOfOurs =
  source.kind === 'url' ? 'needs a nats-server of its own; SLUICE_NATS_URL names one that runs' : missing
const signal = new AbortController().signal

describe('topics on streams', () => {
  needs(missing)
  let running: RunningServer | undefined
  let url = ''

  beforeAll(async () => {
    if (source.kind === 'none') return
    running = await obtainServer(source)
    url = `${running.url}/?failoverMs=600&leaseMs=600`
  })

  afterAll(() => running?.stop())

  async function native(): Promise<NatsConnection> {
    const client = await connect({ servers: url.replace(/^nats:\/\/|\/\?.*$/g, '') })
    onTestFinished(() => client.close())
    return client
  }

  async function stream(config: Partial<StreamConfig> & { name: string }): Promise<void> {
    await (await jetstreamManager(await native())).streams.add(config)
  }

  it('a stream that fits is used as it is', async () => {
    const name = fresh('there')
    await stream({ name, subjects: [`${name}.*`] })
    const js = jetstream(await native())
    const plain = headers()
    plain.set('X-Colour', 'blue')
    await js.publish(`${name}.0`, '7', { headers: plain })
    const cloud = await open(url)
    expect(await cloud.admin.createTopic(name, { partitions: 2 })).toBe('exists')
    const found: unknown[] = []
    for await (const message of topicOf(cloud, name).read()) {
      found.push([message.id, message.key, message.value, message.headers, message.partition, message.position])
    }
    expect(found).toEqual([[`${name}:1`, undefined, 7, { 'x-colour': 'blue' }, '0', '1']])
    expect((await failure(cloud.admin.setPartitions(name, 4))).code).toBe('conflict')
  })

  it('a stream that does not fit is refused with what does not', async () => {
    const name = fresh('misfit')
    await stream({ name, subjects: [`${name}.0`], max_msgs_per_subject: 1 })
    const cloud = await open(url)
    const error = await failure(cloud.admin.createTopic(name, { partitions: 2 }))
    expect(error.code).toBe('conflict')
    expect(error.message).toContain(`does not take the subjects ${name}.1`)
    expect(error.message).toContain('max_msgs_per_subject')
    expect((await failure(cloud.topic(name, { create: false }).send({ value: 1 }))).message).toContain('takes it over')
  })

  it('subjects that another stream takes are a conflict, and leave no topic behind', async () => {
    const name = fresh('taken')
    await stream({ name: fresh('other'), subjects: [`${name}.>`] })
    const cloud = await open(url)
    expect((await failure(cloud.admin.createTopic(name))).code).toBe('conflict')
    expect(await cloud.admin.listTopics()).not.toContain(name)
  })

  it('a stream that is full and discards what is new is throttled', async () => {
    const name = fresh('full')
    await stream({ name, subjects: [`${name}.*`], discard: DiscardPolicy.New, max_msgs: 2 })
    const driver = await openDriver(url)
    await driver.admin.createTopic(name, { order: 'none' }, signal)
    const producer = await (await driver.openTopic(name, signal)).producer(signal)
    const outcomes = await producer.sendBatch(
      ['a', 'b', 'c'].map((id) => ({
        id,
        key: undefined,
        headers: {},
        body: new Uint8Array(1),
        producedAtMs: 0,
        expiresAtMs: undefined,
        partition: undefined,
      })),
      signal,
    )
    expect(outcomes.map((outcome) => (outcome.ok ? outcome.position : outcome.error.code))).toEqual([
      '1',
      '2',
      'throttled',
    ])
  })

  it('a topic whose stream somebody deleted is not-found, and can be made anew without its old progress', async () => {
    const name = fresh('gone')
    const cloud = await open(url)
    const topic = topicOf(cloud, name)
    await topic.send({ value: 1, key: 'k' })
    expect(await collect(topic, 'g', 1)).toEqual([1])
    await (await jetstreamManager(await native())).streams.delete(name)
    expect((await failure(topic.send({ value: 2, key: 'k' }))).code).toBe('not-found')
    expect(await cloud.admin.listTopics()).not.toContain(name)
    const again = await open(url)
    expect(await again.admin.createTopic(name)).toBe('created')
    await topicOf(again, name).send({ value: 3, key: 'k' })
    expect(await collect(topicOf(again, name), 'g', 1)).toEqual([3])
  })

  it('that have grown again and again are read to their end, also while partitions are looked up', async () => {
    const cloud = await open(url)
    const name = fresh('grown')
    await cloud.admin.createTopic(name, { partitions: 9 })
    const topic = topicOf(cloud, name)
    const total = 4 * 3_000
    for (let round = 0; round < 4; round++) {
      const values = Array.from({ length: 3_000 }, (_, at) => round * 3_000 + at)
      await topic.sendAll(values.map((value) => ({ key: String(value % 200), value })))
      if (round < 3) await cloud.admin.setPartitions(name, 10 + round)
    }
    const seen = new Set<number>()
    for await (const { value } of topic.read()) seen.add(value)
    expect(seen.size).toBe(total)
  })

  it('a producer that knows only the old partitions finds the new ones, and keys keep their order', async () => {
    const [cloud, other] = [await open(url), await open(url)]
    const name = fresh('grown')
    await cloud.admin.createTopic(name, { partitions: 2 })
    const topic = topicOf(cloud, name)
    const producer = topic.producer()
    await Promise.all(Array.from({ length: 20 }, (_, value) => producer.send({ value, key: 'k' })))
    await other.admin.setPartitions(name, 3)
    const receipts = await Promise.all(
      Array.from({ length: 20 }, (_, at) => producer.send({ value: 20 + at, key: 'k' })),
    )
    expect(receipts.map((receipt) => Number(receipt.partition)).every((partition) => partition >= 2)).toBe(true)
    expect(await collect(topic, 'g', 40)).toEqual(Array.from({ length: 40 }, (_, value) => value))
  })

  it('a plain client reads what was sent here', async () => {
    const name = fresh('interop')
    const cloud = await open(url)
    await cloud.admin.createTopic(name, { partitions: 1 })
    const { id } = await topicOf(cloud, name).send({ value: 5, key: 'Grüße', headers: { colour: 'grün', plain: 'x' } })
    const manager = await jetstreamManager(await native())
    const message = await manager.streams.getMessage(name, { seq: 1 })
    expect([message?.subject, message?.string()]).toEqual([`${name}.0`, '5'])
    expect(Object.fromEntries(message?.header ?? [])).toMatchObject({
      'Nats-Msg-Id': [id],
      'sluice-key': ['Gr%C3%BC%C3%9Fe'],
      colour: ['gr%C3%BCn'],
      plain: ['x'],
      'sluice-percent': ['colour'],
    })
  })

  it('a record sent again is told as a duplicate, with the place of the first, also after a growth', async () => {
    const driver = await openDriver(url)
    const name = fresh('again')
    await driver.admin.createTopic(name, { partitions: 1 }, signal)
    const topic = await driver.openTopic(name, signal)
    const producer = await topic.producer(signal)
    const record = {
      id: 'only-one',
      key: 'k',
      headers: {},
      body: new Uint8Array(1),
      producedAtMs: 0,
      expiresAtMs: undefined,
      partition: undefined,
    }
    const [first] = await producer.sendBatch([record], signal)
    await driver.admin.setPartitions(name, 2, signal)
    const later = await (await driver.openTopic(name, signal)).producer(signal)
    const [second] = await later.sendBatch([record], signal)
    expect(first).toEqual({ ok: true, partition: '0', position: '1' })
    expect(second).toEqual({ ok: true, partition: '0', position: '1', duplicate: true })
  })
})

describe('a server that is restarted', () => {
  needs(noneOfOurs)
  const binary = source.kind === 'binary' ? source.binary : undefined

  it.each(['key', 'none'] as const)('costs time and nothing else, order %s', { timeout: 60_000 }, async (order) => {
    const running = await server(binary as NatsBinary)
    const cloud = await open(`${running.url}/?failoverMs=600&leaseMs=600&requestTimeoutMs=2000`)
    const name = fresh('restart')
    await cloud.admin.createTopic(name, { order })
    const topic = topicOf(cloud, name)
    const seen = new Set<number>()
    const consumer = topic.consumer({ group: 'g', commitIntervalMs: 10 })
    const reading = consumer.run(({ value }) => void seen.add(value))
    const producer = topic.producer()
    const sends: Promise<unknown>[] = []
    const send = (count: number): void => {
      for (let at = 0; at < count; at++) sends.push(producer.send({ value: sends.length, key: `k${sends.length % 7}` }))
    }
    send(300)
    await eventually(() => expect(seen.size).toBeGreaterThan(100))
    send(300)
    await running.kill()
    send(300)
    await running.restart()
    send(100)
    await Promise.all(sends)
    await eventually(() => expect(seen.size).toBe(1_000), 30_000)
    await consumer.close()
    await reading
  })

  it('has acknowledgements that it did not answer repeated at once, not when their time is over', async () => {
    const running = await server(binary as NatsBinary)
    const cloud = await open(`${running.url}/?requestTimeoutMs=600000`)
    const name = fresh('unanswered')
    await cloud.admin.createTopic(name, { order: 'none' })
    const topic = topicOf(cloud, name)
    await topic.send({ value: 1 })
    const acks = acksOf(cloud)
    const handled = Promise.withResolvers<void>()
    const settled: string[] = []
    const consumer = topic.consumer({ group: 'g', onSettled: (_, outcome) => void settled.push(outcome) })
    const reading = consumer.run(async () => {
      // From here on the server hears, and does not answer any more.
      running.suspend()
      await untilSilent(cloud)
      handled.resolve()
    })
    await handled.promise
    await eventually(() => expect(settled).toEqual(['acked']))
    await running.restart()
    await consumer.close({ timeoutMs: 20_000 })
    await reading
    // Not the lag: a server that is killed right after may have forgotten what it had handed out, whatever it answers.
    expect(acks.answered).toBe(1)
    expect(acks.asked).toBeGreaterThan(1)
  })
})

/** A process that is suspended goes on for a moment. That it is silent shows in nothing but a question without an answer. */
async function untilSilent(cloud: Cloud): Promise<void> {
  for (let answered = true; answered;) {
    answered = false
    const asking = (cloud.native() as NatsConnection).flush().then(() => (answered = true))
    asking.catch(() => undefined)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

/** How many acknowledgements were sent from now on, and answered. */
function acksOf(cloud: Cloud): { readonly asked: number; readonly answered: number } {
  const acks = { asked: 0, answered: 0 }
  const client = cloud.native() as NatsConnection
  const request = client.request.bind(client)
  client.request = async (subject, payload, options) => {
    const isAck = subject.startsWith('$JS.ACK.')
    if (isAck) acks.asked++
    const answer = await request(subject, payload, options)
    if (isAck) acks.answered++
    return answer
  }
  return acks
}
