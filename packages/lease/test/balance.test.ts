import { ManualClock } from '@sluice/driver/testing'
import { LeaseCoordinator, MemoryLeaseStore } from '@sluice/lease'
import { expect, it } from 'vitest'

const failoverMs = 10_000

/** Members of one group that share many partitions, on a clock of their own. */
class Crowd {
  readonly #clock = new ManualClock()
  readonly #store = new MemoryLeaseStore()
  readonly #partitions = Array.from({ length: 1_000 }, (_, index) => ({ id: String(index), parents: [] }))
  readonly members: LeaseCoordinator[] = []
  #seed = 1

  async join(): Promise<void> {
    const coordinator = new LeaseCoordinator({
      store: this.#store,
      scope: 'wide/many',
      member: `m${this.members.length}`,
      clock: this.#clock,
      random: () => (this.#seed = (this.#seed * 48_271) % 2_147_483_647) / 2_147_483_647,
      failoverMs,
      listPartitions: () => Promise.resolve(this.#partitions),
      events: { acquired: () => undefined, revoking: () => Promise.resolve(), lost: () => undefined },
    })
    this.members.push(coordinator)
    await coordinator.start()
  }

  /** Virtual milliseconds until every partition is held and shares are at most one apart. */
  async balanced(among: readonly LeaseCoordinator[]): Promise<number> {
    const started = this.#clock.monotonic()
    while (this.#clock.monotonic() - started < 10 * failoverMs) {
      const shares = among.map((member) => member.held().length)
      const all = shares.reduce((sum, share) => sum + share, 0)
      if (all === this.#partitions.length && Math.max(...shares) - Math.min(...shares) <= 1) break
      await this.#clock.advance(failoverMs / 10)
    }
    return this.#clock.monotonic() - started
  }
}

it('balances 1 000 partitions among 10 members in a few scans, after joins and after leaves', async () => {
  const crowd = new Crowd()
  await crowd.join()
  expect(await crowd.balanced(crowd.members)).toBeLessThanOrEqual(failoverMs)
  for (let count = 1; count < 10; count++) await crowd.join()
  expect(await crowd.balanced(crowd.members)).toBeLessThanOrEqual(3 * failoverMs)
  const [stay, leave] = [crowd.members.slice(0, 8), crowd.members.slice(8)]
  await Promise.all(leave.map((member) => member.close()))
  expect(await crowd.balanced(stay)).toBeLessThanOrEqual(2 * failoverMs)
  await Promise.all(stay.map((member) => member.close()))
})
