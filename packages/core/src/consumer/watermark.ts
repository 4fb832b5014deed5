import type { Position } from '@sluice/driver'

/** One record that is not settled yet, or a place that holds the watermark back. */
export interface WatermarkNode {
  /** `undefined`: settling it does not move the watermark to it, only lets it pass. */
  readonly position: Position | undefined
  /** Its number among the records of the partition, for the distance between reading and commit. */
  readonly sequence: number
  /** The last settled position between this node and the next. */
  tail: Position | undefined
  previous: WatermarkNode | undefined
  next: WatermarkNode | undefined
}

/**
 * The highest position below which everything is settled: all that may ever be committed.
 *
 * Records are added in partition order and settled in any order, in constant time. Memory is one node for each record
 * that is not settled; runs of settled records shrink to the last position of the run.
 */
export class Watermark {
  #first: WatermarkNode | undefined
  #last: WatermarkNode | undefined
  #value: Position | undefined
  #sequence = 0
  #size = 0

  /** The position up to which, inclusive, everything is settled; `undefined` before the first. */
  get value(): Position | undefined {
    return this.#value
  }

  /** Records not settled. */
  get size(): number {
    return this.#size
  }

  /** The number of the last record added. */
  get added(): number {
    return this.#sequence
  }

  /** The number of the last record below which, inclusive, everything is settled. */
  get reached(): number {
    return this.#first === undefined ? this.#sequence : this.#first.sequence - 1
  }

  /** Adds the next record of the partition. */
  add(position: Position): WatermarkNode {
    const node: WatermarkNode = {
      position,
      sequence: ++this.#sequence,
      tail: undefined,
      previous: this.#last,
      next: undefined,
    }
    if (this.#last === undefined) this.#first = node
    else this.#last.next = node
    this.#last = node
    this.#size++
    return node
  }

  /** Counts the next record of the partition as settled already. */
  pass(position: Position): void {
    this.#sequence++
    if (this.#last === undefined) this.#value = position
    else this.#last.tail = position
  }

  /** Adds a record that was seen before, just ahead of the place that holds the watermark for it. */
  addBefore(place: WatermarkNode): WatermarkNode {
    const node: WatermarkNode = {
      position: undefined,
      sequence: place.sequence,
      tail: undefined,
      previous: place.previous,
      next: place,
    }
    if (place.previous === undefined) this.#first = node
    else place.previous.next = node
    place.previous = node
    this.#size++
    return node
  }

  /** Settles a record; says whether the watermark moved. */
  settle(node: WatermarkNode): boolean {
    const reached = node.tail ?? node.position
    const { previous, next } = node
    if (previous !== undefined) {
      previous.next = next
      if (reached !== undefined) previous.tail = reached
    } else {
      this.#first = next
      if (reached !== undefined) this.#value = reached
    }
    if (next !== undefined) next.previous = previous
    else this.#last = previous
    // A node that has grown old would keep those after it alive, and they those after them.
    node.previous = undefined
    node.next = undefined
    this.#size--
    return previous === undefined && reached !== undefined
  }
}
