import { describe, expect, it } from 'vitest'
import { InFlight } from '../src/index.ts'
import { settle } from '../src/testing.ts'

const never = new AbortController().signal

describe('the requests of a producer', () => {
  it('pass on what became of them', async () => {
    const inFlight = new InFlight()
    expect(await inFlight.run('send', never, async () => 'stored')).toBe('stored')
    await expect(inFlight.run('send', never, () => Promise.reject(new Error('lost')))).rejects.toThrow('lost')
  })

  it('all end before the producer is closed, however they end', async () => {
    const inFlight = new InFlight()
    const one = Promise.withResolvers<void>()
    const other = Promise.withResolvers<void>()
    const told: string[] = []
    void inFlight.run('send', never, () => one.promise).then(() => told.push('stored'))
    void inFlight.run('send', never, () => other.promise).catch(() => told.push('failed'))
    const closed = inFlight.close().then(() => told.push('closed'))
    one.resolve()
    await settle()
    other.reject(new Error('lost'))
    await closed
    expect(told).toEqual(['stored', 'failed', 'closed'])
    await inFlight.close()
  })

  it('are not sent by a closed producer, nor when their signal has aborted', async () => {
    const inFlight = new InFlight()
    let sent = 0
    const send = async (): Promise<number> => sent++
    const aborted = AbortSignal.abort()
    await expect(inFlight.run('send to "t"', aborted, send)).rejects.toMatchObject({
      code: 'aborted',
      message: 'send to "t" was aborted by its signal',
      ambiguous: false,
    })
    await inFlight.close()
    await expect(inFlight.run('send to "t"', aborted, send)).rejects.toMatchObject({
      code: 'closed',
      message: 'send to "t" failed: the producer is closed',
    })
    expect(sent).toBe(0)
  })
})
