import type { IncomingRecord, PartitionId, Position, TransactionRecord } from '@sluice/driver'
import type { Delivery, DeliveryOrigin } from './delivery.ts'
import { Watermark } from './watermark.ts'
import type { WatermarkNode } from './watermark.ts'

/** Records of one key that were read and given up, to be read again once the key flows. */
interface ParkedKey {
  /** Where its next record stands. */
  resumeAt: Position
  /** Whether the one at `resumeAt` is still to come, or only those after it. */
  inclusive: boolean
  /** Holds the watermark until all of them were handed out again. */
  readonly place: WatermarkNode
  /** Whether its records are being read again now. */
  replaying: boolean
}

/** What is ready to be stored in one transaction. */
export interface SettledRun {
  readonly deliveries: readonly Delivery[]
  readonly outputs: readonly TransactionRecord[]
  readonly through: Position
}

/**
 * One partition in our hands: how far it is read and settled, and which keys are parked. A parked key's records are
 * passed over while reading goes on; they are read again, and only they are taken, once the key flows. The place of the
 * first of them holds the watermark meanwhile, so nothing is ever passed.
 */
export class LogPartition implements DeliveryOrigin {
  readonly id: PartitionId
  readonly epoch: number
  readonly watermark: Watermark = new Watermark()
  readonly #compare: (a: Position, b: Position) => number
  readonly #parked = new Map<string, ParkedKey>()
  readonly #inOrder: Delivery[] = []
  #highest: Position | undefined
  #replayFrom: Position | undefined
  #replaying = false
  /** A replay ended in the read that is taken in now: what the read brought beyond it counts against `maxUncommitted`. */
  #replayed = false
  /** Where reading must go on because records beyond a replay had no room. */
  #turnedAway: Position | undefined
  /** The record that was turned away, from when reading goes back for it until it comes. */
  #awaited: Position | undefined
  /** A record came that the next member has to handle. */
  #leftToNext = false
  /** Where a replay is: the record at this position was read already, or is the next. */
  #cursor: { readonly at: Position; readonly read: boolean } | undefined
  owned = true
  revoking = false
  heldBack = false
  committed: Position | undefined
  /** How many of its records are covered by a commit. */
  committedRecords = 0
  endCommitted = false
  #ended = false

  constructor(id: PartitionId, epoch: number, compare: (a: Position, b: Position) => number) {
    this.id = id
    this.epoch = epoch
    this.#compare = compare
  }

  /** Nothing more will come, and nothing that came was left out. */
  get ended(): boolean {
    const toComeAgain = this.#turnedAway ?? this.#replayFrom ?? this.#awaited
    return this.#ended && !this.#leftToNext && toComeAgain === undefined && this.#parked.size === 0
  }

  /** Everything that was ever in it is settled, and there will be no more. */
  get complete(): boolean {
    return this.ended && this.watermark.size === 0 && this.#inOrder.length === 0
  }

  /** Everything in it was handed out: of what reading went back for, too. */
  end(): void {
    this.#ended = true
    if (this.#turnedAway === undefined && this.#replayFrom === undefined) this.#awaited = undefined
  }

  /** A record came while the partition is handed over: its successor handles it. */
  leaveToNext(): void {
    this.#leftToNext = true
  }

  /** Records read and not covered by a commit: what a crash would repeat. */
  get uncommitted(): number {
    return this.watermark.added - this.committedRecords
  }

  /** Records that were given up are read again, up to where reading had been. */
  get replaying(): boolean {
    return this.#replaying
  }

  /** Where reading must go back to before it goes on; asking takes the request. Called before each read. */
  takeRewind(): Position | undefined {
    const turnedAway = this.#turnedAway
    this.#turnedAway = undefined
    this.#awaited = turnedAway ?? this.#awaited
    this.#replayed = false
    const from = this.#replayFrom
    if (from === undefined) return turnedAway
    this.#replayFrom = undefined
    this.#cursor = { at: from, read: false }
    return from
  }

  /**
   * Decides over a record just read: its place in the watermark, or `undefined` when it is not to be taken. What a replay
   * brings beyond where reading had been is taken only while fewer than `maxUncommitted` are uncommitted: each replay
   * would pass that bound by a read, else.
   */
  admit(record: IncomingRecord, maxUncommitted: number): WatermarkNode | undefined {
    const position = record.position as Position
    if (this.#replaying && this.#highest !== undefined) {
      const order = this.#compare(position, this.#highest)
      this.#cursor = { at: position, read: true }
      const again = order <= 0 ? this.#admitAgain(record, position) : undefined
      if (order >= 0) this.#endReplay()
      if (order <= 0) return again
    }
    if (this.#turnedAway !== undefined) return undefined
    if (this.#awaited !== undefined && this.#compare(position, this.#awaited) >= 0) this.#awaited = undefined
    if (this.#replayed && this.uncommitted >= maxUncommitted) {
      this.#turnedAway = position
      return undefined
    }
    this.#highest = position
    if (record.key !== undefined && this.#parked.has(record.key)) {
      this.watermark.pass(position)
      return undefined
    }
    return this.watermark.add(position)
  }

  /** Gives up queued deliveries of one key, all from this partition and in order. */
  park(key: string, deliveries: readonly Delivery[]): void {
    const [first, ...rest] = deliveries
    if (first?.node === undefined) return
    const parked = this.#parked.get(key)
    const resumeAt = first.record.position as Position
    if (parked === undefined) {
      this.#parked.set(key, { resumeAt, inclusive: true, place: first.node, replaying: false })
    } else {
      parked.resumeAt = resumeAt
      parked.inclusive = true
      parked.replaying = false
      this.watermark.settle(first.node)
    }
    for (const delivery of rest) if (delivery.node !== undefined) this.watermark.settle(delivery.node)
  }

  /** The key flows again: its records are wanted. */
  unpark(key: string): void {
    const parked = this.#parked.get(key)
    if (parked === undefined) return
    parked.replaying = true
    if (this.#replaying && this.#replayFrom === undefined && this.#isAhead(parked.resumeAt)) return
    this.#replaying = true
    if (this.#replayFrom === undefined || this.#compare(parked.resumeAt, this.#replayFrom) < 0) {
      this.#replayFrom = parked.resumeAt
    }
  }

  /** With transactions, deliveries are kept in order until those before them are settled too. */
  keepInOrder(delivery: Delivery): void {
    this.#inOrder.push(delivery)
  }

  replace(delivery: Delivery, next: Delivery): void {
    const index = this.#inOrder.indexOf(delivery)
    if (index >= 0) this.#inOrder[index] = next
  }

  /** Deliveries kept in order and not stored yet. */
  get unwritten(): number {
    return this.#inOrder.length
  }

  /** The settled run at the head, of at most `maxDeliveries`, and within the other bounds unless its first delivery alone has more. */
  takeSettledRun(maxOutputs: number, maxBytes: number, maxDeliveries: number): SettledRun | undefined {
    const deliveries: Delivery[] = []
    const outputs: TransactionRecord[] = []
    let bytes = 0
    for (const delivery of this.#inOrder) {
      const own = delivery.outputs ?? []
      if (!delivery.settled || deliveries.length >= maxDeliveries) break
      if (deliveries.length > 0 && outputs.length + own.length > maxOutputs) break
      if (deliveries.length > 0 && bytes + delivery.outputBytes > maxBytes) break
      bytes += delivery.outputBytes
      deliveries.push(delivery)
      // One by one: a message can have more outputs than a call can have arguments.
      for (const output of own) outputs.push(output)
    }
    const through = deliveries.at(-1)?.record.position
    return through === undefined ? undefined : { deliveries, outputs, through }
  }

  /** Settled deliveries that wait for those before them to be stored. */
  get waitingToBeStored(): readonly Delivery[] {
    return this.#inOrder.filter((delivery) => delivery.settled)
  }

  /** The run was stored. Gives what of it was still kept: nothing once {@link dropUnwritten} was called. */
  dropSettledRun(run: SettledRun): readonly Delivery[] {
    return this.#inOrder.splice(0, run.deliveries.length)
  }

  /** The partition is no longer ours: nothing more will be stored. Gives the settled deliveries that still take up room. */
  dropUnwritten(): readonly Delivery[] {
    return this.#inOrder.splice(0).filter((delivery) => delivery.settled)
  }

  /** Whether the replay that runs has still to come by that position. */
  #isAhead(position: Position): boolean {
    if (this.#cursor === undefined) return false
    const order = this.#compare(position, this.#cursor.at)
    return this.#cursor.read ? order > 0 : order >= 0
  }

  #admitAgain(record: IncomingRecord, position: Position): WatermarkNode | undefined {
    const parked = record.key === undefined ? undefined : this.#parked.get(record.key)
    if (parked === undefined || !parked.replaying) return undefined
    const order = this.#compare(position, parked.resumeAt)
    if (order < 0 || (order === 0 && !parked.inclusive)) return undefined
    parked.resumeAt = position
    parked.inclusive = false
    return this.watermark.addBefore(parked.place)
  }

  /** The cursor is back where it was: keys whose records were all handed out again are no longer parked. */
  #endReplay(): void {
    this.#replaying = false
    this.#replayed = true
    for (const [key, parked] of this.#parked) {
      if (!parked.replaying) continue
      this.#parked.delete(key)
      this.watermark.settle(parked.place)
    }
  }
}
