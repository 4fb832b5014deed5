/** A first-in, first-out queue with constant-time ends, backed by an array whose head moves. */
export class Fifo<T> {
  #items: (T | undefined)[] = []
  #head = 0

  get size(): number {
    return this.#items.length - this.#head
  }

  push(item: T): void {
    this.#items.push(item)
  }

  /** Puts items back in front, in their order. */
  unshift(items: readonly T[]): void {
    this.#items = [...items, ...this.#items.slice(this.#head)]
    this.#head = 0
  }

  peek(): T | undefined {
    return this.#items[this.#head]
  }

  shift(): T | undefined {
    if (this.#head === this.#items.length) return undefined
    const item = this.#items[this.#head]
    this.#items[this.#head++] = undefined
    if (this.#head === this.#items.length) {
      this.#items = []
      this.#head = 0
    } else if (this.#head > 1024 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head)
      this.#head = 0
    }
    return item
  }

  /** Everything in it, oldest first. */
  toArray(): T[] {
    return this.#items.slice(this.#head) as T[]
  }

  /** Takes out everything, oldest first. */
  drain(): T[] {
    const rest = this.toArray()
    this.#items = []
    this.#head = 0
    return rest
  }

  /** Takes out what matches, oldest first; the rest keeps its order. */
  remove(matches: (item: T) => boolean): T[] {
    const removed: T[] = []
    const kept: T[] = []
    for (const item of this.drain()) (matches(item) ? removed : kept).push(item)
    this.#items = kept
    return removed
  }
}
