import { StreamError, systemErrorCode } from '@sluice/driver'

/**
 * Standard output with its ends: the reader that goes away (`sluice tail orders | head -1`) ends a command quietly, a
 * disk that is full fails it. Nothing is written after either.
 */
export class ResultStream {
  readonly #stream: NodeJS.WriteStream
  readonly #gone = new AbortController()
  #failure: NodeJS.ErrnoException | undefined

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') this.#failure ??= error
      this.#gone.abort()
    })
  }

  /** Aborts when nothing can be written any more. */
  get gone(): AbortSignal {
    return this.#gone.signal
  }

  write(text: string): void {
    if (!this.#gone.signal.aborted) this.#stream.write(text)
  }

  /** Resolves once everything is written, or its reader has gone away. Rejects when it could not be written. */
  async flush(): Promise<void> {
    // The event of a failed write comes before the callback of the write behind it.
    if (!this.#gone.signal.aborted) await new Promise<void>((resolve) => this.#stream.write('', () => resolve()))
    const cause = this.#failure
    if (cause === undefined) return
    throw new StreamError(
      systemErrorCode(cause) ?? 'unavailable',
      `the output cannot be written (${cause.message}); write it to another place, or make room there`,
      { cause },
    )
  }
}
