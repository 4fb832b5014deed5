import type { Host } from './host.ts'

/** How often a status is said where it cannot be redrawn, in milliseconds. */
const plainEveryMs = 10_000

/**
 * One line that says how things are: redrawn at the bottom of a terminal, or said now and then where stderr is none.
 * Whatever else is printed meanwhile appears above it.
 */
export class StatusLine {
  readonly #host: Host
  readonly #hidden: boolean
  readonly #restore: (() => void)[] = []
  #text = ''
  #saidAt = performance.now()
  #drawing = false

  constructor(host: Host, options: { readonly hidden: boolean }) {
    this.#host = host
    this.#hidden = options.hidden
    if (!host.stderr.isTTY || options.hidden) return
    for (const stream of [host.stdout, host.stderr]) if (stream.isTTY) this.#restore.push(this.#watch(stream))
  }

  show(text: string): void {
    if (this.#hidden || text === this.#text) return
    if (this.#host.stderr.isTTY) return this.#draw(text)
    this.#text = text
    if (performance.now() - this.#saidAt < plainEveryMs) return
    this.#saidAt = performance.now()
    this.#host.stderr.write(`${text}\n`)
  }

  /** Takes the line away. Idempotent. */
  stop(): void {
    if (this.#host.stderr.isTTY && !this.#hidden) this.#draw('')
    for (const restore of this.#restore.splice(0)) restore()
  }

  #draw(text: string): void {
    this.#text = text
    this.#raw(`\r\u001B[2K${text.slice(0, Math.max(1, (this.#host.stderr.columns || 80) - 1))}`)
  }

  #raw(text: string): void {
    this.#drawing = true
    this.#host.stderr.write(text)
    this.#drawing = false
  }

  /** Lines that others print must not run into ours: it is taken away before and drawn again after. */
  #watch(stream: NodeJS.WriteStream): () => void {
    const write = stream.write.bind(stream) as (...args: unknown[]) => boolean
    stream.write = (...args: unknown[]): boolean => {
      if (this.#drawing || this.#text === '') return write(...args)
      this.#raw('\r\u001B[2K')
      const more = write(...args)
      this.#raw(this.#text)
      return more
    }
    // What lies below our own property is the stream's method.
    return () => void Reflect.deleteProperty(stream, 'write')
  }
}
