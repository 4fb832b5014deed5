import type { KinesisClient } from '@aws-sdk/client-kinesis'
import type { Clock } from '@sluice/driver'

/** Answers carry whole seconds, and a server may say the same one a moment longer. */
const resolutionMs = 1_100

/**
 * The service's clock, as its answers tell it: where a group begins that wants what comes from now on is a time of the
 * service, and a machine's clock may be off.
 */
export class ServerTime {
  readonly #clock: Clock
  /** The service's clock is ahead of ours by this much at least, and by less than that at most, as all answers tell it. */
  #least = Number.NEGATIVE_INFINITY
  #most = Number.POSITIVE_INFINITY

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Listens to the answers of a client. */
  listen(client: KinesisClient): void {
    client.middlewareStack.add(
      (next) => async (args) => {
        const sentMs = this.#clock.now()
        const result = await next(args)
        const { headers } = result.response as { readonly headers?: Readonly<Record<string, string>> }
        this.note(Date.parse(headers?.['date'] ?? ''), sentMs)
        return result
      },
      { step: 'deserialize', priority: 'low', name: 'sluiceServerTime' },
    )
  }

  /** An answer came that says so much, to what was sent at that time of ours. */
  note(dateMs: number, sentMs: number): void {
    if (Number.isNaN(dateMs)) return
    const least = dateMs - this.#clock.now()
    const most = dateMs + resolutionMs - sentMs
    // One of the clocks was set meanwhile: what was told before holds no more.
    const isSet = least >= this.#most || most <= this.#least
    this.#least = isSet ? least : Math.max(least, this.#least)
    this.#most = isSet ? most : Math.min(most, this.#most)
  }

  /** Milliseconds since 1970: while our clock fits, ours, which may be ahead by up to a second. */
  now(): number {
    const fits = this.#least <= 0 && this.#most > 0
    return fits ? this.#clock.now() : this.past()
  }

  /** A time that has come for the service too: rather too early, by a second or so, than too late. That brings some records more, not some less. */
  past(): number {
    return this.#clock.now() + (this.#least === Number.NEGATIVE_INFINITY ? -resolutionMs : this.#least)
  }
}
