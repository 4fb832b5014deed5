import { jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import type { NatsConnection } from '@nats-io/transport-node'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import type { DriverTopic, OutgoingRecord } from '@sluice/driver'
import { ManualClock, settle } from '@sluice/driver/testing'
import type { Acks, Answer, Message } from '../src/acks.ts'
import { Publishing } from '../src/publishing.ts'
import { fresh, openDriver } from './fixtures.ts'
import { findServer, obtainServer } from './server.ts'
import type { RunningServer } from './server.ts'
import { needs } from './suite.ts'

const signal = new AbortController().signal

function outgoing(id: string, key: string | undefined, body = id): OutgoingRecord {
  const rest = { headers: {}, producedAtMs: 0, expiresAtMs: undefined, partition: undefined }
  return { id, key, body: Buffer.from(body), ...rest }
}

describe('a request', () => {
  /** Takes messages, and answers them by hand. */
  function setUp(messages: readonly string[], runs: readonly (readonly number[])[]) {
    const clock = new ManualClock()
    const asked: { readonly what: string; answer: (answer: Answer) => void }[] = []
    const ask = (what: string): ReturnType<Acks['send']> => {
      const { promise, resolve } = Promise.withResolvers<Answer>()
      asked.push({ what, answer: resolve })
      return { answer: promise, giveUp: (error) => resolve({ kind: 'failed', error }) }
    }
    const acks = {
      waiting: 2,
      send: ({ subject }: Message) => ask(subject),
      sendTogether: (all: readonly Message[]) => ask(all.map(({ subject }) => subject).join('+')),
    } as Acks
    const underWay: number[] = []
    const weighing = {
      prefersTogether: () => true,
      tookInTurn: (_: number, answers: number) => void underWay.push(answers),
      tookTogether: (_ms: number, _those: unknown, answers: number) => void underWay.push(answers),
    }
    const publishing = new Publishing({ acks, clock, weighing, signal, what: 'a send', timeoutMs: 1_000 })
    onTestFinished(() => publishing.end())
    const written = messages.map((subject) => ({
      subject,
      body: Buffer.alloc(0),
      headerBlock: '',
      roomy: subject !== 'L',
    }))
    const outcomes = publishing.publish(written, runs)
    return { clock, asked, outcomes, underWay }
  }
  const stored = (sequence: number): Answer => ({ kind: 'stored', sequence, duplicate: false })

  it('sends what follows one another together, and the rest for itself', async () => {
    const { asked, outcomes, underWay } = setUp(['a', 'b', 'A', 'c', 'B'], [[0, 2], [1, 4], [3]])
    expect(asked.map(({ what }) => what)).toEqual(['c', 'a+A+b+B'])
    asked[0]?.answer(stored(7))
    asked[1]?.answer(stored(14))
    expect((await outcomes).map((outcome) => outcome?.kind === 'stored' && outcome.sequence)).toEqual([
      11, 13, 12, 7, 14,
    ])
    // Two others were waited for when each was sent.
    expect(underWay).toEqual([3, 3])
  })

  it('sends one after another what has no room to be sent together, and stops at the first that fails', async () => {
    const { asked, outcomes } = setUp(['L', 'b', 'c'], [[0, 1, 2]])
    expect(asked.map(({ what }) => what)).toEqual(['L'])
    asked[0]?.answer(stored(1))
    await settle()
    asked[1]?.answer({ kind: 'nobody' })
    expect((await outcomes).map((outcome) => outcome?.kind)).toEqual(['stored', 'nobody', 'behind'])
  })

  it('that takes too long in turn leaves the rest behind, to be sent again', async () => {
    const { asked, clock, outcomes } = setUp(['L', 'b', 'c'], [[0, 1, 2]])
    await clock.advance(400)
    asked[0]?.answer(stored(1))
    await settle()
    await clock.advance(400)
    asked[1]?.answer(stored(2))
    expect((await outcomes).map((outcome) => outcome?.kind)).toEqual(['stored', 'stored', 'behind'])
  })

  it('without an answer is given up, together or not', async () => {
    const { clock, outcomes } = setUp(['a', 'b', 'c'], [[0, 1], [2]])
    await clock.advance(1_000)
    const timeout = { kind: 'failed', error: expect.objectContaining({ code: 'timeout', ambiguous: true }) as unknown }
    expect(await outcomes).toEqual([timeout, timeout, timeout])
  })
})

const source = await findServer()

/** Enough that sending them together pays; in the order of their names. */
const many = (prefix: string): readonly string[] =>
  Array.from({ length: 50 }, (_, at) => `${prefix}${String(at).padStart(2, '0')}`)

describe('records of one key', () => {
  needs(source.kind === 'none' ? `no nats-server: ${source.reason}` : undefined)
  let running: RunningServer | undefined

  beforeAll(async () => {
    if (source.kind !== 'none') running = await obtainServer(source)
  })

  afterAll(() => running?.stop())

  async function native(): Promise<NatsConnection> {
    const client = await connect({ servers: (running?.url ?? '').replace('nats://', '') })
    onTestFinished(() => client.close())
    return client
  }

  async function topic(): Promise<{ readonly topic: DriverTopic; readonly name: string; readonly kept: boolean }> {
    const driver = await openDriver(running?.url ?? '')
    const name = fresh('run')
    await driver.admin.createTopic(name, { partitions: 2 }, signal)
    const opened = await driver.openTopic(name, signal)
    expect(opened.requestOrder).toBe(driver.capabilities.requestOrder)
    return { topic: opened, name, kept: opened.requestOrder === 'kept' }
  }

  /** What the stream holds, by sequence. */
  async function held(name: string): Promise<readonly (readonly [sequence: number, body: string, batch: boolean])[]> {
    const manager = await jetstreamManager(await native())
    const { state } = await manager.streams.info(name)
    const found: [number, string, boolean][] = []
    for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
      const message = await manager.streams.getMessage(name, { seq })
      if (message !== null) found.push([seq, message.string(), message.header.has('Nats-Batch-Id')])
    }
    return found
  }

  it('are stored together where the server can, each where its receipt says', async () => {
    const { topic: opened, name, kept } = await topic()
    const producer = await opened.producer(signal)
    const records = kept ? many('a').map((id) => outgoing(id, 'k')) : [outgoing('a', 'k')]
    const outcomes = await producer.sendBatch([outgoing('x', undefined), ...records], signal)
    const stored = await held(name)
    for (const [at, { id }] of [{ id: 'x' }, ...records].entries()) {
      const outcome = outcomes[at]
      expect(outcome).toMatchObject({ ok: true })
      const [, , batch] =
        stored.find(([seq, body]) => body === id && String(seq) === (outcome as { position?: string }).position) ?? []
      expect(batch).toBe(kept && id !== 'x')
    }
  })

  it('some of which are stored already are stored all the same, in order, and those are told', async () => {
    const { topic: opened, name, kept } = await topic()
    const producer = await opened.producer(signal)
    const send = async (...ids: readonly string[]): Promise<unknown> => {
      const parts = kept ? [ids] : ids.map((id) => [id])
      const outcomes = []
      for (const part of parts)
        outcomes.push(
          ...(await producer.sendBatch(
            part.map((id) => outgoing(id, 'k')),
            signal,
          )),
        )
      return outcomes.map((outcome) => (outcome.ok ? (outcome.duplicate ?? false) : outcome.error))
    }
    expect(await send('a', 'b')).toEqual([false, false])
    expect(await send('a', 'b', ...many('c'))).toEqual([true, true, ...many('c').map(() => false)])
    expect((await held(name)).map(([, body]) => body)).toEqual(['a', 'b', ...many('c')])
  })

  it('too large to be stored together are stored in order', async ({ skip }) => {
    const { topic: opened, name, kept } = await topic()
    skip(!kept, 'the server stores no messages together')
    const { maxRecordBytes } = opened.limits
    const empty = opened.measure(outgoing('large', 'k', ''))
    const large = outgoing('large', 'k', 'x'.repeat(maxRecordBytes - empty))
    expect(opened.measure(large)).toBe(maxRecordBytes)
    const producer = await opened.producer(signal)
    const outcomes = await producer.sendBatch(
      [outgoing('a', 'k'), large, ...many('c').map((id) => outgoing(id, 'k'))],
      signal,
    )
    expect(outcomes.every(({ ok }) => ok)).toBe(true)
    expect((await held(name)).map(([, body]) => body.slice(0, 3))).toEqual(['a', 'xxx', ...many('c')])
  })

  it('behind one that is refused are not stored', async ({ skip }) => {
    const { topic: opened, name, kept } = await topic()
    skip(!kept, 'the server stores no messages together')
    const producer = await opened.producer(signal)
    const refused = { ...outgoing('b', 'k'), partition: 'nowhere' }
    const outcomes = await producer.sendBatch(
      [outgoing('a', 'k'), refused, outgoing('c', 'k'), outgoing('d', 'other')],
      signal,
    )
    expect(outcomes.map((outcome) => (outcome.ok ? 'stored' : outcome.error.code))).toEqual([
      'stored',
      'not-found',
      'unavailable',
      'stored',
    ])
    expect((await held(name)).map(([, body]) => body).toSorted()).toEqual(['a', 'd'])
  })

  it('whose partition is taken by nobody do not take those of others with them', async ({ skip }) => {
    const { topic: opened, name, kept } = await topic()
    skip(!kept, 'the server stores no messages together')
    const manager = await jetstreamManager(await native())
    await manager.streams.update(name, { subjects: [`${name}.0`] })
    const producer = await opened.producer(signal)
    for (const order of [
      ['0', '1'],
      ['1', '0'],
    ]) {
      const records = order.flatMap((partition) =>
        many(`${order.join('')}-${partition}-`).map((id) => ({ ...outgoing(id, partition), partition })),
      )
      const outcomes = await producer.sendBatch(records, signal)
      const told = records.map(({ partition }, at) => `${partition} ${outcomes[at]?.ok === true}`)
      expect(new Set(told)).toEqual(new Set(['0 true', '1 false']))
    }
  })

  it('of a stream that was made by others go one at a time, unless it allows more', async () => {
    const name = fresh('theirs')
    const manager = await jetstreamManager(await native())
    await manager.streams.add({ name, subjects: [`${name}.*`], duplicate_window: 120e9 })
    const driver = await openDriver(running?.url ?? '')
    await driver.admin.createTopic(name, {}, signal)
    expect((await driver.openTopic(name, signal)).requestOrder).toBe('none')
  })
})
