import { StreamError, silentLogger } from '@sluice/driver'
import type { Commit, IncomingRecord, LogSource, Position } from '@sluice/driver'
import { ManualClock } from '@sluice/driver/testing'
import { describe, expect, it } from 'vitest'
import { Delivery } from '../src/consumer/delivery.ts'
import { LogPartition } from '../src/consumer/log-partition.ts'
import { ProgressWriter } from '../src/consumer/progress-writer.ts'
import { consumerSettings } from '../src/consumer/settings.ts'

interface Setup {
  readonly writer: ProgressWriter
  readonly clock: ManualClock
  readonly stored: string[]
  readonly fenced: string[]
  readonly refused: string[]
  readonly failed: string[]
}

/** A writer over a source that stores a transaction unless `refuse` says what is wrong with it. */
function setup(refuse: (commits: readonly Commit[], outputs: readonly string[]) => StreamError | undefined): Setup {
  const clock = new ManualClock()
  const [stored, fenced, refused, failed]: [string[], string[], string[], string[]] = [[], [], [], []]
  const source = {
    transact: async (records: readonly { topic: string }[], commits: readonly Commit[]) => {
      const outputs = records.map(({ topic }) => topic)
      const error = refuse(commits, outputs)
      if (error !== undefined) throw error
      stored.push(...outputs)
      return []
    },
  }
  const writer = new ProgressWriter({
    topicName: 't',
    source: source as unknown as LogSource,
    settings: consumerSettings('t', { group: 'g', commitIntervalMs: 10 }, true),
    transactional: true,
    clock,
    random: () => 0,
    logger: silentLogger,
    onFenced: (partition) => {
      partition.owned = false
      fenced.push(partition.id)
    },
    onRefused: (delivery) => {
      refused.push(delivery.id)
      if (delivery.refused) return false
      delivery.refused = true
      delivery.outputs = [{ topic: `letter-${delivery.id}`, record: delivery.record as never }]
      return true
    },
    onCommitted: () => undefined,
    onEndCommitted: () => undefined,
    onFailed: (error) => failed.push(error.code),
    onStored: () => undefined,
  })
  return { writer, clock, stored, fenced, refused, failed }
}

/** A partition whose records are all settled, each with one output named after it. */
function settledPartition(id: string, count: number): LogPartition {
  const partition = new LogPartition(id, 1, (a, b) => Number(a) - Number(b))
  for (let at = 0; at < count; at++) {
    const record = { id: `${id}.${at}`, partition: id, position: String(at) as Position } as IncomingRecord
    const node = partition.admit(record, Infinity)
    const delivery = new Delivery(record, 't', partition, 1)
    delivery.settled = true
    delivery.outputs = [{ topic: record.id, record: record as never }]
    partition.keepInOrder(delivery)
    if (node !== undefined) partition.watermark.settle(node)
  }
  return partition
}

describe('a transaction that is refused', () => {
  it('gives up the one partition that was lost, also when the backend does not name it', async () => {
    const { writer, clock, stored, fenced } = setup((commits) =>
      commits.some(({ partition }) => partition === 'b')
        ? new StreamError('fenced', 'somebody else has it')
        : undefined,
    )
    for (const id of ['a', 'b', 'c']) writer.touch(settledPartition(id, 2))
    await clock.advance(1_000)
    expect(fenced).toEqual(['b'])
    expect(stored.toSorted()).toEqual(['a.0', 'a.1', 'c.0', 'c.1'])
    await writer.stop(1_000)
  })

  it('for one output is stored without it, a dead letter in its place, everything in its order', async () => {
    const { writer, clock, stored, refused, failed } = setup((_, outputs) =>
      outputs.includes('a.1') ? new StreamError('not-found', 'no such partition') : undefined,
    )
    writer.touch(settledPartition('a', 4))
    writer.touch(settledPartition('b', 2))
    await clock.advance(1_000)
    expect(stored.filter((name) => !name.startsWith('b'))).toEqual(['a.0', 'letter-a.1', 'a.2', 'a.3'])
    expect([refused, failed]).toEqual([['a.1'], []])
    await writer.stop(1_000)
    expect(clock.pending).toBe(0)
  })

  it('with its dead letter is tried again and again, and holds no other partition back', async () => {
    let there = false
    const { writer, clock, stored, failed } = setup((_, outputs) =>
      !there && outputs.some((name) => name.endsWith('a.0')) ? new StreamError('not-found', 'no topic') : undefined,
    )
    writer.touch(settledPartition('a', 2))
    writer.touch(settledPartition('b', 2))
    await clock.advance(2_000)
    expect([stored, failed]).toEqual([['b.0', 'b.1'], []])
    there = true
    await clock.advance(10_000)
    expect(stored.slice(2)).toEqual(['letter-a.0', 'a.1'])
    await writer.stop(1_000)
    expect(clock.pending).toBe(0)
  })

  it('does not use up the turns of others while it waits and its partition goes on settling', async () => {
    const { writer, clock, stored } = setup((_, outputs) =>
      outputs.some((name) => name.endsWith('a.0')) ? new StreamError('not-found', 'no topic') : undefined,
    )
    const [a, b] = [settledPartition('a', 2), settledPartition('b', 100)]
    for (let turn = 0; turn < 100; turn++) {
      writer.touch(a)
      writer.touch(b)
      await clock.advance(20)
    }
    expect(stored).toHaveLength(100)
    await writer.stop(1_000)
  })

  it('for its progress alone ends the consumer', async () => {
    const { writer, clock, failed } = setup(() => new StreamError('not-found', 'the topic was deleted'))
    const partition = settledPartition('a', 1)
    const run = partition.takeSettledRun(10, 1_000, 1)
    for (const delivery of run?.deliveries ?? []) delivery.outputs = undefined
    writer.touch(partition)
    await clock.advance(100)
    expect(failed).toEqual(['not-found'])
    await writer.stop(1_000)
  })
})

it('pauses between writes grow while no partition can be stored, and one line tells of them all', async () => {
  const clock = new ManualClock()
  const lines: object[] = []
  let asked = 0
  const commit = (commits: readonly Commit[]) => {
    asked++
    const error = new StreamError('unavailable', 'injected')
    return Promise.resolve(commits.map(() => ({ ok: false as const, error })))
  }
  const never = (): never => {
    throw new Error('is not to happen')
  }
  const writer = new ProgressWriter({
    topicName: 't',
    source: { commit } as unknown as LogSource,
    settings: consumerSettings('t', { group: 'g', commitIntervalMs: 10 }, false),
    transactional: false,
    clock,
    random: () => 0.5,
    logger: { ...silentLogger, warn: (fields) => void lines.push(fields) },
    onFenced: never,
    onRefused: never,
    onCommitted: never,
    onEndCommitted: never,
    onFailed: never,
    onStored: () => undefined,
  })
  for (const id of ['0', '1', '2', '3']) writer.touch(settledPartition(id, 1))
  await clock.advance(60_000)
  // Of 50 ms, doubled up to 5 s, half each: seven that grow, then every 2.5 s.
  expect(asked).toBeGreaterThan(25)
  expect(asked).toBeLessThan(35)
  expect(lines).toHaveLength(asked)
  expect(lines.at(-1)).toMatchObject({ failures: asked, partitions: 4 })
})
