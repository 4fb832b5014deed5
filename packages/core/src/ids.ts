import { randomFillSync } from 'node:crypto'
import type { Clock } from '@sluice/driver'

const hex: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))
const poolBytes = 8 * 512

/**
 * Makes UUIDv7 ids that increase strictly within one generator, also when the clock stands still or goes back:
 * the 12 bits after the version count within a millisecond (RFC 9562, section 6.2, method 1).
 */
export class IdGenerator {
  readonly #clock: Clock
  readonly #pool = new Uint8Array(poolBytes)
  #used = poolBytes
  #lastMs = 0
  #sequence = 0
  #prefix = ''

  constructor(clock: Clock) {
    this.#clock = clock
  }

  next(): string {
    const now = this.#clock.now()
    if (now > this.#lastMs) {
      this.#startMillisecond(now)
    } else if (++this.#sequence > 0xfff) {
      this.#startMillisecond(this.#lastMs + 1)
    }
    const sequence = this.#sequence
    return `${this.#prefix}-7${digit(sequence >> 8)}${byteText(sequence)}-${this.#randomPart()}`
  }

  #startMillisecond(ms: number): void {
    this.#lastMs = ms
    this.#sequence = 0
    const time = Math.floor(ms).toString(16).padStart(12, '0')
    this.#prefix = `${time.slice(0, 8)}-${time.slice(8, 12)}`
  }

  #randomPart(): string {
    if (this.#used === poolBytes) {
      randomFillSync(this.#pool)
      this.#used = 0
    }
    const pool = this.#pool
    const at = this.#used
    this.#used += 8
    const variant = byteText(((pool[at] ?? 0) & 0x3f) | 0x80)
    let text = `${variant}${byteText(pool[at + 1])}-`
    for (let i = 2; i < 8; i++) text += byteText(pool[at + i])
    return text
  }
}

function byteText(value = 0): string {
  return hex[value & 0xff] ?? '00'
}

function digit(value: number): string {
  return byteText(value).slice(1)
}
