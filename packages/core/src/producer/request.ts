import { StreamError } from '@sluice/driver'
import type { Clock, DriverProducer, SendOutcome } from '@sluice/driver'
import type { RateLimiter } from '../rate-limiter.ts'
import type { Entry } from './lane.ts'
import type { ProducerSettings } from './settings.ts'

/** What a request works with. */
export interface RequestDeps {
  readonly topic: string
  readonly driver: DriverProducer
  readonly settings: ProducerSettings
  readonly rate: RateLimiter | undefined
  readonly clock: Clock
}

/** An outcome for each record. `whole`: the request failed as such, and that is each record's outcome. */
export interface Answer {
  readonly outcomes: readonly SendOutcome[]
  readonly whole: StreamError | undefined
}

/** Asks the driver once, and waits no longer than `requestTimeoutMs` or until `controller` aborts it. Never rejects. */
export async function request(
  batch: readonly Entry[],
  deps: RequestDeps,
  controller: AbortController,
): Promise<Answer> {
  const { clock, driver, rate, settings, topic } = deps
  const timedOut = Promise.withResolvers<never>()
  const timer = clock.after(settings.requestTimeoutMs, () => {
    const error = new StreamError(
      'timeout',
      `no answer to a send of ${batch.length} records to topic "${topic}" within ${settings.requestTimeoutMs} ms`,
    )
    controller.abort(error)
    timedOut.reject(error)
  })
  try {
    const answer = driver.sendBatch(
      batch.map((entry) => entry.record),
      controller.signal,
    )
    rate?.sent()
    const outcomes = await Promise.race([answer, timedOut.promise])
    if (outcomes.length === batch.length) return { outcomes, whole: undefined }
    throw new StreamError('internal', `the driver answered ${outcomes.length} outcomes for ${batch.length} records`, {
      ambiguous: true,
    })
  } catch (error) {
    const cause: unknown = controller.signal.aborted ? controller.signal.reason : error
    const whole = StreamError.from(cause, `sending to topic "${topic}" failed`)
    const failed: SendOutcome = { ok: false, error: whole }
    return { outcomes: batch.map(() => failed), whole }
  } finally {
    timer.cancel()
  }
}
