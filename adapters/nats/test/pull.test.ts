import { ManualClock, settle } from '@sluice/driver/testing'
import { describe, expect, it } from 'vitest'
import { Pull } from '../src/pull.ts'
import { FakeServer } from './fake-server.ts'

interface Asked {
  readonly clock: ManualClock
  readonly server: FakeServer
  readonly pull: Pull
  readonly got: number[]
}

function ask(records = 3): Asked {
  const clock = new ManualClock()
  const server = new FakeServer()
  const got: number[] = []
  const request = { records, bytes: 100, waitMs: 1_000 }
  const pull = new Pull(server.connection, clock, { stream: 'S', name: 'C' }, request, (_message, { streamSequence }) =>
    got.push(streamSequence),
  )
  return { clock, server, pull, got }
}

describe('a request', () => {
  it('ends with the last record asked for', async () => {
    const { server, pull, got } = ask()
    for (let size = 1; size <= 3; size++) server.deliver(size)
    expect([await pull.end, got, pull.left]).toEqual(['full', [1, 2, 3], 0])
  })

  it('ends with the last byte asked for, of which the server says nothing', async () => {
    const { server, pull, got } = ask()
    server.deliver(60)
    server.deliver(40)
    expect([await pull.end, got]).toEqual(['full', [1, 2]])
  })

  it('that has brought something is full, and the next record need not be too large for another', async () => {
    const { server, pull } = ask()
    server.deliver(60)
    server.tell(409, 'Message Size Exceeds MaxBytes')
    expect(await pull.end).toBe('full')
  })

  it('that has brought nothing for want of bytes tells that the next record is too large', async () => {
    const { server, pull } = ask()
    server.tell(409, 'Message Size Exceeds MaxBytes')
    expect(await pull.end).toBe('too-large')
  })

  it('whose end is told before its last records came waits for them, as several copies of a consumer make it', async () => {
    for (const [code, description, pending, end] of [
      [409, 'Batch Completed', 0, 'full'],
      [408, 'Request Timeout', 1, 'none-left'],
      [409, 'Message Size Exceeds MaxBytes', 1, 'full'],
    ] as const) {
      const { server, pull, got } = ask()
      const ended: string[] = []
      void pull.end.then((how) => ended.push(how))
      if (pending === 0) server.deliver(10)
      server.tell(code, description, pending)
      server.deliver(10)
      await settle()
      expect([ended, pull.left]).toEqual([[], 1])
      server.deliver(10)
      await settle()
      expect([ended, got.length, pull.left]).toEqual([[end], 3 - pending, 0])
    }
  })

  it('whose end is told when all that it handed out has come is over', async () => {
    const { server, pull, got } = ask()
    server.deliver(10)
    server.tell(408, 'Request Timeout', 2)
    expect([await pull.end, got]).toEqual(['none-left', [1]])
  })

  it('whose last records do not come is given up', async () => {
    const { clock, server, pull } = ask()
    server.deliver(10)
    server.tell(409, 'Batch Completed', 0)
    await clock.advance(3_000)
    expect(await pull.end).toBe('broken')
  })

  it('goes on after a sign of life', async () => {
    const { server, pull, got } = ask(1)
    server.tell(100, 'Idle Heartbeat')
    server.deliver()
    expect([await pull.end, got]).toEqual(['full', [1]])
  })
})
