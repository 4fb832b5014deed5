/** The records sent between two flushes. */
export interface FlushGroup {
  count: number
  readonly done: (() => void)[]
}

/** Tells when everything sent before a given moment is settled, in constant time per record. */
export class FlushGroups {
  #groups: FlushGroup[] = [{ count: 0, done: [] }]

  /** Counts a record into the current group. */
  enter(): FlushGroup {
    const current = this.#groups[this.#groups.length - 1] as FlushGroup
    current.count++
    return current
  }

  leave(group: FlushGroup): void {
    group.count--
    if (group.count === 0) this.#settle()
  }

  /** Resolves when every record entered so far has left. */
  flushed(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const current = this.#groups[this.#groups.length - 1] as FlushGroup
    current.done.push(resolve)
    this.#groups.push({ count: 0, done: [] })
    this.#settle()
    return promise
  }

  #settle(): void {
    while (this.#groups.length > 1 && this.#groups[0]?.count === 0) {
      for (const resolve of this.#groups.shift()?.done ?? []) resolve()
    }
  }
}
