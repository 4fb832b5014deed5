/** Runs one thing at a time; calls that come while it runs share the next run. */
export class Coalescer<T> {
  readonly #work: () => Promise<T>
  #running: Promise<unknown> = Promise.resolve()
  #next: Promise<T> | undefined

  constructor(work: () => Promise<T>) {
    this.#work = work
  }

  /** Settles as a run does that begins after this call. */
  run(): Promise<T> {
    this.#next ??= this.#running.then(() => {
      this.#next = undefined
      const result = this.#work()
      this.#running = settled(result)
      return result
    })
    return this.#next
  }

  /** Resolves when nothing runs and nothing waits to run. */
  async idle(): Promise<void> {
    while (this.#next !== undefined) await settled(this.#next)
    await this.#running
  }
}

function settled(promise: Promise<unknown>): Promise<unknown> {
  return promise.catch((error: unknown) => error)
}
