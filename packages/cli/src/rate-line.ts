/** Shows a growing count and its rate on a terminal; says nothing where stderr is none. */
export class RateLine {
  readonly #stream: NodeJS.WriteStream
  readonly #verb: string
  readonly #started = performance.now()
  readonly #shown: boolean
  #last = 0

  constructor(stream: NodeJS.WriteStream, options: { readonly verb: string; readonly quiet: boolean }) {
    this.#stream = stream
    this.#verb = options.verb
    this.#shown = stream.isTTY && !options.quiet
  }

  /** The count is now this. */
  count(total: number): void {
    const now = performance.now()
    if (!this.#shown || now - this.#last < 100) return
    this.#last = now
    const perSecond = Math.round(total / Math.max(0.001, (now - this.#started) / 1_000))
    this.#stream.write(`\r\u001B[2K${total} ${this.#verb}, ${perSecond}/s`)
  }

  /** Takes the line away. */
  stop(): void {
    if (this.#shown && this.#last > 0) this.#stream.write('\r\u001B[2K')
  }
}
