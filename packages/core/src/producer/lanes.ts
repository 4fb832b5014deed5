import { RenewedMap, StreamError } from '@sluice/driver'
import type { Capabilities } from '@sluice/driver'
import { Fifo } from '../fifo.ts'
import { Lane } from './lane.ts'
import type { Entry } from './lane.ts'
import type { ProducerSettings } from './settings.ts'

/** What the lanes work with. */
export interface LanesDeps {
  readonly topic: string
  readonly requestOrder: Capabilities['requestOrder']
  /** Whether the topic keeps order per key. */
  readonly ordered: boolean
  readonly settings: ProducerSettings
}

/** Every lane of a producer, and the order in which they have their turn. Forms batches; knows nothing of requests. */
export class Lanes {
  readonly #deps: LanesDeps
  readonly #lanes = new RenewedMap<string, Lane>()
  readonly #ready = new Fifo<Lane>()
  /** The lane of records without order. */
  readonly unordered: Lane = new Lane(undefined, false)
  /** Records queued, and their bytes. */
  records = 0
  bytes = 0

  constructor(deps: LanesDeps) {
    this.#deps = deps
  }

  /** Whether some lane has its turn. */
  get ready(): boolean {
    return this.#ready.size > 0
  }

  laneOf(entry: Entry): Lane {
    const { key } = entry.record
    if (key === undefined || !this.#deps.ordered) return this.unordered
    let lane = this.#lanes.get(key)
    if (lane === undefined) {
      lane = new Lane(key, true)
      this.#lanes.set(key, lane)
    }
    return lane
  }

  /** Queues entries at the end of their lane. */
  push(lane: Lane, entry: Entry): void {
    lane.pending.push(entry)
    this.#count(entry, 1)
  }

  /** Queues entries before all others of their lane. */
  putBack(lane: Lane, entries: readonly Entry[]): void {
    lane.pending.unshift(entries)
    for (const entry of entries) this.#count(entry, 1)
  }

  /** A queued entry was abandoned. It is passed over from now on, and taken out soon, together with all of its lane that are. */
  leave(lane: Lane, entry: Entry): void {
    this.#count(entry, -1)
    if (lane.leaving++ > 0) return
    queueMicrotask(() => {
      if (lane.leaving > 0) lane.pending.remove((other) => other.abandoned)
      lane.leaving = 0
    })
  }

  /** Takes everything out of a lane. */
  drain(lane: Lane): readonly Entry[] {
    const entries = lane.pending.drain().filter((entry) => !entry.abandoned)
    lane.leaving = 0
    for (const entry of entries) this.#count(entry, -1)
    return entries
  }

  all(): readonly Lane[] {
    return [...this.#lanes.values(), this.unordered]
  }

  /** Gives a lane a turn if it has something to send and may send it; says whether it has one now. */
  makeReady(lane: Lane): boolean {
    if (lane.ready || !lane.sendable) return lane.ready
    lane.ready = true
    this.#ready.push(lane)
    return true
  }

  forgetIfIdle(lane: Lane): void {
    if (lane.key !== undefined && lane.idle) this.#lanes.delete(lane.key)
  }

  /** The error for a send of a fenced key; `undefined`: it is not fenced. */
  fenceOf(key: string | undefined): StreamError | undefined {
    const lane = key === undefined || !this.#deps.ordered ? undefined : this.#lanes.get(key)
    return lane?.fence === undefined ? undefined : this.fenced(lane)
  }

  fenced(lane: Lane): StreamError {
    const { topic } = this.#deps
    return new StreamError(
      'fenced',
      `an earlier send of key ${JSON.stringify(lane.key)} to topic "${topic}" failed for good; later ones wait for producer.resume(key), or set onOrderedFailure: 'continue'`,
      { cause: lane.fence, details: { topic, key: lane.key } },
    )
  }

  resume(key: string | undefined): void {
    for (const lane of key === undefined ? this.#lanes.values() : [this.#lanes.get(key)]) {
      if (lane === undefined) continue
      lane.fence = undefined
      this.forgetIfIdle(lane)
    }
  }

  /**
   * Takes the next batch, of what `mayPass` lets through, `maxBytes` at most unless it is one record. Of a key it holds one record,
   * or a run where the backend keeps a request's order.
   */
  takeBatch(mayPass: (entry: Entry) => boolean, maxBytes: number): Entry[] {
    const { settings } = this.#deps
    const batch: Entry[] = []
    let bytes = 0
    let full = false
    const fits = (entry: Entry): boolean =>
      batch.length < settings.maxBatchRecords && (batch.length === 0 || bytes + entry.bytes <= maxBytes)
    for (let lane = this.#ready.peek(); lane !== undefined && !full; lane = this.#ready.peek()) {
      let left = !lane.ordered ? Infinity : this.#deps.requestOrder === 'none' ? 1 : lane.mostInRun
      const before = batch.length
      let entry = nextOf(lane)
      while (entry !== undefined && fits(entry) && mayPass(entry)) {
        lane.pending.shift()
        this.#count(entry, -1)
        entry.inFlight = true
        lane.inFlight++
        bytes += entry.bytes
        batch.push(entry)
        entry = --left > 0 ? nextOf(lane) : undefined
      }
      full = entry !== undefined || batch.length >= settings.maxBatchRecords
      // What had no part in this batch keeps its turn: sent to the end, it might never be first when there is room for it.
      if (entry !== undefined && batch.length === before) break
      this.#ready.shift()
      lane.ready = false
      this.makeReady(lane)
    }
    return batch
  }

  #count(entry: Entry, sign: 1 | -1): void {
    this.records += sign
    this.bytes += sign * entry.bytes
  }
}

/** The first of a lane that is still wanted. */
function nextOf(lane: Lane): Entry | undefined {
  let entry = lane.pending.peek()
  while (entry?.abandoned === true) {
    lane.pending.shift()
    lane.leaving--
    entry = lane.pending.peek()
  }
  return entry
}
