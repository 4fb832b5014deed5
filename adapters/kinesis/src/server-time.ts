import type { KinesisClient } from '@aws-sdk/client-kinesis'
import type { Clock } from '@sluice/driver'

/** Answers carry whole seconds. */
const resolutionMs = 1_000

/**
 * The service's clock, as its answers tell it: where a group begins that wants what comes from now on is a time of the
 * service, and a machine's clock may be off.
 */
export class ServerTime {
  readonly #clock: Clock
  /** What to add to ours; 0 while ours fits what was told. */
  #correctionMs = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Listens to the answers of a client. */
  listen(client: KinesisClient): void {
    client.middlewareStack.add(
      (next) => async (args) => {
        const result = await next(args)
        const { headers } = result.response as { readonly headers?: Readonly<Record<string, string>> }
        this.note(Date.parse(headers?.['date'] ?? ''))
        return result
      },
      { step: 'deserialize', priority: 'low', name: 'sluiceServerTime' },
    )
  }

  /** An answer came that says so much. */
  note(dateMs: number): void {
    if (Number.isNaN(dateMs)) return
    const ourMs = this.#clock.now()
    const fits = ourMs >= dateMs - resolutionMs && ourMs <= dateMs + 2 * resolutionMs
    // Rather too early, by a second at most, than too late: that brings some records more, not some less.
    this.#correctionMs = fits ? 0 : dateMs - ourMs
  }

  /** Milliseconds since 1970. */
  now(): number {
    return this.#clock.now() + this.#correctionMs
  }
}
