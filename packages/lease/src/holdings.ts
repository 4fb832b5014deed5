import { StreamError, textOf } from '@sluice/driver'
import type { Clock, Lease, Logger, PartitionId, Position } from '@sluice/driver'
import { within } from './within.ts'
import type { LeaseEvents, Settings } from './options.ts'
import { isLasting } from './store-access.ts'
import type { StoreAccess } from './store-access.ts'
import { Tenure } from './tenure.ts'

/** What {@link Holdings} needs. */
export interface HoldingsContext {
  readonly store: StoreAccess
  readonly clock: Clock
  readonly logger: Logger
  readonly events: LeaseEvents
  readonly settings: Settings
  readonly isDead: (member: string) => boolean
  /** Aborts when the coordinator closes. */
  readonly stopped: AbortSignal
  /** A partition was ended: its children may start. */
  readonly onEnded: () => void
}

/** Write attempts that meet another version before the write is given up until the next renewal. */
const maxAttempts = 3

/** The partitions this member holds: begins tenures, renews them, writes their checkpoints and ends them. */
export class Holdings {
  readonly #context: HoldingsContext
  readonly #held = new Map<PartitionId, Tenure>()
  /** Partitions ended here and under which epoch, so that an `ended` checkpoint whose answer was lost can be repeated. */
  readonly #ended = new Map<PartitionId, number>()

  constructor(context: HoldingsContext) {
    this.#context = context
  }

  /** Starts the tenure of a lease that was stored as ours by a write sent at `sentMs`, unless that is too long ago. */
  begin(lease: Lease, sentMs: number): void {
    const { clock, settings } = this.#context
    if (clock.monotonic() - sentMs >= settings.failoverMs) return
    const tenure = new Tenure(lease, sentMs)
    this.#held.set(lease.partition, tenure)
    this.#watch(tenure)
    tenure.announced = this.#announce(tenure)
  }

  isHeld(partition: PartitionId): boolean {
    const tenure = this.#held.get(partition)
    return tenure !== undefined && this.#isHeld(tenure)
  }

  /** Held leases as last known to be stored. */
  leases(): readonly Lease[] {
    return [...this.#held.values()].filter((tenure) => this.#isHeld(tenure)).map((tenure) => tenure.lease)
  }

  /** Writes every held lease that was not written lately. Never rejects. */
  async renewAll(): Promise<void> {
    await Promise.all([...this.#held.values()].map((tenure) => this.#renew(tenure)))
  }

  /** Looks closer at held leases which a list shows as asked for, ended, or not ours. The write decides, not the list. Never rejects. */
  async reconcile(leases: readonly Lease[]): Promise<void> {
    const listed = new Map(leases.map((lease) => [lease.partition, lease]))
    const changed = [...this.#held.values()].filter((tenure) => {
      const seen = listed.get(tenure.lease.partition)
      return !tenure.owns(seen) || seen.ended || (seen.handoffTo !== undefined && !tenure.handingOver)
    })
    await Promise.all(changed.map((tenure) => this.#renew(tenure, 0)))
  }

  /** See `LeaseCoordinator.checkpoint`. */
  async checkpoint(
    partition: PartitionId,
    epoch: number,
    position: Position | undefined,
    ended: boolean,
  ): Promise<void> {
    const isRepeated = (): boolean => ended && this.#ended.get(partition) === epoch
    if (isRepeated()) return
    const tenure = this.#held.get(partition)
    if (tenure?.epoch !== epoch) throw fenced(partition, epoch)
    await tenure.inTurn(async () => {
      if (isRepeated()) return
      if (!this.#isHeld(tenure)) throw fenced(partition, epoch)
      const stored = await this.#write(tenure, (lease) => ({
        ...lease,
        checkpoint: position ?? lease.checkpoint,
        ended: lease.ended || ended,
      }))
      if (StreamError.is(stored)) {
        this.#lose(tenure, stored)
        throw stored
      }
      this.#actOnLease(tenure)
    })
  }

  /** Gives every lease back: no owner, same epoch, same checkpoint. Calls no event. Never rejects. */
  async releaseAll(): Promise<void> {
    await Promise.all([...this.#held.values()].map((tenure) => this.#release(tenure)))
  }

  #isHeld(tenure: Tenure): boolean {
    if (this.#held.get(tenure.lease.partition) !== tenure) return false
    const { clock, settings } = this.#context
    if (clock.monotonic() - tenure.renewedMs < settings.failoverMs) return true
    const { partition } = tenure.lease
    const message = `the lease of ${partition} could not be renewed for ${settings.failoverMs} ms; check the lease store`
    this.#lose(tenure, new StreamError('unavailable', message, { details: { partition, epoch: tenure.epoch } }))
    return false
  }

  /** Wakes up when the tenure would lapse, which moves on with every renewal. Up to 1 ms late: `#isHeld` looks at the clock itself. */
  #watch(tenure: Tenure): void {
    const { clock, settings } = this.#context
    const leftMs = tenure.renewedMs + settings.failoverMs - clock.monotonic()
    tenure.lapse = clock.after(Math.max(1, Math.ceil(leftMs)), () => {
      if (this.#isHeld(tenure)) this.#watch(tenure)
    })
  }

  async #announce(tenure: Tenure): Promise<void> {
    const { events, logger } = this.#context
    const { partition } = tenure.lease
    logger.info({ partition, epoch: tenure.epoch }, 'acquired a partition')
    try {
      await events.acquired(tenure.lease)
    } catch (cause) {
      logger.error({ partition, error: cause }, 'cannot read an acquired partition; it is released')
      this.#lose(tenure, StreamError.from(cause, `cannot read partition ${partition}`))
      await this.#giveBack(tenure)
      if (StreamError.is(cause) && isLasting(cause) && !this.#context.stopped.aborted) events.failed(cause)
    }
  }

  async #renew(tenure: Tenure, youngerThanMs = this.#context.settings.renewEveryMs / 2): Promise<void> {
    const { clock, logger } = this.#context
    if (tenure.renewing || clock.monotonic() - tenure.renewedMs < youngerThanMs) return
    tenure.renewing = true
    try {
      await tenure.inTurn(() => this.#writeRenewal(tenure))
    } catch (cause) {
      if (!isLasting(cause))
        logger.warn({ partition: tenure.lease.partition, error: textOf(cause) }, 'cannot renew a lease; trying again')
    } finally {
      tenure.renewing = false
    }
  }

  async #writeRenewal(tenure: Tenure): Promise<void> {
    if (!this.#isHeld(tenure)) return
    const { isDead } = this.#context
    try {
      const stored = await this.#write(tenure, (lease) => ({
        ...lease,
        handoffTo: lease.handoffTo !== undefined && isDead(lease.handoffTo) ? undefined : lease.handoffTo,
      }))
      if (StreamError.is(stored)) this.#lose(tenure, stored)
    } finally {
      // Even when no write got through: what was read on the way may ask for a hand-over.
      this.#actOnLease(tenure)
    }
  }

  /**
   * Compare-and-swap until it is stored. A version we did not expect is no theft as long as owner and epoch are ours.
   * Resolves with a `fenced` error when the tenure is over; rejects when the store failed, and then the write may have happened.
   */
  async #write(tenure: Tenure, change: (lease: Lease) => Lease): Promise<Lease | StreamError> {
    const { store, clock } = this.#context
    for (let attempt = 1; attempt <= maxAttempts; attempt++) {
      const sentMs = clock.monotonic()
      const stored = await store.replace(change(tenure.lease))
      if (stored !== undefined) {
        tenure.confirm(stored, sentMs)
        return stored
      }
      const { leases, startedMs } = await store.list()
      const seen = leases.find((lease) => lease.partition === tenure.lease.partition)
      if (!tenure.owns(seen))
        return isMoved(tenure, seen) ? moved(tenure) : fenced(tenure.lease.partition, tenure.epoch)
      tenure.adopt(seen, startedMs)
    }
    throw new StreamError('unavailable', `the lease of ${tenure.lease.partition} keeps changing; try again`)
  }

  /** Acts on what the stored lease says by now. */
  #actOnLease(tenure: Tenure): void {
    if (!this.#isHeld(tenure)) return
    if (tenure.lease.ended) {
      this.#drop(tenure)
      this.#ended.set(tenure.lease.partition, tenure.epoch)
      this.#context.onEnded()
    } else if (tenure.lease.handoffTo !== undefined && !tenure.handingOver) {
      tenure.handingOver = true
      void this.#handOver(tenure)
    }
  }

  /** Lets the reader drain, then makes the asker the owner. Renewals go on meanwhile. Never rejects. */
  async #handOver(tenure: Tenure): Promise<void> {
    const { clock, settings, stopped, logger } = this.#context
    const { partition } = tenure.lease
    const drained = await within(clock, settings.handoffTimeoutMs, stopped, () => this.#drain(tenure))
    if (stopped.aborted) return
    await tenure.inTurn(async () => {
      if (!this.#isHeld(tenure)) return
      if (drained) this.#drop(tenure)
      else
        this.#lose(
          tenure,
          new StreamError('timeout', `partition ${partition} was not drained in ${settings.handoffTimeoutMs} ms`),
        )
      logger.info({ partition, to: tenure.lease.handoffTo }, 'handed a partition over')
      await this.#giveBack(tenure)
    })
  }

  async #drain(tenure: Tenure): Promise<void> {
    const { events, logger, settings } = this.#context
    const { partition } = tenure.lease
    try {
      await tenure.announced
      if (this.#isHeld(tenure)) await events.revoking([partition], settings.handoffTimeoutMs)
    } catch (cause) {
      logger.error({ partition, error: cause }, 'draining a partition failed; it is handed over all the same')
    }
  }

  async #release(tenure: Tenure): Promise<void> {
    await tenure.inTurn(async () => {
      if (this.#held.get(tenure.lease.partition) !== tenure) return
      this.#drop(tenure)
      await this.#giveBack(tenure, () => undefined)
    })
  }

  /** Stores that a dropped tenure is over, for `next` or for nobody. If that fails, others see it abandoned in time. Never rejects. */
  async #giveBack(
    tenure: Tenure,
    next: (lease: Lease) => string | undefined = (lease) => lease.handoffTo,
  ): Promise<void> {
    try {
      await this.#write(tenure, (lease) => {
        const owner = next(lease)
        return { ...lease, owner, epoch: lease.epoch + (owner === undefined ? 0 : 1), handoffTo: undefined }
      })
    } catch (cause) {
      this.#context.logger.warn({ partition: tenure.lease.partition, error: textOf(cause) }, 'cannot give a lease back')
    }
  }

  #lose(tenure: Tenure, reason: StreamError): void {
    const { partition } = tenure.lease
    if (this.#held.get(partition) !== tenure) return
    this.#drop(tenure)
    const { events, logger, stopped } = this.#context
    if (stopped.aborted) return
    const facts = { partition, epoch: tenure.epoch, reason: reason.message }
    if (reason.details['moved'] === true) logger.info(facts, 'a partition was moved')
    else logger.warn(facts, 'lost a partition')
    try {
      events.lost([partition], reason)
    } catch (cause) {
      logger.error({ partition, error: cause }, 'the handler of a lost partition failed')
    }
  }

  #drop(tenure: Tenure): void {
    this.#held.delete(tenure.lease.partition)
    tenure.lapse?.cancel()
  }
}

function fenced(partition: PartitionId, epoch: number): StreamError {
  const message = `partition ${partition} is no longer held under epoch ${epoch}; drop what was read under it`
  return new StreamError('fenced', message, { details: { partition, epoch } })
}

/** Whether somebody gave it another place, and nobody: a seek. */
function isMoved({ lease }: Tenure, seen: Lease | undefined): boolean {
  return seen !== undefined && seen.owner === undefined && seen.checkpoint !== lease.checkpoint
}

function moved({ lease: { partition }, epoch }: Tenure): StreamError {
  const message = `partition ${partition} was moved by a seek; it is read from there under another epoch`
  return new StreamError('fenced', message, { details: { partition, epoch, moved: true } })
}
