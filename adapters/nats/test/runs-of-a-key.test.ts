import { DiscardPolicy, jetstream, jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import type { NatsConnection } from '@nats-io/transport-node'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import type { DriverTopic, OutgoingRecord, SendOutcome } from '@sluice/driver'
import { eventually } from '@sluice/driver/testing'
import { Cluster } from './cluster.ts'
import { fresh, openDriver } from './fixtures.ts'
import { findServer, obtainServer } from './server.ts'
import { needs } from './suite.ts'

const signal = new AbortController().signal

function outgoing(id: string, key: string | undefined, body = id): OutgoingRecord {
  const rest = { idIsNew: true, headers: {}, producedAtMs: 0, expiresAtMs: undefined, partition: undefined }
  return { id, key, body: Buffer.from(body), ...rest }
}

const source = await findServer()

/** Enough that storing them together pays; in the order of their names. */
const many = (prefix: string): readonly string[] =>
  Array.from({ length: 50 }, (_, at) => `${prefix}${String(at).padStart(2, '0')}`)

/** Ends with the file. */
interface Servers {
  readonly url: string
  stop(): Promise<void>
}

async function cluster(): Promise<Servers> {
  if (source.kind !== 'binary') throw new Error('no nats-server')
  const running = await Cluster.start(source.binary)
  await running.ready()
  return { url: running.url, stop: () => running.close() }
}

async function alone(): Promise<Servers> {
  if (source.kind === 'none') throw new Error('no nats-server')
  return obtainServer(source)
}

/** How records of a key are stored: behind one another, in batches, or one at a time. */
type How = 'behind' | 'batch' | 'turn'

/** What a server alone does, and what a cluster does, which knows no batches up to 2.12.0. */
const servers = [
  {
    name: 'on a server alone',
    start: alone,
    missing: source.kind === 'none' ? `no nats-server: ${source.reason}` : undefined,
  },
  {
    name: 'in a cluster',
    start: cluster,
    missing: source.kind === 'binary' ? undefined : `no nats-server to start three of: ${source.kind}`,
  },
]

describe.each(servers)('records of one key $name', ({ missing, name: where, start }) => {
  needs(missing)
  let running: Servers | undefined

  beforeAll(async () => {
    if (missing === undefined) running = await start()
  }, 60_000)

  afterAll(() => running?.stop())

  async function native(): Promise<NatsConnection> {
    const client = await connect({ servers: (running?.url ?? '').replace('nats://', '').split(',') })
    onTestFinished(() => client.close())
    return client
  }

  async function topic(): Promise<{ readonly topic: DriverTopic; readonly name: string; readonly how: How }> {
    const driver = await openDriver(running?.url ?? '')
    const name = fresh('run')
    await driver.admin.createTopic(name, { partitions: 2 }, signal)
    const opened = await driver.openTopic(name, signal)
    expect(opened.requestOrder).toBe(driver.capabilities.requestOrder)
    const together = where === 'in a cluster' ? 'batch' : 'behind'
    return { topic: opened, name, how: opened.requestOrder === 'kept' ? together : 'turn' }
  }

  /** What the stream holds, by sequence, and how each was stored. */
  async function held(name: string): Promise<readonly (readonly [sequence: number, body: string, how: How])[]> {
    const manager = await jetstreamManager(await native())
    const { state } = await manager.streams.info(name)
    const found: [number, string, How][] = []
    for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
      const message = await manager.streams.getMessage(name, { seq })
      if (message === null) continue
      const { header } = message
      const how = header.has('Nats-Batch-Id') ? 'batch' : header.has('Nats-Expected-Last-Msg-Id') ? 'behind' : 'turn'
      found.push([seq, message.string(), how])
    }
    return found
  }

  /** Sends records of a key as core does: at once, or where the order is not kept then, each by itself. */
  async function send(opened: DriverTopic, records: readonly OutgoingRecord[]): Promise<readonly SendOutcome[]> {
    const producer = await opened.producer(signal)
    if (opened.requestOrder === 'kept') return producer.sendBatch(records, signal)
    const outcomes: SendOutcome[] = []
    for (const record of records) outcomes.push(...(await producer.sendBatch([record], signal)))
    return outcomes
  }

  it('are stored the fastest way that keeps their order, each where its receipt says', async () => {
    const { topic: opened, name, how } = await topic()
    const records = [outgoing('x', undefined), ...many('a').map((id) => outgoing(id, 'k'))]
    const outcomes = await send(opened, records)
    const stored = await held(name)
    expect(stored.map(([, body]) => body)).toEqual(records.map(({ id }) => id))
    for (const [at, { id }] of records.entries()) {
      const [sequence, , way] = stored.find(([, body]) => body === id) ?? []
      expect(outcomes[at]).toMatchObject({ ok: true, position: String(sequence) })
      const first = id === 'x' || (how === 'behind' && id === 'a00')
      expect(way).toBe(first ? 'turn' : how)
    }
  })

  it('are in order when others store theirs between them', async () => {
    const { topic: opened, name } = await topic()
    const stranger = jetstream(await native())
    const done = new AbortController()
    const between = (async () => {
      for (let at = 0; !done.signal.aborted; at++) await stranger.publish(`${name}.1`, `between-${at}`)
    })()
    const ids = Array.from({ length: 20 }, (_, round) => many(`${String(round).padStart(2, '0')}-`)).flat()
    for (let at = 0; at < ids.length; at += 50) {
      const records = ids.slice(at, at + 50).map((id) => ({ ...outgoing(id, 'k'), partition: '0' }))
      const outcomes = await send(opened, records)
      expect(outcomes.every(({ ok }) => ok)).toBe(true)
    }
    done.abort()
    await between
    const bodies = (await held(name)).map(([, body]) => body)
    expect(bodies.filter((body) => !body.startsWith('between'))).toEqual(ids)
    expect(bodies.length).toBeGreaterThan(ids.length)
  })

  it('some of which are stored already are stored all the same, in order, and those are told', async () => {
    const { topic: opened, name } = await topic()
    const sent = async (...ids: readonly string[]): Promise<unknown> => {
      const records = ids.map((id) => outgoing(id, 'k'))
      return (await send(opened, records)).map((outcome) => (outcome.ok ? (outcome.duplicate ?? false) : outcome.error))
    }
    expect(await sent('a', 'b')).toEqual([false, false])
    expect(await sent('a', 'b', ...many('c'))).toEqual([true, true, ...many('c').map(() => false)])
    await sent('elsewhere')
    expect(await sent('b', 'd', ...many('c'), 'e')).toEqual([true, false, ...many('c').map(() => true), false])
    expect((await held(name)).map(([, body]) => body)).toEqual(['a', 'b', ...many('c'), 'elsewhere', 'd', 'e'])
  })

  it('that leave no room for more are stored in order', async () => {
    const { topic: opened, name } = await topic()
    const { maxRecordBytes } = opened.limits
    const empty = opened.measure(outgoing('large', 'k', ''))
    const large = outgoing('large', 'k', 'x'.repeat(maxRecordBytes - empty))
    expect(opened.measure(large)).toBe(maxRecordBytes)
    const records = [outgoing('a', 'k'), large, ...many('c').map((id) => outgoing(id, 'k'))]
    const outcomes = await send(opened, records)
    expect(outcomes.every(({ ok }) => ok)).toBe(true)
    expect((await held(name)).map(([, body]) => body.slice(0, 3))).toEqual(['a', 'xxx', ...many('c')])
  })

  it('behind one that is refused are not stored', async ({ skip }) => {
    const { topic: opened, name, how } = await topic()
    skip(how === 'turn', 'requests have one record of a key here')
    const refused = { ...outgoing('b', 'k'), partition: 'nowhere' }
    const outcomes = await send(opened, [outgoing('a', 'k'), refused, outgoing('c', 'k'), outgoing('d', 'other')])
    expect(outcomes.map((outcome) => (outcome.ok ? 'stored' : outcome.error.code))).toEqual([
      'stored',
      'not-found',
      'unavailable',
      'stored',
    ])
    expect((await held(name)).map(([, body]) => body).toSorted()).toEqual(['a', 'd'])
  })

  it('behind one for which the stream is full are not stored', async ({ skip }) => {
    const { topic: opened, name, how } = await topic()
    skip(how === 'turn', 'requests have one record of a key here')
    const manager = await jetstreamManager(await native())
    await manager.streams.update(name, { max_msgs: 20, discard: DiscardPolicy.New })
    const outcomes = await send(
      opened,
      many('a').map((id) => outgoing(id, 'k')),
    )
    const stored = (await held(name)).map(([, body]) => body)
    expect(stored).toEqual(many('a').slice(0, stored.length))
    expect(outcomes.map(({ ok }) => ok)).toEqual(many('a').map((_, at) => at < stored.length))
    expect(stored.length).toBeLessThanOrEqual(20)
    expect(outcomes[stored.length]).toMatchObject({ error: { code: 'throttled' } })
  })

  it('whose partition is taken by nobody do not take those of others with them', async ({ skip }) => {
    const { topic: opened, name, how } = await topic()
    skip(how === 'turn', 'requests have one record of a key here')
    const manager = await jetstreamManager(await native())
    await manager.streams.update(name, { subjects: [`${name}.0`] })
    for (const order of [
      ['0', '1'],
      ['1', '0'],
    ]) {
      const records = order.flatMap((partition) =>
        many(`${order.join('')}-${partition}-`).map((id) => ({ ...outgoing(id, partition), partition })),
      )
      const outcomes = await send(opened, records)
      const told = records.map(({ partition }, at) => `${partition} ${outcomes[at]?.ok === true}`)
      expect(new Set(told)).toEqual(new Set(['0 true', '1 false']))
    }
  })

  it('of a stream that was made by others go in batches only if it allows them', async () => {
    const name = fresh('theirs')
    const manager = await jetstreamManager(await native())
    await manager.streams.add({ name, subjects: [`${name}.*`], duplicate_window: 120e9 })
    const driver = await openDriver(running?.url ?? '')
    await driver.admin.createTopic(name, {}, signal)
    const opened = await driver.openTopic(name, signal)
    expect(opened.requestOrder).toBe(where === 'in a cluster' ? 'none' : driver.capabilities.requestOrder)
  })

  it('are not stored behind a copy of another that has the same id', async ({ skip }) => {
    const { topic: opened, name, how } = await topic()
    skip(how === 'turn', 'requests have one record of a key here')
    const given = { ...outgoing('given', 'k'), idIsNew: false }
    await send(opened, [given])
    const manager = await jetstreamManager(await native())
    await manager.streams.update(name, { max_bytes: 3_000, discard: DiscardPolicy.New })
    const large = outgoing('large', 'k', 'x'.repeat(10_000))
    const outcomes = await send(opened, [large, given, outgoing('c', 'k')])
    expect(outcomes.map(({ ok }) => ok)).toEqual([false, false, false])
    expect((await held(name)).map(([, body]) => body)).toEqual(['given'])
  })

  it('are not stored without the one before them, whatever their headers say', async ({ skip }) => {
    const { topic: opened, name, how } = await topic()
    skip(how === 'turn', 'requests have one record of a key here')
    const manager = await jetstreamManager(await native())
    await manager.streams.update(name, { max_bytes: 3_000, discard: DiscardPolicy.New })
    const large = outgoing('large', 'k', 'x'.repeat(10_000))
    const term = 'Nats-Expected-Last-Msg-Id'
    for (const why of [term, `${term}: large`, term + term]) {
      const outcomes = await send(opened, [large, { ...outgoing('b', 'k'), headers: { why } }, outgoing('c', 'k')])
      expect(outcomes.map(({ ok }) => ok)).toEqual([false, false, false])
    }
    expect((await manager.streams.info(name)).state.messages).toBe(0)
  })

  it('come to mirrors of the stream, and go one at a time where they are republished', async () => {
    const { topic: opened, name } = await topic()
    await send(
      opened,
      many('a').map((id) => outgoing(id, 'k')),
    )
    const manager = await jetstreamManager(await native())
    const mirror = fresh('mirror')
    await manager.streams.add({ name: mirror, mirror: { name, opt_start_seq: 10 } })
    await eventually(async () => expect((await held(mirror)).map(([, body]) => body)).toEqual(many('a').slice(9)))
    const theirs = fresh('republished')
    const republish = { src: `${theirs}.>`, dest: `copy.${theirs}.>` }
    await manager.streams.add({ name: theirs, subjects: [`${theirs}.*`], duplicate_window: 120e9, republish })
    const driver = await openDriver(running?.url ?? '')
    await driver.admin.createTopic(theirs, {}, signal)
    await send(
      await driver.openTopic(theirs, signal),
      many('b').map((id) => outgoing(id, 'k')),
    )
    expect((await held(theirs)).map(([, body, way]) => [body, way])).toEqual(many('b').map((body) => [body, 'turn']))
  })
})
