import { headers } from '@nats-io/transport-node'
import type { Msg, MsgCallback } from '@nats-io/transport-node'
import { systemClock } from '@sluice/driver'
import { describe, expect, it } from 'vitest'
import type { Connection } from '../src/connection.ts'
import { Pull } from '../src/pull.ts'
import type { PullRequest } from '../src/pull.ts'

const delivery = '$JS.ACK.S.C.1.1.1.1700000000123456789.5'

/** A request, what it was given, and the server that answers it. */
function ask(request: Partial<PullRequest>): {
  pull: Pull
  got: Msg[]
  deliver(size: number): void
  tell(code: number, text: string): void
} {
  let answer: MsgCallback<Msg> = () => undefined
  const client = {
    subscribe: (_subject: string, options: { callback: MsgCallback<Msg> }) => {
      answer = options.callback
      return { unsubscribe: () => undefined }
    },
    publish: () => undefined,
  }
  const connection = { client, newInbox: () => 'inbox', listen: () => () => undefined, apiPrefix: '$JS.API' }
  const got: Msg[] = []
  const pull = new Pull(
    connection as unknown as Connection,
    systemClock,
    { stream: 'S', name: 'C' },
    { records: 3, bytes: 100, waitMs: 1_000, ...request },
    (message) => got.push(message),
  )
  return {
    pull,
    got,
    deliver: (size) => void answer(null, { reply: delivery, size: () => size } as unknown as Msg),
    tell: (code, text) => void answer(null, { reply: '', headers: headers(code, text) } as unknown as Msg),
  }
}

describe('a request', () => {
  it('ends with the last record asked for', async () => {
    const { pull, got, deliver } = ask({})
    for (let size = 1; size <= 3; size++) deliver(size)
    expect([await pull.end, got.length, pull.left]).toEqual(['full', 3, 0])
  })

  it('ends with the last byte asked for, of which the server says nothing', async () => {
    const { pull, got, deliver } = ask({})
    deliver(60)
    deliver(40)
    expect([await pull.end, got.length]).toEqual(['full', 2])
  })

  it('that has brought something is full, and the next record need not be too large for another', async () => {
    const { pull, deliver, tell } = ask({})
    deliver(60)
    tell(409, 'Message Size Exceeds MaxBytes')
    expect(await pull.end).toBe('full')
  })

  it('that has brought nothing for want of bytes tells that the next record is too large', async () => {
    const { pull, tell } = ask({})
    tell(409, 'Message Size Exceeds MaxBytes')
    expect(await pull.end).toBe('too-large')
  })

  it('goes on after a sign of life', async () => {
    const { pull, got, deliver, tell } = ask({ records: 1 })
    tell(100, 'Idle Heartbeat')
    deliver(1)
    expect([await pull.end, got.length]).toEqual(['full', 1])
  })
})
