import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { eventually } from '@sluice/driver/testing'
import { expect, it } from 'vitest'
import { connect } from '../src/index.ts'
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
