import { StreamError } from '@sluice/driver'
import { settle } from '@sluice/driver/testing'
import { describe, expect, it } from 'vitest'
import { allStored, codeOf, setup } from './producer-setup.ts'

describe('closing and flushing a producer', () => {
  it('names what close could not send, by the deadline', async () => {
    const { clock, producer } = setup(() => Promise.reject(new StreamError('unavailable', 'down')))
    const sends = [1, 2, 3].map((value) => codeOf(producer.send({ value, id: `id-${value}` })))
    const closed = producer.close({ timeoutMs: 1_000 }).catch((error: unknown) => error)
    for (let n = 0; n < 12; n++) await clock.advance(100)
    expect(await closed).toMatchObject({ code: 'timeout', details: { unsent: ['id-1', 'id-2', 'id-3'] } })
    expect(await Promise.all(sends)).toEqual(['timeout', 'timeout', 'timeout'])
    expect(await codeOf(producer.send({ value: 4 }))).toBe('closed')
    expect(clock.pending).toBe(0)
  })

  it('flush waits for what was sent before it, also at the door, and not for what comes after', async () => {
    const gates: (() => void)[] = []
    const { producer } = setup(
      (records, signal) => new Promise((resolve) => gates.push(() => void allStored(records, signal).then(resolve))),
      { maxBufferedRecords: 1, maxInFlight: 1 },
    )
    const sends = [1, 2].map((value) => producer.send({ value }))
    await settle()
    let flushed = false
    const flush = producer.flush().then(() => (flushed = true))
    const third = producer.send({ value: 3 })
    gates.shift()?.()
    await settle()
    expect(flushed).toBe(false)
    gates.shift()?.()
    await flush
    await Promise.all(sends)
    gates.shift()?.()
    await third
  })

  it('answers every send when it closes, also those that wait to be let in', async () => {
    const { clock, producer } = setup(allStored, { maxBufferedRecords: 4 }, {}, { messagesPerSecond: 1 })
    const sends = Array.from({ length: 10 }, (_, value) => codeOf(producer.send({ value })))
    const closing = codeOf(producer.close({ timeoutMs: 500 }))
    for (let n = 0; n < 5; n++) await clock.advance(500)
    expect(await closing).toBe('timeout')
    expect((await Promise.all(sends)).filter((code) => code === 'timeout')).toHaveLength(9)
  })

  it('a producer whose topic opens only after its close lets go of it', async () => {
    const opening = Promise.withResolvers<void>()
    let open = 0
    const { clock, producer } = setup(allStored, {}, {}, undefined, async (topic) => {
      await opening.promise
      open++
      const close = (): Promise<void> => Promise.resolve(void open--)
      return { ...topic, producer: () => Promise.resolve({ sendBatch: allStored, close }) }
    })
    const sending = codeOf(producer.send({ value: 1 }))
    const closing = codeOf(producer.close({ timeoutMs: 100 }))
    await clock.advance(100)
    expect(await Promise.all([sending, closing])).toEqual(['timeout', 'timeout'])
    opening.resolve()
    await settle()
    expect(open).toBe(0)
    expect(await codeOf(producer.send({ value: 2 }))).toBe('closed')
  })

  it('flush waits out no linger, also of what is let in while it waits', async () => {
    const { clock, producer } = setup(allStored, { lingerMs: 60_000, maxBufferedRecords: 2 })
    const sends = [0, 1, 2, 3, 4, 5, 6].map((value) => producer.send({ value }))
    await settle()
    await producer.flush()
    expect(clock.monotonic()).toBe(0)
    await Promise.all(sends)
    const late = producer.send({ value: 7 })
    await settle()
    expect(producer.stats().bufferedRecords).toBe(1)
    await clock.advance(60_000)
    await late
    await producer.close()
  })

  it('answers also what would fit when those before it at the door are given up', async () => {
    const { clock, producer } = setup(() => new Promise(() => undefined), { maxBufferedBytes: 1_000 })
    const sizes = [700, 500, 20]
    const sends = sizes.map((size) => codeOf(producer.send({ value: 'x'.repeat(size) })))
    await settle()
    const closing = codeOf(producer.close({ timeoutMs: 100 }))
    for (let n = 0; n < 5; n++) await clock.advance(500)
    expect([await closing, ...(await Promise.all(sends))]).toEqual(['timeout', 'timeout', 'timeout', 'timeout'])
  })

  it('refuses what is closed by the making of its own text', async () => {
    const { clock, producer } = setup(allStored)
    await producer.send({ value: 1 })
    let closing = Promise.resolve()
    const toJSON = (): number => {
      closing = producer.close()
      return 2
    }
    const sending = codeOf(producer.send({ value: { toJSON } }))
    await clock.advance(1_000)
    expect(await sending).toBe('closed')
    await closing
  })

  it('ends a flush that waits for a topic which never opens', async () => {
    const { clock, producer } = setup(allStored, {}, {}, undefined, () => new Promise(() => undefined))
    const sending = codeOf(producer.send({ value: 1 }))
    const flushing = producer.flush()
    const closing = codeOf(producer.close({ timeoutMs: 100 }))
    await clock.advance(100)
    expect([await closing, await sending]).toEqual(['timeout', 'timeout'])
    await flushing
  })

  it('does not wait longer than it was told for a close that has more time', async () => {
    const { clock, producer } = setup(() => new Promise(() => undefined))
    const sending = codeOf(producer.send({ value: 1 }))
    await settle()
    const patient = codeOf(producer.close())
    const hasty = codeOf(producer.close({ timeoutMs: 100 }))
    await clock.advance(6_100)
    expect(await hasty).toBe('timeout')
    await clock.advance(30_000)
    expect([await patient, await sending]).toEqual(['timeout', 'timeout'])
  })
})
