import { expect, it } from 'vitest'
import { openedTopic } from '../src/index.ts'

it('opens nothing for what was aborted before', async () => {
  const opened: string[] = []
  const limits = { maxRecordBytes: 1, maxBatchRecords: 1, maxBatchBytes: 1, maxKeyBytes: 1, maxHeaders: 1 }
  const topic = openedTopic({
    name: 't',
    order: 'key',
    limits: { ...limits, maxHeaderValueBytes: 1 },
    measure: () => 0,
    comparePositions: () => 0,
    producer: () => {
      opened.push('producer')
      return { sendBatch: () => Promise.resolve([]), close: () => Promise.resolve() }
    },
    subscribe: () => Promise.reject(new Error('it is not to be asked')),
  })
  const aborted = AbortSignal.abort(new Error('enough'))
  await expect(topic.producer(aborted)).rejects.toMatchObject({
    code: 'aborted',
    message: expect.stringContaining('"t"') as string,
  })
  const events = { assigned: noop, revoking: () => Promise.resolve(), lost: noop, ended: noop, failed: noop }
  const options = { group: undefined, member: 'm', start: { kind: 'earliest' }, events } as const
  await expect(topic.subscribe(options, aborted)).rejects.toMatchObject({ code: 'aborted' })
  expect(opened).toEqual([])
  await topic.producer(new AbortController().signal)
  expect(opened).toEqual(['producer'])
})

function noop(): void {
  // Nobody listens.
}
