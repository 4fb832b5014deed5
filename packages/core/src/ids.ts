import { randomFillSync } from 'node:crypto'
import type { Clock } from '@sluice/driver'

/**
 * Makes UUIDv7 ids that increase strictly within one generator, also when the clock stands still or goes back: the 12
 * bits after the version count within a millisecond (RFC 9562, section 6.2, method 1). The 62 random bits are drawn
 * anew for each millisecond, so ids of two generators never meet.
 */
export class IdGenerator {
  readonly #clock: Clock
  readonly #random = new Uint8Array(8)
  #lastMs = 0
  #sequence = 0
  #prefix = ''
  #tail = ''

  constructor(clock: Clock) {
    this.#clock = clock
  }

  next(): string {
    const now = this.#clock.now()
    if (now > this.#lastMs) this.#startMillisecond(now)
    else if (++this.#sequence > 0xfff) this.#startMillisecond(this.#lastMs + 1)
    return this.#prefix + (sequences[this.#sequence] ?? '') + this.#tail
  }

  #startMillisecond(ms: number): void {
    this.#lastMs = Math.floor(ms)
    this.#sequence = 0
    const time = this.#lastMs.toString(16).padStart(12, '0')
    this.#prefix = `${time.slice(0, 8)}-${time.slice(8, 12)}-7`
    randomFillSync(this.#random)
    const random = Buffer.from(this.#random.buffer).toString('hex')
    const variant = (0x8 | (Number.parseInt(random.slice(0, 1), 16) & 0x3)).toString(16)
    this.#tail = `-${variant}${random.slice(1, 4)}-${random.slice(4)}`
  }
}

const sequences: readonly string[] = Array.from({ length: 0x1000 }, (_, sequence) =>
  sequence.toString(16).padStart(3, '0'),
)
