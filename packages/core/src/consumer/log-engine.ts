import { StreamError } from '@sluice/driver'
import type { Credit, DriverTopic, IncomingRecord, LogSource, PartitionEvents, PartitionId } from '@sluice/driver'
import { Delivery } from './delivery.ts'
import type { DispatchLane } from './dispatcher.ts'
import { within } from '../within.ts'
import { creditOf } from './engine.ts'
import type { Engine, EngineDeps } from './engine.ts'
import { Handover } from './handover.ts'
import { Intake } from './intake.ts'
import { LogPartition } from './log-partition.ts'
import { ProgressWriter } from './progress-writer.ts'

/** The watermark engine: reads a partitioned log, and commits what is settled without a gap. */
export class LogEngine implements Engine {
  readonly #deps: EngineDeps
  readonly #topic: DriverTopic
  readonly #transactional: boolean
  readonly #partitions = new Map<PartitionId, LogPartition>()
  readonly #intake: Intake
  readonly #handover: Handover
  #source: LogSource | undefined
  #progress: ProgressWriter | undefined
  #reading = false
  /** Partitions that ended during a read: as they were then, since one may be assigned anew by its end. */
  #endedMeanwhile: LogPartition[] = []
  #parkTimer: { cancel(): void } | undefined
  parked = 0

  constructor(deps: EngineDeps, topic: DriverTopic, transactional: boolean) {
    this.#deps = deps
    this.#topic = topic
    this.#transactional = transactional
    this.#handover = new Handover(deps)
    this.#intake = new Intake({
      ...deps,
      credit: () => creditOf(deps.dispatcher, deps.settings),
      read: (credit, signal) => this.#read(credit, signal),
    })
  }

  get partitions(): readonly PartitionId[] {
    return [...this.#partitions.keys()]
  }

  /** Given to the driver's `subscribe`, before there is a source. */
  readonly events: PartitionEvents = {
    assigned: (partition, epoch) => {
      this.#giveUp(
        this.#partitions.get(partition),
        new StreamError('fenced', `partition ${partition} was assigned anew`),
      )
      this.#partitions.set(partition, new LogPartition(partition, epoch, (a, b) => this.#topic.comparePositions(a, b)))
    },
    revoking: (partitions, deadlineMs) => this.#revoke(partitions, deadlineMs),
    lost: (partitions, reason) => {
      for (const id of partitions) {
        this.#giveUp(
          this.#partitions.get(id),
          reason ?? new StreamError('fenced', `partition ${id} of topic "${this.#topic.name}" was taken over`),
        )
      }
    },
    ended: (id) => {
      const partition = this.#partitions.get(id)
      if (partition === undefined) return
      // Its last records may still be on their way through a read that has not returned.
      if (this.#reading) this.#endedMeanwhile.push(partition)
      else this.#markEnded(partition)
    },
    failed: (error) => this.#deps.onFailed(error),
  }

  attach(source: LogSource): void {
    this.#source = source
    this.#progress = new ProgressWriter({
      ...this.#deps,
      source,
      transactional: this.#transactional,
      onFenced: (partition, error) => this.#giveUp(partition, error),
      onCommitted: (partition) => this.#relieve(partition),
      onEndCommitted: (partition) => this.#forget(partition),
      onRefused: this.#deps.onRefused,
      onStored: (deliveries) => {
        for (const delivery of deliveries) this.#deps.dispatcher.release(delivery)
        this.#deps.onChange()
      },
    })
  }

  start(): void {
    this.#intake.start()
  }

  setPaused(paused: boolean): void {
    this.#intake.setPaused(paused)
  }

  wake(): void {
    this.#intake.wake()
  }

  settled(delivery: Delivery): void {
    const partition = delivery.origin as LogPartition
    delivery.state = 'done'
    if (!partition.owned) {
      this.#deps.dispatcher.release(delivery)
      return
    }
    delivery.settled = true
    if (this.#transactional) this.#deps.dispatcher.keepOutputs(delivery)
    else this.#deps.dispatcher.release(delivery)
    if (delivery.node !== undefined) partition.watermark.settle(delivery.node)
    this.#progress?.touch(partition)
    this.#handover.noteSettled()
  }

  /** What fails while its partition is handed over is not tried again here: its successor gets it. */
  giveBack(delivery: Delivery): boolean {
    const partition = delivery.origin as LogPartition
    if (!partition.revoking) return false
    delivery.state = 'done'
    this.#deps.dispatcher.release(delivery)
    // Later ones of its key that went back with it from a batch must not be handled before it.
    this.#dropUnbegun((other) => other.origin === partition)
    this.#handover.noteSettled()
    return true
  }

  starving(): void {
    if (this.#parkTimer !== undefined) return
    const { clock, dispatcher, settings } = this.#deps
    if (!this.#transactional && dispatcher.stuckLanes(0).length === 0) return
    this.#parkTimer = clock.after(
      settings.parkAfterMs,
      () => {
        this.#parkTimer = undefined
        if (dispatcher.runnable || creditOf(dispatcher, settings) !== undefined) return
        if (this.#transactional) this.#makeRoom()
        else for (const lane of dispatcher.stuckLanes(settings.parkAfterMs / 2)) this.#park(lane)
        this.#deps.onChange()
      },
      true,
    )
  }

  async stopIntake(): Promise<void> {
    this.#parkTimer?.cancel()
    await this.#intake.stop()
    this.#dropUnbegun(() => true)
  }

  async finish(timeoutMs: number): Promise<void> {
    this.#parkTimer?.cancel()
    await this.#progress?.stop(timeoutMs)
    for (const partition of this.#partitions.values()) partition.owned = false
    this.#partitions.clear()
    const { clock, logger } = this.#deps
    if (this.#source === undefined || (await within(clock, this.#source.close(), timeoutMs))) return
    logger.error({ topic: this.#topic.name }, 'the backend did not let go of the source in time; it is left behind')
  }

  /**
   * Outputs that wait behind one message fill the buffers: their partitions are held back, and what they keep no longer
   * counts, so that others go on. Each keeps no more than it had then until that message is through.
   */
  #makeRoom(): void {
    for (const partition of this.#partitions.values()) {
      const waiting = partition.waitingToBeStored
      if (waiting.length === 0) continue
      for (const delivery of waiting) this.#deps.dispatcher.release(delivery)
      if (partition.heldBack) continue
      partition.heldBack = true
      this.#source?.pause([partition.id])
    }
  }

  async #read(credit: Credit, signal: AbortSignal): Promise<void> {
    const source = this.#source as LogSource
    for (const partition of this.#partitions.values()) {
      const at = partition.takeRewind()
      if (at === undefined) continue
      source.rewind(partition.id, at)
      // What is read again is part of what is uncommitted, and must be read for a commit to get past it.
      if (partition.heldBack && partition.replaying) this.#letGo(partition)
    }
    const replaying = [...this.#partitions.values()].filter((partition) => partition.replaying)
    this.#reading = true
    try {
      const records = await source.poll(credit, signal)
      for (const record of records) this.#take(record)
      // The place of a parked key was what held the watermark: there is something to commit, though nothing is settled now.
      for (const partition of replaying) if (!partition.replaying) this.#progress?.touch(partition)
      this.#holdBackFarAhead()
    } finally {
      this.#reading = false
      for (const partition of this.#endedMeanwhile.splice(0)) this.#markEnded(partition)
    }
    this.#deps.onChange()
  }

  #take(record: IncomingRecord): void {
    const partition = this.#partitions.get(record.partition)
    if (partition === undefined || partition.epoch !== record.epoch) return
    if (partition.revoking) return partition.leaveToNext()
    const node = partition.admit(record, this.#deps.settings.maxUncommitted)
    if (node === undefined) return
    const delivery = new Delivery(record, this.#topic.name, partition, 1)
    delivery.node = node
    if (this.#transactional) partition.keepInOrder(delivery)
    this.#deps.dispatcher.add(delivery)
  }

  #holdBackFarAhead(): void {
    for (const partition of this.#partitions.values()) {
      if (partition.uncommitted < this.#deps.settings.maxUncommitted || partition.replaying) continue
      this.#progress?.touch(partition)
      if (partition.heldBack) continue
      partition.heldBack = true
      this.#source?.pause([partition.id])
    }
  }

  #relieve(partition: LogPartition): void {
    if (partition.heldBack && partition.uncommitted <= this.#deps.settings.maxUncommitted * 0.9) this.#letGo(partition)
  }

  #letGo(partition: LogPartition): void {
    partition.heldBack = false
    this.#source?.resume([partition.id])
  }

  #park(lane: DispatchLane): void {
    const byPartition = new Map<LogPartition, Delivery[]>()
    for (const delivery of lane.queue.drain()) {
      const partition = delivery.origin as LogPartition
      const others = byPartition.get(partition)
      if (others === undefined) byPartition.set(partition, [delivery])
      else others.push(delivery)
      delivery.state = 'done'
      this.#deps.dispatcher.release(delivery)
    }
    for (const [partition, deliveries] of byPartition) partition.park(lane.key, deliveries)
    const before = lane.onFree
    lane.onFree = () => {
      before?.()
      for (const partition of byPartition.keys()) if (partition.owned) partition.unpark(lane.key)
      this.#intake.wake()
    }
    this.parked++
    this.#deps.logger.info({ topic: this.#topic.name, key: lane.key }, 'a stuck key was parked so that other keys flow')
  }

  #markEnded(partition: LogPartition): void {
    if (!partition.owned) return
    partition.end()
    this.#progress?.touch(partition)
  }

  async #revoke(ids: readonly PartitionId[], deadlineMs: number): Promise<void> {
    const partitions = ids.map((id) => this.#partitions.get(id)).filter((partition) => partition !== undefined)
    for (const partition of partitions) partition.revoking = true
    const ours = new Set<unknown>(partitions)
    this.#dropUnbegun((delivery) => ours.has(delivery.origin))
    await this.#handover.running(ours, Math.min(deadlineMs, this.#deps.settings.revokeTimeoutMs))
    await this.#progress?.flush(partitions, deadlineMs)
    for (const partition of partitions) {
      this.#giveUp(
        partition,
        new StreamError('fenced', `partition ${partition.id} of topic "${this.#topic.name}" was handed over`),
      )
    }
  }

  #dropUnbegun(matches: (delivery: Delivery) => boolean): void {
    this.#deps.dropGathered(matches)
    for (const delivery of this.#deps.dispatcher.drop(matches)) this.#deps.onAbandoned(delivery)
  }

  /** The partition is no longer ours: what is queued goes, what runs is told. */
  #giveUp(partition: LogPartition | undefined, reason: StreamError): void {
    if (partition === undefined || !partition.owned) return
    this.#forget(partition)
    this.#dropUnbegun((delivery) => delivery.origin === partition)
    for (const delivery of partition.dropUnwritten()) this.#deps.dispatcher.release(delivery)
    for (const delivery of this.#deps.running()) if (delivery.origin === partition) delivery.abort(reason)
    this.#deps.onChange()
  }

  #forget(partition: LogPartition): void {
    partition.owned = false
    if (this.#partitions.get(partition.id) === partition) this.#partitions.delete(partition.id)
  }
}
