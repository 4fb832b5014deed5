import { systemClock } from '@sluice/driver'
import type { Clock } from '@sluice/driver'
import { eventually } from '@sluice/driver/testing'
import { describe, expect, it } from 'vitest'
import { ServerTime } from '../src/server-time.ts'
import { backend, open, texts } from './fixtures.ts'

/** Our clock, and what the service says in whole seconds, `aheadMs` behind ours. */
function listener(aheadMs: number): { readonly time: ServerTime; readonly answer: (serverMs: number) => void } {
  let ourMs = 0
  const time = new ServerTime({ now: () => ourMs } as Clock)
  const answer = (serverMs: number): void => {
    ourMs = serverMs + aheadMs
    time.note(Math.floor(serverMs / 1_000) * 1_000, ourMs - 5)
  }
  return { time, answer }
}

describe("the service's clock", () => {
  it('is ours while ours fits what it says', () => {
    const { time, answer } = listener(0)
    for (const serverMs of [10_000, 10_999, 11_500]) {
      answer(serverMs)
      expect(time.now()).toBe(serverMs)
    }
  })

  it('is never taken to be later than it is, and earlier by a second at most', () => {
    for (const aheadMs of [-60_000, -1_500, 1_300, 1_900, 60_000]) {
      const { time, answer } = listener(aheadMs)
      for (const serverMs of [10_100, 10_950, 12_040]) answer(serverMs)
      expect(time.now()).toBeLessThanOrEqual(12_040)
      expect(time.now()).toBeGreaterThan(11_000)
    }
  })

  it('decides where the latest is, by either way of reading', async () => {
    const { url } = await backend()
    const writer = await open(url())
    await writer.admin.createTopic('t', { partitions: 1 })
    for (const [aheadMs, mode] of [300, 900, 1_700].flatMap((ms) => [[ms, 'polling'] as const, [ms, 'efo'] as const])) {
      const seen: string[] = []
      const clock: Clock = { ...systemClock, now: () => Date.now() + aheadMs }
      const cloud = await open(url(`&mode=${mode}`), { clock })
      const group = `${mode}-${aheadMs}`
      const consumer = texts(cloud, 't').consumer({ group, start: 'latest', deadLetter: false })
      const running = consumer.run((message) => void seen.push(message.value))
      await eventually(() => expect(consumer.stats().partitions.length).toBe(1))
      await texts(writer, 't').send({ key: 'k', value: group })
      await eventually(() => expect(seen).toContain(group))
      expect(await cloud.admin.lag('t', group)).toHaveLength(1)
      await consumer.close()
      await running
    }
  })
})
