import { RenewedMap } from '@sluice/driver'
import type { Clock, Timer } from '@sluice/driver'
import { Fifo } from '../fifo.ts'
import type { Delivery } from './delivery.ts'

/** The deliveries of one key, in order: while one is out (in a handler, or held for a retry) the rest waits. */
export class DispatchLane {
  readonly key: string
  readonly queue: Fifo<Delivery> = new Fifo<Delivery>()
  /** Deliveries of the key that are out: in a handler, or held. */
  out = 0
  /** Monotonic time since when the present record is out or waits for its next attempt; 0: never yet. */
  busySinceMs = 0
  ready = false
  /** Called when the present delivery is through, while records of the key were given up and must be read again. */
  onFree: (() => void) | undefined

  constructor(key: string) {
    this.key = key
  }
}

/** Keeps what was read and not handled yet: one first-in, first-out queue per key, and a turn for each. */
export class Dispatcher {
  readonly #clock: Clock
  readonly #lanes = new RenewedMap<string, DispatchLane>()
  readonly #ready = new Fifo<DispatchLane | Delivery>()
  /** Whether records of a key keep their order; if not, each goes on its own. */
  ordered = true
  readonly #held = new Map<Delivery, Timer>()
  /** Records read and not yet settled (or stored, where outputs wait for their transaction). */
  records = 0
  bytes = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Whether something can be handed out now. */
  get runnable(): boolean {
    return this.#ready.size > 0
  }

  add(delivery: Delivery): void {
    this.records++
    this.bytes += delivery.record.body.length
    const { key } = delivery.record
    if (key === undefined || !this.ordered) {
      this.#ready.push(delivery)
      return
    }
    let lane = this.#lanes.get(key)
    if (lane === undefined) {
      lane = new DispatchLane(key)
      this.#lanes.set(key, lane)
    }
    delivery.lane = lane
    lane.queue.push(delivery)
    this.#makeReady(lane)
  }

  /** The next delivery whose turn it is. Its key is then busy until `free`. `nowMs` is the monotonic time. */
  next(nowMs: number): Delivery | undefined {
    for (let item = this.#ready.shift(); item !== undefined; item = this.#ready.shift()) {
      if (!(item instanceof DispatchLane)) {
        if (item.state === 'queued') return item
        continue
      }
      item.ready = false
      const delivery = item.queue.shift()
      if (delivery === undefined) continue
      item.out = 1
      // A record that is tried again and again keeps its key busy from its first attempt on.
      if (delivery.attempt === 1 || item.busySinceMs === 0) item.busySinceMs = nowMs
      return delivery
    }
    return undefined
  }

  /** The next delivery of a key that is busy with an earlier one of the same batch. */
  nextOfSameKey(lane: DispatchLane): Delivery | undefined {
    const delivery = lane.queue.shift()
    if (delivery !== undefined) lane.out++
    return delivery
  }

  /** The delivery is through: once no other of its key is out, the next may go. */
  free(delivery: Delivery): void {
    const { lane } = delivery
    if (lane === undefined || --lane.out > 0) return
    const { onFree } = lane
    lane.onFree = undefined
    onFree?.()
    if (lane.queue.size > 0) this.#makeReady(lane)
    else if (lane.onFree === undefined) this.#lanes.delete(lane.key)
  }

  /** Keeps a delivery back for `ms`, its key waiting, and then gives it its turn again, before all others of its key. */
  hold(delivery: Delivery, ms: number, onTurn: () => void): void {
    delivery.state = 'waiting'
    const timer = this.#clock.after(ms, () => {
      this.#held.delete(delivery)
      delivery.state = 'queued'
      const { lane } = delivery
      if (lane === undefined) {
        this.#ready.push(delivery)
      } else {
        lane.queue.unshift([delivery])
        lane.out--
        this.#makeReady(lane)
      }
      onTurn()
    })
    this.#held.set(delivery, timer)
  }

  /** Deliveries of one key come back to the head of its queue, in their order. Another of the key must still be out. */
  putBack(deliveries: readonly Delivery[]): void {
    for (const delivery of deliveries) delivery.state = 'queued'
    const lane = deliveries[0]?.lane
    if (lane === undefined) return
    lane.queue.unshift(deliveries)
    lane.out -= deliveries.length
  }

  /** Frees the room of a record that left. Idempotent. */
  release(delivery: Delivery): void {
    if (delivery.released) return
    delivery.released = true
    this.records--
    this.bytes -= delivery.record.body.length + delivery.outputBytes
  }

  /** The outputs of a record take up room too, until they are stored. */
  keepOutputs(delivery: Delivery): void {
    for (const { record } of delivery.outputs ?? []) delivery.outputBytes += record.body.length
    this.bytes += delivery.outputBytes
  }

  /** Takes out queued deliveries that match; their room is free at once. */
  drop(matches: (delivery: Delivery) => boolean): Delivery[] {
    const dropped: Delivery[] = []
    for (const lane of this.#lanes.values()) {
      // One by one: a lane can hold more than a call can have arguments.
      for (const delivery of lane.queue.remove(matches)) dropped.push(delivery)
      if (lane.queue.size === 0 && lane.out === 0 && lane.onFree === undefined) this.#lanes.delete(lane.key)
    }
    for (const item of this.#ready.remove((entry) => !(entry instanceof DispatchLane) && matches(entry))) {
      if (!(item instanceof DispatchLane)) dropped.push(item)
    }
    for (const [delivery, timer] of this.#held) {
      if (!matches(delivery)) continue
      timer.cancel()
      this.#held.delete(delivery)
      dropped.push(delivery)
      this.free(delivery)
    }
    for (const delivery of dropped) {
      delivery.state = 'done'
      this.release(delivery)
    }
    return dropped
  }

  /** Lanes whose present delivery is out for at least `ms` while others of the key wait. */
  stuckLanes(ms: number): DispatchLane[] {
    const limit = this.#clock.monotonic() - ms
    return this.#lanes.values().filter((lane) => lane.out > 0 && lane.queue.size > 0 && lane.busySinceMs <= limit)
  }

  #makeReady(lane: DispatchLane): void {
    if (lane.out > 0 || lane.ready || lane.queue.size === 0) return
    lane.ready = true
    this.#ready.push(lane)
  }
}
