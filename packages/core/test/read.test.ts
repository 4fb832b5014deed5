import type { Driver, DriverTopic, IncomingRecord, Position, TopicDescription } from '@sluice/driver'
import { expect, it } from 'vitest'
import type { Start } from '../src/api/consumer.ts'
import { json } from '../src/codecs.ts'
import { systemClock as clock } from '@sluice/driver'
import { readTopic } from '../src/read.ts'
import { ValueFormat } from '../src/values.ts'
import { fakeTopic } from './fake-topic.ts'

const recordAt = (offset: number): IncomingRecord => ({
  id: `r${offset}`,
  partition: '0',
  position: String(offset) as Position,
  key: undefined,
  headers: {},
  body: new TextEncoder().encode(String(offset)),
  timeMs: 0,
  expiresAtMs: undefined,
  epoch: 0,
  native: undefined,
})

/** What read() gives of a topic whose polls bring what is listed, one after the other, and then nothing for ever. */
async function valuesOf(
  polls: readonly (readonly number[])[],
  descriptions: readonly (readonly [earliest: number, latest: number, records: number])[],
  from: Start = 'earliest',
): Promise<readonly unknown[]> {
  let [poll, described] = [0, 0]
  const source = {
    shape: 'log',
    poll: () => Promise.resolve((polls[poll++] ?? []).map(recordAt)),
    close: () => Promise.resolve(),
  }
  const topic = { ...fakeTopic(() => Promise.resolve([])), subscribe: () => Promise.resolve(source) }
  const describeTopic = (): Promise<TopicDescription> => {
    const [earliest, latest, records] = descriptions[Math.min(described++, descriptions.length - 1)] ?? [0, 0, 0]
    const ends = { earliest: String(earliest) as Position, latest: String(latest) as Position }
    const partition = { id: '0', state: 'open' as const, parents: [], records, ...ends }
    return Promise.resolve({ name: 't', order: 'key', partitions: [partition] } as unknown as TopicDescription)
  }
  const values: unknown[] = []
  const reading = readTopic(
    () => Promise.resolve(topic as unknown as DriverTopic),
    { clock, driver: { admin: { describeTopic } } as unknown as Driver },
    new ValueFormat<unknown>(json, undefined),
    { from },
    new AbortController().signal,
  )
  for await (const { value } of reading) values.push(value)
  return values
}

it('goes on past reads that bring nothing, until all that was stored when it began has come', async () => {
  expect(await valuesOf([[0], [], [], [], [], [1, 2], [3]], [[0, 2, 3]])).toEqual([0, 1, 2])
})

it('ends when retention has taken what was left', async () => {
  const rest = [0, 2, 3] as const
  expect(await valuesOf([[0]], [rest, rest, [3, 3, 1]])).toEqual([0])
  expect(await valuesOf([[0]], [rest, rest, [3, 2, 0]])).toEqual([0])
})

it('ends at once when it starts behind all that is stored', async () => {
  expect(await valuesOf([[3]], [[0, 2, 3]], 'latest')).toEqual([])
  expect(await valuesOf([[3]], [[0, 2, 3]], { positions: { '0': '3' as Position } })).toEqual([])
})

it('from a time on ends after two reads that bring nothing: nothing tells whether anything is as young', async () => {
  expect(await valuesOf([[], [2]], [[0, 2, 3]], new Date())).toEqual([2])
  expect(await valuesOf([[], [], [2]], [[0, 2, 3]], new Date())).toEqual([])
})
