import { Buffer } from 'node:buffer'

/** Gives so many bytes to write in; what they hold is not said. */
export type Allocate = (bytes: number) => Buffer

/** What is handed out has a power of two of bytes, this at least. */
const leastBytes = 64 * 1024
/** Kept while nobody uses it: what four requests of 1 MiB take. */
const mostFreeBytes = 16 * 1024 * 1024

/**
 * Memory that requests were made in, to make others in. New memory of that size comes from the operating system page by page,
 * and is counted by V8 as a reason to collect garbage: together a twelfth of the time that sending records of 1 KB took.
 */
export class MemoryPool {
  readonly #free = new Map<number, Buffer[]>()
  #freeBytes = 0

  take(bytes: number): Buffer {
    const size = Math.max(leastBytes, 2 ** Math.ceil(Math.log2(bytes)))
    const known = this.#free.get(size)?.pop()
    if (known === undefined) return Buffer.allocUnsafeSlow(size)
    this.#freeBytes -= size
    return known
  }

  /** Nobody may look at it any more. */
  give(memory: Buffer): void {
    const { length } = memory
    if (this.#freeBytes + length > mostFreeBytes) return
    this.#freeBytes += length
    const others = this.#free.get(length)
    if (others === undefined) this.#free.set(length, [memory])
    else others.push(memory)
  }
}

/** The memory of one batch: aggregates and the bodies of requests. */
export class BatchMemory {
  readonly #pool: MemoryPool
  readonly #taken: Buffer[] = []
  #used = 0

  constructor(pool: MemoryPool) {
    this.#pool = pool
  }

  readonly allocate: Allocate = (bytes) => {
    let last = this.#taken.at(-1)
    if (last === undefined || this.#used + bytes > last.length) {
      // Twice the last: few pieces, whatever is asked for.
      last = this.#pool.take(Math.max(bytes, 2 * (last?.length ?? 0)))
      this.#taken.push(last)
      this.#used = 0
    }
    const from = this.#used
    this.#used += bytes
    return last.subarray(from, this.#used)
  }

  /** Ends the use of all that was allocated: it is written over from now on. */
  release(): void {
    for (const memory of this.#taken.splice(0)) this.#pool.give(memory)
  }
}
