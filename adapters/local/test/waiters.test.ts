import { expect, it } from 'vitest'
import { eventually } from '@sluice/driver/testing'
import { StoreClock } from '../src/store/clock.ts'
import { Queue } from '../src/store/queue.ts'
import { openStore } from '../src/store/schema.ts'
import { Topics } from '../src/store/topics.ts'
import { Waiters } from '../src/store/waiters.ts'
import { temporaryFolder } from './fixtures.ts'

it('tries a read again that another process has written past between its finding nothing and its wait', async () => {
  const options = { folder: temporaryFolder(), durability: 'full', busyMs: 1000, maxPages: undefined } as const
  const [own, other] = [openStore(options), openStore(options)]
  const machine = { wall: () => 0, monotonic: () => performance.now() }
  const woken: number[] = []
  const waiters = new Waiters(own, machine, new Queue(own, new Topics(own), new StoreClock(own, machine)), (calls) =>
    woken.push(...calls.map((call) => call.id)),
  )
  other.exec('CREATE TABLE written_meanwhile (x)')
  waiters.add({ kind: 'call', id: 7, call: 'read', request: { cursors: [], records: 1, bytes: 1, waitMs: 60_000 } })
  await eventually(() => expect(woken).toEqual([7]))
  waiters.close()
  for (const each of [own, other]) each.close()
})
