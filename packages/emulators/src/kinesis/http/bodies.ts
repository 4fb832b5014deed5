import type { Request } from './listener.ts'

/** What the service takes in one request, in bytes: 10 MiB of records as base64, and room for the rest. */
const largestBody = 16 * 1024 * 1024
const [smallestPiece, kept] = [64 * 1024, 8]

/** Bodies of requests, each in a piece of memory that is used again: what is read of it has to be copied. */
export class Bodies {
  readonly #free: Buffer[] = []

  /**
   * Hands the whole body to `use`, which may keep nothing of it; `undefined`: it is larger than the service takes. Rejects when the
   * client goes away before its end.
   */
  async read<T>(request: Request, use: (body: Buffer | undefined) => T): Promise<T> {
    const expected = Number(request.headers['content-length'] ?? smallestPiece)
    let memory = this.#take(Math.min(expected, largestBody))
    let length = 0
    for await (const chunk of request as AsyncIterable<Buffer>) {
      const end = length + chunk.length
      if (end <= largestBody) {
        if (end > memory.length) memory = grown(memory, length, end)
        chunk.copy(memory, length)
      }
      length = end
    }
    try {
      return use(length > largestBody ? undefined : memory.subarray(0, length))
    } finally {
      if (this.#free.length < kept) this.#free.push(memory)
    }
  }

  #take(length: number): Buffer {
    const at = this.#free.findIndex((one) => one.length >= length)
    if (at >= 0) return this.#free.splice(at, 1)[0] as Buffer
    if (this.#free.length === kept) this.#free.shift()
    return Buffer.allocUnsafeSlow(Math.max(smallestPiece, length))
  }
}

function grown(memory: Buffer, length: number, end: number): Buffer {
  const larger = Buffer.allocUnsafeSlow(Math.min(largestBody, Math.max(end, memory.length * 2)))
  memory.copy(larger, 0, 0, length)
  return larger
}
