import { systemClock } from '@sluice/driver'
import { expect, it } from 'vitest'
import { ShardMap } from '../src/shards.ts'
import type { StreamInfo } from '../src/streams.ts'
import { TopicView } from '../src/topic.ts'
import type { StreamLookups } from '../src/topic.ts'
import { failure } from './fixtures.ts'

const anyStream: Omit<StreamInfo, 'name' | 'createdMs'> = {
  arn: 'arn:aws:kinesis:eu-west-1:1:stream/t',
  status: 'ACTIVE',
  openShards: 1,
  retentionHours: 24,
  maxRecordBytes: 1_048_576,
  onDemand: false,
  ignoresKeys: false,
  encrypted: false,
}

/** A stream by what it says of itself and of its shards, one answer after the other; the last one stays. */
function streamOf(
  ...answers: readonly { readonly createdMs: number; readonly shards: readonly string[] }[]
): StreamLookups {
  let at = 0
  const answer = (): (typeof answers)[number] => answers[Math.min(at, answers.length - 1)] as (typeof answers)[number]
  const describe = (name: string): Promise<StreamInfo> =>
    Promise.resolve({ ...anyStream, name, createdMs: answer().createdMs })
  const shards = (): Promise<ShardMap> => {
    const all = answer().shards.map((id) => ({
      id,
      parents: [],
      open: true,
      from: 0n,
      to: 1n,
      firstSequence: `of-${id}`,
    }))
    at++
    return Promise.resolve(new ShardMap(all))
  }
  return { clock: systemClock, usable: describe, describe, shards }
}

it('a stream made anew is another, also where none of its shards has the name of one before', async () => {
  for (const shards of [['s0'], []]) {
    const view = await TopicView.open(streamOf({ createdMs: 1, shards: ['s1', 's2'] }, { createdMs: 2, shards }), 't')
    expect(await failure(view.refresh())).toMatchObject({ code: 'not-found' })
  }
})

it('a stream all of whose shards were replaced is the same', async () => {
  const view = await TopicView.open(
    streamOf({ createdMs: 1, shards: ['s1', 's2'] }, { createdMs: 1, shards: ['s3'] }),
    't',
  )
  await view.refresh()
  expect(view.shards.all.map(({ id }) => id)).toEqual(['s3'])
})

it('a list of no shards is no answer', async () => {
  const view = await TopicView.open(streamOf({ createdMs: 1, shards: ['s1'] }, { createdMs: 1, shards: [] }), 't')
  expect(await failure(view.refresh())).toMatchObject({ code: 'unavailable' })
  expect(view.shards.all.length).toBe(1)
})
