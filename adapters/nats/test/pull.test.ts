import { ManualClock } from '@sluice/driver/testing'
import { describe, expect, it } from 'vitest'
import { Pull } from '../src/pull.ts'
import { FakeServer } from './fake-server.ts'

function ask(records = 3): { readonly server: FakeServer; readonly pull: Pull; readonly got: number[] } {
  const server = new FakeServer()
  const got: number[] = []
  const request = { records, bytes: 100, waitMs: 1_000 }
  const pull = new Pull(
    server.connection,
    new ManualClock(),
    { stream: 'S', name: 'C' },
    request,
    (_message, { streamSequence }) => got.push(streamSequence),
  )
  return { server, pull, got }
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

  it('goes on after a sign of life', async () => {
    const { server, pull, got } = ask(1)
    server.tell(100, 'Idle Heartbeat')
    server.deliver()
    expect([await pull.end, got]).toEqual(['full', [1]])
  })
})
