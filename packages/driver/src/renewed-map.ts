/** Removals until the table is renewed, at least; more where more entries are in it, so that a renewal costs one entry of a removal. */
const leastRemovals = 16

/**
 * A map for what comes and goes all the time, as whatever is under way. Once the table of a `Map` is old, V8 makes every later one old too
 * (`OrderedHashTable::Rehash`: young only if the one before it is), one for every few removals; each keeps what was in it
 * until the whole heap is collected, and with it records, requests and promises, which the collection of the young then copies.
 * Here the table is made anew before it grows old. Costs one copied entry for each removal at most.
 */
export class RenewedMap<K, V> {
  #entries = new Map<K, V>()
  #removals = 0

  get size(): number {
    return this.#entries.size
  }

  get(key: K): V | undefined {
    return this.#entries.get(key)
  }

  has(key: K): boolean {
    return this.#entries.has(key)
  }

  set(key: K, value: V): void {
    this.#entries.set(key, value)
  }

  /** Whether it was there. */
  delete(key: K): boolean {
    if (!this.#entries.delete(key)) return false
    if (++this.#removals >= Math.max(leastRemovals, this.#entries.size)) {
      this.#removals = 0
      this.#entries = new Map(this.#entries)
    }
    return true
  }

  clear(): void {
    this.#entries = new Map()
    this.#removals = 0
  }

  /** As they are now: what is removed meanwhile is in it, what is added is not. */
  keys(): readonly K[] {
    return [...this.#entries.keys()]
  }

  /** As `keys`. */
  values(): readonly V[] {
    return [...this.#entries.values()]
  }
}

/** A set for what comes and goes all the time: {@link RenewedMap}. */
export class RenewedSet<T> {
  readonly #entries = new RenewedMap<T, true>()

  get size(): number {
    return this.#entries.size
  }

  has(value: T): boolean {
    return this.#entries.has(value)
  }

  add(value: T): void {
    this.#entries.set(value, true)
  }

  /** Whether it was there. */
  delete(value: T): boolean {
    return this.#entries.delete(value)
  }

  clear(): void {
    this.#entries.clear()
  }

  /** As they are now. */
  values(): readonly T[] {
    return this.#entries.keys()
  }
}
