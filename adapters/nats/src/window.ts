/** More is never under way of a run. */
const most = 1_024
/** Fewer would be one after another. */
const fewest = 2

/**
 * How many messages that follow one another are under way at once. Each is stored only if the one before it is the last in the
 * stream, so what another producer stores between them has those behind it sent once more. Then the window closes to what
 * went through, and opens again, twofold each time, as TCP's does (RFC 5681).
 */
export class SendWindow {
  #size = most

  get size(): number {
    return this.#size
  }

  /** Of so many that were sent, so many were stored, up to the first that was out of line. */
  took(sent: number, stored: number): void {
    if (stored < sent) this.#size = Math.max(fewest, stored)
    else if (sent >= this.#size) this.#size = Math.min(most, this.#size * 2)
  }
}
