import type { Socket } from 'node:net'

/** What a {@link Pipe} asks for each piece of data. */
export interface PipeFaults {
  readonly latencyMs: () => number
  readonly bytesPerSecond: () => number
  readonly onPassed: (pipe: Pipe) => void
}

/** What waits in a pipe before its sender is held back, in bytes. */
const maxWaiting = 4 * 1024 * 1024

/** One direction of one connection: data goes in, and comes out later, slower, or never. */
export class Pipe {
  readonly #from: Socket
  readonly #to: Socket
  readonly #faults: PipeFaults
  /** When the line is free for the next piece, by the monotonic clock. */
  #freeAtMs = 0
  #waiting = 0
  readonly #queue: { readonly dueMs: number; readonly pass: () => void }[] = []
  #timer: NodeJS.Timeout | undefined
  /** Bytes that came through. */
  passed = 0
  /** Nothing comes through any more. */
  dead = false

  constructor(from: Socket, to: Socket, faults: PipeFaults) {
    this.#from = from
    this.#to = to
    this.#faults = faults
    from.on('data', (data: Buffer) => this.#take(data))
    from.on('end', () => this.#later(0, () => this.#to.end()))
    to.on('drain', () => this.#flow())
  }

  /** Swallows all that comes from now on, an end included. */
  goDead(): void {
    this.dead = true
    this.stop()
  }

  /** Forgets what is on its way. */
  stop(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#queue.length = 0
  }

  #take(data: Buffer): void {
    if (this.dead) return
    this.#waiting += data.length
    this.#later(data.length, () => this.#pass(data))
    if (this.#waiting > maxWaiting) this.#from.pause()
  }

  #pass(data: Buffer): void {
    this.#waiting -= data.length
    const flows = this.#to.writable ? this.#to.write(data) : true
    this.passed += data.length
    this.#faults.onPassed(this)
    if (flows) this.#flow()
    else this.#from.pause()
  }

  #flow(): void {
    if (this.#waiting <= maxWaiting && !this.dead) this.#from.resume()
  }

  /** Does it when `bytes` have come through: in the order of the calls. At once, when no fault slows anything. */
  #later(bytes: number, pass: () => void): void {
    if (this.dead) return
    const nowMs = performance.now()
    this.#freeAtMs = Math.max(nowMs, this.#freeAtMs) + (bytes / this.#faults.bytesPerSecond()) * 1000
    const dueMs = Math.max(this.#freeAtMs + this.#faults.latencyMs(), this.#queue.at(-1)?.dueMs ?? 0)
    if (dueMs <= nowMs && this.#queue.length === 0) return pass()
    this.#queue.push({ dueMs, pass })
    if (this.#timer === undefined) this.#wait(dueMs - nowMs)
  }

  #wait(ms: number): void {
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined
        const nowMs = performance.now()
        for (let first = this.#queue[0]; first !== undefined && first.dueMs <= nowMs; first = this.#queue[0]) {
          this.#queue.shift()
          first.pass()
        }
        const [next] = this.#queue
        if (next !== undefined) this.#wait(next.dueMs - performance.now())
      },
      Math.max(0, Math.ceil(ms)),
    )
  }
}
