/** Buffers kept for another use, at most, and the largest that is kept, in bytes. */
const maxKept = 8
const maxKeptBytes = 4 * 1024 * 1024

/** Spares the cost of fresh memory for every request: the system zeroes it, and the garbage collector counts it. */
export class BufferPool {
  readonly #kept: ArrayBuffer[] = []

  /** A buffer of at least `bytes`, with anything in it. */
  take(bytes: number): ArrayBuffer {
    const found = this.#kept.findIndex((buffer) => buffer.byteLength >= bytes)
    if (found >= 0) {
      const [buffer] = this.#kept.splice(found, 1)
      if (buffer !== undefined) return buffer
    }
    return new ArrayBuffer(bytes > maxKeptBytes ? bytes : 2 ** Math.ceil(Math.log2(Math.max(4096, bytes))))
  }

  /** Takes a buffer back that nobody uses any more. */
  give(buffer: ArrayBuffer): void {
    if (buffer.byteLength > maxKeptBytes) return
    if (this.#kept.length >= maxKept) this.#kept.shift()
    this.#kept.push(buffer)
  }
}
