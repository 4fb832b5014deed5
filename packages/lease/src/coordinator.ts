import { silentLogger, StreamError, textOf } from '@sluice/driver'
import type { Lease, Logger, PartitionId, Position, Timer } from '@sluice/driver'
import { Coalescer } from './coalescer.ts'
import { createMissingLeases } from './discovery.ts'
import { Holdings } from './holdings.ts'
import { toSettings } from './options.ts'
import type { LeaseCoordinatorOptions, Settings } from './options.ts'
import { planScan } from './plan.ts'
import { scopedLogger } from './scoped-logger.ts'
import { Sightings } from './sightings.ts'
import { isLasting, StoreAccess } from './store-access.ts'

/** Tries to ask for leases within one scan. */
const askAttempts = 5

/**
 * Shares the partitions of one scope among its members through a `LeaseStore`, as the Kinesis Client Library does:
 * leases renewed by compare-and-swap and taken by count (KCL 2), handed over gracefully (KCL 3).
 *
 * At most one member's checkpoints of a partition are accepted at any time: each tenure has an `epoch` greater than every
 * earlier one. A holder gives up what it cannot renew before anybody else may take it. Store outages never reject out
 * of here, except from `checkpoint`; what cannot be done now is tried again, and what will not pass is told by `failed`.
 *
 * Costs when idle: one `list` per `scanEveryMs`, one `listPartitions` per `discoverEveryMs`, and for each held lease one
 * `replace` per third of `failoverMs`, unless a checkpoint wrote it meanwhile.
 */
export class LeaseCoordinator implements AsyncDisposable {
  readonly #options: LeaseCoordinatorOptions
  readonly #settings: Settings
  readonly #logger: Logger
  readonly #store: StoreAccess
  readonly #sightings: Sightings
  readonly #holdings: Holdings
  readonly #stop = new AbortController()
  readonly #scans = new Coalescer(() => this.#scanAndReschedule())
  #renewTimer: Timer | undefined
  #scanTimer: Timer | undefined
  #discoverAtMs = Number.NEGATIVE_INFINITY
  /** Abandoned leases that we do not take, and since when. */
  #left: ReadonlyMap<PartitionId, { readonly version: number; readonly sinceMs: number }> = new Map()
  /** Whether every partition had a lease once. */
  #discovered = false
  #started = false
  #asking = false
  #closing: Promise<void> | undefined

  constructor(options: LeaseCoordinatorOptions) {
    const { clock, events } = options
    this.#options = options
    this.#settings = toSettings(options)
    this.#logger = scopedLogger(options.logger ?? silentLogger, options.scope)
    this.#store = new StoreAccess(options.store, options.scope, clock, this.#settings.callTimeoutMs, (error) => {
      if (!this.#stop.signal.aborted) events.failed(error)
    })
    this.#sightings = new Sightings(this.#settings.failoverMs)
    this.#holdings = new Holdings({
      store: this.#store,
      clock,
      logger: this.#logger,
      events,
      settings: this.#settings,
      isDead: (member) => this.#isDead(member),
      stopped: this.#stop.signal,
      onEnded: () => void this.refresh(),
    })
  }

  /** Begins to take part; resolves after the first scan, whether the store answered or not. Rejects with `closed` after `close`. */
  async start(): Promise<void> {
    if (this.#stop.signal.aborted) throw new StreamError('closed', 'this lease coordinator was closed; make a new one')
    if (!this.#started) {
      this.#started = true
      this.#scheduleRenewals()
    }
    await this.#scans.run()
  }

  /** Scans now, new partitions included: after growth, a split, or a partition that ended. Resolves when done; never rejects. */
  async refresh(): Promise<void> {
    if (!this.#started || this.#stop.signal.aborted) return
    this.#discoverAtMs = Number.NEGATIVE_INFINITY
    await this.#scans.run()
  }

  /**
   * Stores progress of a held partition; resolves once the store has it. `position` is the last settled one (`undefined`
   * keeps the stored one); positions are opaque here, so it is the caller who never goes back. With `ended` the tenure
   * is over and the children may start, on any member. Checkpoints of one partition are stored in call order
   * and may be repeated.
   *
   * A backend that stores progress itself, in its own transaction and guarded by owner and epoch, never calls this; it
   * must change the lease's `version`, and calls `refresh` once it has stored `ended`. Do one or the other, not both.
   *
   * Rejects with `fenced` when the partition is not held under `epoch`; with a retryable error when the store does not
   * answer, and then the checkpoint may have been stored.
   */
  checkpoint(partition: PartitionId, epoch: number, position: Position | undefined, ended: boolean): Promise<void> {
    return this.#holdings.checkpoint(partition, epoch, position, ended)
  }

  /** The leases this member holds now, as last known to be stored. Accurate at the moment of the call, by the monotonic clock. */
  held(): readonly Lease[] {
    return this.#holdings.leases()
  }

  /**
   * Leaves at once: releases every lease (no owner, same epoch, checkpoint kept) without calling events, so drain first.
   * Waits for store calls under way, each for at most a third of `failoverMs`. Leases that could not be released are
   * taken by others once abandoned. Idempotent; leaves no timers.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    this.#stop.abort()
    this.#renewTimer?.cancel()
    this.#scanTimer?.cancel()
    await Promise.all([this.#holdings.releaseAll(), this.#scans.idle()])
    if (this.#asking) await this.#withdrawAsk()
  }

  #scheduleRenewals(): void {
    this.#renewTimer = this.#options.clock.after(this.#settings.renewEveryMs, () => {
      this.#scheduleRenewals()
      void this.#holdings.renewAll()
    })
  }

  async #scanAndReschedule(): Promise<void> {
    if (this.#stop.signal.aborted) return
    let delayMs = this.#settings.renewEveryMs
    try {
      const { hurry, abandonedInMs } = await this.#scan()
      const usualMs = this.#settings.scanEveryMs * (0.9 + 0.2 * this.#options.random())
      delayMs = hurry ? this.#settings.hurryMs : Math.min(usualMs, abandonedInMs)
    } catch (cause) {
      this.#tryAgain(cause, {}, 'cannot scan the leases')
    }
    this.#scanTimer?.cancel()
    if (this.#stop.signal.aborted) return
    this.#scanTimer = this.#options.clock.after(delayMs, () => void this.#scans.run())
  }

  /** What was done, and how soon a lease of a silent member is free to take. */
  async #scan(): Promise<{ readonly hurry: boolean; readonly abandonedInMs: number }> {
    const { clock, member, random } = this.#options
    const leases = await this.#discover((await this.#store.list()).leases)
    const nowMs = clock.monotonic()
    const seenBefore = this.#sightings.record(leases, nowMs)
    // Where new leases begin is told by those that there are, so nothing is read until all are there.
    if (!this.#discovered) return { hurry: true, abandonedInMs: Infinity }
    await this.#holdings.reconcile(leases)
    const plan = planScan({
      member,
      leases,
      isHeld: (partition) => this.#holdings.isHeld(partition),
      isAbandoned: (lease) => this.#sightings.isAbandoned(lease, nowMs) || this.#isDead(lease.owner),
      isDead: (other) => this.#isDead(other),
      isAtWork: (other) => this.#sightings.isAtWork(other),
      seenBefore,
      random,
    })
    this.#asking = plan.asked
    const [taken] = await Promise.all([
      Promise.all(plan.take.map((lease) => this.#take(lease))),
      this.#freeLeft(plan.left, nowMs),
      Promise.all(plan.passOn.map((lease) => this.#passOn(lease))),
      this.#ask(plan.ask),
    ])
    const ofOthers = leases.filter(({ ended, owner }) => !ended && owner !== undefined && owner !== member)
    // Whoever was first may have stored it as free.
    const hurry = plan.hurry || taken.includes(false)
    return { hurry, abandonedInMs: this.#sightings.abandonedInMs(ofOthers, clock.monotonic()) }
  }

  /** Creates the leases of new partitions when that is due; returns what the store has then. */
  async #discover(leases: readonly Lease[]): Promise<readonly Lease[]> {
    const { clock, scope } = this.#options
    if (clock.monotonic() < this.#discoverAtMs) return leases
    try {
      const dueMs = clock.monotonic() + this.#settings.discoverEveryMs
      const listed = await this.#store.call('list the partitions', (signal) =>
        this.#options.listPartitions(signal, leases),
      )
      this.#discoverAtMs = dueMs
      const created = await createMissingLeases(this.#store, scope, listed, leases)
      this.#discovered = true
      return created ? (await this.#store.list()).leases : leases
    } catch (cause) {
      this.#discoverAtMs = Number.NEGATIVE_INFINITY
      this.#tryAgain(cause, {}, 'cannot look for new partitions')
      return leases
    }
  }

  /** Every tenure begins here, with a write of our own that raises the epoch. Whether that was stored. */
  async #take(lease: Lease): Promise<boolean> {
    if (this.#stop.signal.aborted) return false
    const sentMs = this.#options.clock.monotonic()
    const stored = await this.#replace({
      ...lease,
      owner: this.#options.member,
      epoch: lease.epoch + 1,
      handoffTo: undefined,
    })
    if (stored === undefined) return false
    if (this.#stop.signal.aborted) await this.#replace({ ...stored, owner: undefined })
    else this.#holdings.begin(stored, sentMs)
    return true
  }

  /**
   * Stores as free what we have left to others for a while and nobody took: a member that joined after the owner's death cannot
   * tell for itself, for as long as `failoverMs`, that the lease is abandoned.
   */
  async #freeLeft(left: readonly Lease[], nowMs: number): Promise<void> {
    const before = this.#left
    this.#left = new Map(
      left.map(({ partition, version }) => {
        const known = before.get(partition)
        return [partition, known?.version === version ? known : { version, sinceMs: nowMs }]
      }),
    )
    const isDue = ({ partition }: Lease): boolean =>
      nowMs - (this.#left.get(partition)?.sinceMs ?? nowMs) >= this.#settings.hurryMs
    await Promise.all(left.filter(isDue).map((lease) => this.#free(lease)))
  }

  /** A new epoch, so that an owner which was only slow finds itself fenced whatever happens to the lease then. */
  async #free(lease: Lease): Promise<void> {
    await this.#replace({ ...lease, owner: undefined, epoch: lease.epoch + 1, handoffTo: undefined })
  }

  async #passOn(lease: Lease): Promise<void> {
    await this.#replace({ ...lease, owner: lease.handoffTo, epoch: lease.epoch + 1, handoffTo: undefined })
  }

  /** Tries again when a lease was only renewed meanwhile: a busy owner's may change all the time. Never rejects. */
  async #ask(wanted: readonly Lease[]): Promise<void> {
    if (wanted.length > 0) this.#asking = true
    let leases = wanted
    try {
      for (let attempt = 1; attempt <= askAttempts && leases.length > 0; attempt++) {
        if (this.#stop.signal.aborted) return
        const { member } = this.#options
        const asked = await Promise.all(leases.map((lease) => this.#store.replace({ ...lease, handoffTo: member })))
        const missed = leases.filter((_, index) => asked[index] === undefined)
        if (missed.length === 0) return
        const listed = new Map((await this.#store.list()).leases.map((lease) => [lease.partition, lease]))
        leases = missed.flatMap((lease) => {
          const seen = listed.get(lease.partition)
          return seen !== undefined && isSameTenure(seen, lease) && seen.handoffTo === undefined ? [seen] : []
        })
      }
    } catch (cause) {
      const partitions = leases.map((lease) => lease.partition)
      this.#tryAgain(cause, { partitions }, 'cannot ask for leases')
    }
  }

  /** Best effort, so that the owner does not drain for somebody who has left. */
  async #withdrawAsk(): Promise<void> {
    try {
      const { leases } = await this.#store.list()
      const asked = leases.filter((lease) => lease.handoffTo === this.#options.member)
      await Promise.all(asked.map((lease) => this.#replace({ ...lease, handoffTo: undefined })))
    } catch (cause) {
      this.#logger.warn({ error: textOf(cause) }, 'cannot withdraw a hand-over; it will run into nothing')
    }
  }

  /** One compare-and-swap; `undefined` when somebody was first or the store failed. The next scan sees what became of it. */
  async #replace(lease: Lease): Promise<Lease | undefined> {
    try {
      return await this.#store.replace(lease)
    } catch (cause) {
      this.#tryAgain(cause, { partition: lease.partition }, 'cannot write a lease')
      return undefined
    }
  }

  /** What lasts was told by `failed`. */
  #tryAgain(cause: unknown, facts: Readonly<Record<string, unknown>>, what: string): void {
    if (!isLasting(cause)) this.#logger.warn({ ...facts, error: textOf(cause) }, `${what}; trying again`)
  }

  #isDead(member: string | undefined): boolean {
    return member !== undefined && this.#options.isDead?.(member) === true
  }
}

function isSameTenure(lease: Lease, other: Lease): boolean {
  return (
    lease.partition === other.partition && lease.owner === other.owner && lease.epoch === other.epoch && !lease.ended
  )
}
