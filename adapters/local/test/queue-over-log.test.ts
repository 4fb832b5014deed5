import { expect, it } from 'vitest'
import { systemClock } from '@sluice/driver'
import type { Commit, IncomingRecord, LogSource, Position } from '@sluice/driver'
import { QueueOverLog } from '../src/profiles/queue-over-log.ts'
import { live } from './fixtures.ts'

const record: IncomingRecord = {
  id: 'a',
  partition: '0',
  position: '1' as Position,
  key: 'k',
  headers: {},
  body: new Uint8Array(),
  timeMs: 0,
  expiresAtMs: undefined,
  epoch: 1,
  native: undefined,
}

/** A log of one record, which notes what is committed. */
function oneRecord(committed: Commit[]): LogSource {
  const waiting = [record]
  return {
    shape: 'log',
    poll: () => Promise.resolve(waiting.splice(0)),
    commit(commits) {
      committed.push(...commits)
      return Promise.resolve(commits.map(() => ({ ok: true })))
    },
    pause: () => undefined,
    resume: () => undefined,
    rewind: () => undefined,
    close: () => Promise.resolve(),
  }
}

it('hands a partition over only once the commit of what was acknowledged is behind it', async () => {
  const kept = Promise.withResolvers<void>()
  const committed: Commit[] = []
  const acks = { read: () => Promise.resolve([]), write: () => kept.promise }
  const behaviour = { acks, clock: systemClock, leaseMs: 60_000, ordered: true, retryDelay: true }
  const queue = new QueueOverLog(behaviour, () => undefined)
  queue.attach(oneRecord(committed))
  queue.assigned('0', 1)
  const [delivery] = await queue.pull({ records: 1, bytes: 1_000 }, live)
  const settling = queue.settle([{ token: delivery?.token ?? '', verb: 'ack' }], live)
  let handedOver = false
  const revoking = queue.revoking(['0'], 60_000).then(() => (handedOver = true))
  await new Promise((resolve) => setImmediate(resolve))
  expect([handedOver, committed.length]).toEqual([false, 0])
  kept.resolve()
  await revoking
  expect(committed.map(({ through }) => through)).toEqual(['1'])
  expect(await settling).toEqual([{ ok: true }])
})

it('hands a partition over as soon as the last record that was out is given back', async () => {
  const acks = { read: () => Promise.resolve([]), write: () => Promise.resolve() }
  const behaviour = { acks, clock: systemClock, leaseMs: 60_000, ordered: true, retryDelay: true }
  const queue = new QueueOverLog(behaviour, () => undefined)
  queue.attach(oneRecord([]))
  queue.assigned('0', 1)
  const [delivery] = await queue.pull({ records: 1, bytes: 1_000 }, live)
  const revoking = queue.revoking(['0'], 60_000)
  await queue.release([delivery?.token ?? ''])
  await revoking
  expect(await queue.settle([{ token: delivery?.token ?? '', verb: 'ack' }], live)).toMatchObject([
    { ok: false, error: { code: 'fenced' } },
  ])
})
