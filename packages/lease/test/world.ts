import { StreamError } from '@sluice/driver'
import type { Clock, Lease, LeaseStore, PartitionId, Position, Timer } from '@sluice/driver'
import { ManualClock, settle } from '@sluice/driver/testing'
import { LeaseCoordinator, MemoryLeaseStore } from '@sluice/lease'
import type { LeaseEvents, ListedPartition } from '@sluice/lease'

export const scope = 'orders/billing'
export const failoverMs = 1000

/** How a member's requests to the store go wrong, all of them or some. */
export type Fault = 'none' | 'fail' | 'hang' | 'lost-reply' | 'late' | 'slow' | 'mixed'
/** How a member's reader answers when it is asked to drain. */
export type Drain = 'at-once' | 'slowly' | 'never' | 'throws'

/** A seeded uniform generator (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** One member's view of time: a paused process sees no timer fire, and all that are due when it goes on. */
class ProcessClock implements Clock {
  readonly #clock: ManualClock
  readonly #waiting = new Set<Timer>()
  #due: (() => void)[] | undefined
  #resumed = Promise.withResolvers<void>()

  constructor(clock: ManualClock) {
    this.#clock = clock
  }

  get paused(): boolean {
    return this.#due !== undefined
  }

  get pending(): number {
    return this.#waiting.size
  }

  now(): number {
    return this.#clock.now()
  }

  monotonic(): number {
    return this.#clock.monotonic()
  }

  after(ms: number, fire: () => void): Timer {
    let cancelled = false
    const run = (): void => {
      if (!cancelled) fire()
    }
    const timer = this.#clock.after(ms, () => {
      this.#waiting.delete(timer)
      if (this.#due === undefined) run()
      else this.#due.push(run)
    })
    this.#waiting.add(timer)
    return {
      cancel: () => {
        cancelled = true
        this.#waiting.delete(timer)
        timer.cancel()
      },
    }
  }

  pause(): void {
    this.#due ??= []
  }

  /** Goes on; `first` runs before anything that was due meanwhile. */
  resume(first?: () => void): void {
    const due = this.#due ?? []
    this.#due = undefined
    first?.()
    this.#resumed.resolve()
    this.#resumed = Promise.withResolvers<void>()
    for (const run of due) run()
  }

  kill(): void {
    this.pause()
    for (const timer of this.#waiting) timer.cancel()
    this.#waiting.clear()
  }

  /** Waits as long as the process is paused. */
  async running(): Promise<void> {
    while (this.paused) await this.#resumed.promise
  }
}

interface Reading {
  readonly epoch: number
  cursor: number
}

/** One process: a coordinator, a reader that follows its events, and a faulty line to the store. */
export class Member {
  readonly name: string
  readonly clock: ProcessClock
  readonly coordinator: LeaseCoordinator
  /** Tenures the reader was told of and not told the end of. */
  readonly reading = new Map<PartitionId, Reading>()
  readonly log: string[] = []
  fault: Fault = 'none'
  drain: Drain = 'at-once'
  killed = false
  closed = false
  readonly #world: World
  readonly #random: () => number
  readonly #writesPastCoordinator: boolean

  constructor(world: World, name: string, seed: number) {
    this.#world = world
    this.#random = seeded(seed)
    this.#writesPastCoordinator = seed % 2 === 1
    this.name = name
    this.clock = new ProcessClock(world.clock)
    this.coordinator = new LeaseCoordinator({
      store: this.#faultyStore(),
      scope,
      member: name,
      clock: this.clock,
      random: this.#random,
      events: this.#events(),
      listPartitions: (signal) =>
        this.#request(signal, async () => world.partitions.map(({ id, parents }) => ({ id, parents }))),
      isDead: (owner) => world.revealsDeaths && world.members.some((member) => member.name === owner && member.killed),
      failoverMs,
      handoffTimeoutMs: 2 * failoverMs,
      discoverEveryMs: 5 * failoverMs,
    })
  }

  get alive(): boolean {
    return !this.killed && !this.closed
  }

  get awake(): boolean {
    return this.alive && !this.clock.paused
  }

  /** Settles `count` more records and stores that. Half of the members write past their coordinator, as a transaction would. */
  async checkpoint(partition: PartitionId, count: number, ended: boolean): Promise<void> {
    const reading = this.reading.get(partition)
    if (reading === undefined) return
    reading.cursor += count
    const position = String(reading.cursor) as Position
    if (this.#writesPastCoordinator) {
      await this.#world.commit(this.name, partition, reading.epoch, position, ended)
      if (ended && this.reading.get(partition) === reading) this.reading.delete(partition)
      if (ended) void this.coordinator.refresh()
      return
    }
    try {
      await this.coordinator.checkpoint(partition, reading.epoch, position, ended)
      if (ended && this.reading.get(partition) === reading) this.reading.delete(partition)
    } catch (error) {
      if (!StreamError.is(error)) throw error
    }
  }

  async close(): Promise<void> {
    this.closed = true
    await this.coordinator.close()
    this.reading.clear()
  }

  kill(): void {
    this.killed = true
    this.clock.kill()
  }

  #events(): LeaseEvents {
    return {
      acquired: (lease) => {
        this.log.push(`acquired ${lease.partition}@${lease.epoch}`)
        if (this.reading.has(lease.partition)) this.#world.violations.push(`${lease.partition} was acquired twice`)
        this.#world.checkParentsEnded(lease)
        this.reading.set(lease.partition, { epoch: lease.epoch, cursor: Number(lease.checkpoint ?? 0) })
      },
      revoking: async (partitions) => {
        for (const partition of partitions) await this.#drainPartition(partition)
      },
      lost: (partitions, reason) => {
        for (const partition of partitions) this.#endTenure(partition, `lost ${partition} ${reason?.code}`)
      },
      failed: (error) => void this.#world.violations.push(`failed: ${error.message}`),
    }
  }

  async #drainPartition(partition: PartitionId): Promise<void> {
    this.log.push(`revoking ${partition}`)
    const reading = this.reading.get(partition)
    if (this.drain === 'throws') {
      this.#endTenure(partition, `failed to drain ${partition}`)
      throw new Error('drain failed')
    }
    if (this.drain === 'never') return new Promise(() => undefined)
    if (this.drain === 'slowly')
      await new Promise<void>((resolve) => void this.#world.clock.after(failoverMs * 1.5, resolve))
    await this.clock.running()
    await this.checkpoint(partition, 1, false)
    if (this.reading.get(partition) === reading) this.#endTenure(partition, `drained ${partition}`)
  }

  #endTenure(partition: PartitionId, line: string): void {
    this.log.push(line)
    this.reading.delete(partition)
  }

  #faultyStore(): LeaseStore {
    const store = this.#world.store
    return {
      list: (of, signal) => this.#request(signal, () => store.list(of)),
      create: (lease, signal) => this.#request(signal, () => store.create(lease)),
      replace: (lease, signal) => this.#request(signal, () => this.#world.replace(lease)),
      remove: (lease, signal) => this.#request(signal, () => store.remove(lease)),
    }
  }

  async #request<T>(_signal: AbortSignal | undefined, apply: () => Promise<T>): Promise<T> {
    const result = await this.#faultyRequest(apply)
    await this.clock.running()
    return result
  }

  async #faultyRequest<T>(apply: () => Promise<T>): Promise<T> {
    const faults = ['none', 'none', 'none', 'fail', 'lost-reply', 'late', 'slow', 'hang'] as const
    const fault = this.fault === 'mixed' ? (faults[Math.floor(this.#random() * faults.length)] ?? 'none') : this.fault
    const wait = (ms: number): Promise<void> => new Promise((resolve) => void this.#world.clock.after(ms, resolve))
    switch (fault) {
      case 'fail':
        throw new Error('store is down')
      case 'hang':
        return new Promise(() => undefined)
      case 'lost-reply':
        await apply()
        throw new Error('connection reset')
      case 'late':
        await wait(failoverMs * 2 * this.#random())
        return apply()
      case 'slow': {
        await wait(failoverMs * 0.1 * this.#random())
        const result = await apply()
        await wait(failoverMs * 0.15 * this.#random())
        return result
      }
      default:
        return apply()
    }
  }
}

/** The backend, the store and everybody in it; checks at every write what must always hold. */
export class World {
  readonly clock = new ManualClock()
  readonly store = new MemoryLeaseStore()
  readonly members: Member[] = []
  readonly partitions: (ListedPartition & { closed: boolean })[] = []
  /** Whether members are told who was killed. */
  revealsDeaths = false
  readonly #owners = new Map<string, string>()
  readonly #highestEpochs = new Map<PartitionId, number>()
  readonly #stored = new Map<PartitionId, Lease>()
  /** What went wrong so far. Kept apart, since an error thrown inside a request looks like an outage to the member. */
  readonly violations: string[] = []
  #created = 0

  constructor(partitions: number) {
    this.grow(partitions)
  }

  async join(seed: number): Promise<Member> {
    const member = new Member(this, `m${this.members.length}`, seed)
    this.members.push(member)
    void member.coordinator.start()
    await settle()
    return member
  }

  grow(count: number, parents: readonly PartitionId[] = []): void {
    for (let index = 0; index < count; index++)
      this.partitions.push({ id: `p${this.#created++}`, parents, closed: false })
  }

  /** Closes one or two partitions and opens their children. */
  reshard(parents: readonly PartitionId[], children: number): void {
    for (const partition of this.partitions) if (parents.includes(partition.id)) partition.closed = true
    this.grow(children, parents)
  }

  /** Moves time on in small steps, checking at each. */
  async advance(ms: number): Promise<void> {
    const stepMs = failoverMs / 10
    for (let leftMs = ms; leftMs > 0; leftMs -= stepMs) {
      await this.clock.advance(Math.min(stepMs, leftMs))
      this.checkBeliefs()
    }
  }

  /** A write past the coordinator, as a backend makes it in its own transaction: guarded by owner and epoch. */
  async commit(
    owner: string,
    partition: PartitionId,
    epoch: number,
    position: Position,
    ended: boolean,
  ): Promise<void> {
    for (;;) {
      const stored = (await this.store.list(scope)).find((lease) => lease.partition === partition)
      if (stored?.owner !== owner || stored.epoch !== epoch) return
      const written = await this.replace({ ...stored, checkpoint: position, ended: stored.ended || ended })
      if (written !== undefined) return
    }
  }

  async replace(lease: Lease): Promise<Lease | undefined> {
    const stored = await this.store.replace(lease)
    if (stored !== undefined) {
      this.#checkWrite(this.#stored.get(lease.partition), stored)
      this.#stored.set(lease.partition, stored)
    }
    return stored
  }

  /** No two members that could act on it believe that they hold one partition. */
  checkBeliefs(): void {
    const holders = new Map<PartitionId, string>()
    for (const member of this.members.filter(({ awake }) => awake)) {
      for (const { partition } of member.coordinator.held()) {
        const other = holders.get(partition)
        if (other !== undefined) this.violations.push(`${other} and ${member.name} both hold ${partition}`)
        holders.set(partition, member.name)
      }
    }
  }

  checkParentsEnded(lease: Lease): void {
    const early = lease.parents.filter((parent) => this.#stored.get(parent)?.ended !== true)
    if (early.length > 0)
      this.violations.push(`${lease.partition} was started before its parents ${early.join()} ended`)
  }

  #checkWrite(before: Lease | undefined, stored: Lease): void {
    const { partition, epoch, owner } = stored
    const highest = this.#highestEpochs.get(partition) ?? 0
    if (epoch < highest) this.violations.push(`the epoch of ${partition} went back from ${highest} to ${epoch}`)
    this.#highestEpochs.set(partition, epoch)
    if (owner !== undefined) {
      const first = this.#owners.get(`${partition}@${epoch}`) ?? owner
      if (first !== owner) this.violations.push(`epoch ${epoch} of ${partition} belongs to ${first} and to ${owner}`)
      this.#owners.set(`${partition}@${epoch}`, first)
    }
    if (Number(stored.checkpoint ?? 0) < Number(before?.checkpoint ?? 0)) {
      this.violations.push(
        `the checkpoint of ${partition} went back from ${before?.checkpoint} to ${stored.checkpoint}`,
      )
    }
    if (before?.ended === true && !stored.ended) this.violations.push(`${partition} is not ended any more`)
  }
}
