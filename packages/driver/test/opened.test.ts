import { describe, expect, it } from 'vitest'
import { Opened } from '../src/index.ts'

function setUp() {
  const told: string[] = []
  const thing = (name: string, onClosed: () => void) => ({
    async close(): Promise<void> {
      told.push(name)
      onClosed()
      if (name === 'broken') throw new Error('it would not close')
    },
  })
  return { told, thing, opened: new Opened('nats://***@host') }
}

describe('what is open on a connection', () => {
  it('is closed with it, once, and before it', async () => {
    const { told, thing, opened } = setUp()
    opened.add('make a producer', (onClosed) => thing('producer', onClosed))
    opened.add('subscribe', (onClosed) => thing('broken', onClosed))
    const last = (): void => void told.push('connection')
    await Promise.all([opened.close(last), opened.close(last)])
    expect(told).toEqual(['producer', 'broken', 'connection'])
  })

  it('is left alone when it was closed before', async () => {
    const { told, thing, opened } = setUp()
    const producer = opened.add('make a producer', (onClosed) => thing('producer', onClosed))
    await producer.close()
    await opened.close(() => undefined)
    expect(told).toEqual(['producer'])
  })

  it('gets no more while the connection is being closed', async () => {
    const { told, thing, opened } = setUp()
    const end = Promise.withResolvers<void>()
    expect(opened.closed).toBe(false)
    opened.refuseClosed('open a topic')
    const closing = opened.close(() => end.promise)
    expect(opened.closed).toBe(true)
    const refused = { code: 'closed', message: 'cannot subscribe: the connection to nats://***@host is closed' }
    expect(() => opened.refuseClosed('subscribe')).toThrow(expect.objectContaining(refused))
    expect(() => opened.add('subscribe', (onClosed) => thing('late', onClosed))).toThrow(
      expect.objectContaining(refused),
    )
    end.resolve()
    await closing
    expect(told).toEqual([])
  })
})
