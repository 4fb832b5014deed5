import type { Adapter } from './driver.ts'
import type { LeaseStore } from './lease-store.ts'

/** A timer that can be stopped. */
export interface Timer {
  /** Stops it; nothing happens when it has fired. */
  cancel(): void
}

/** Time, injected everywhere so that tests need no sleeps. */
export interface Clock {
  /** Wall clock, milliseconds since 1970. For showing and for `expiresAt`, never for measuring. */
  now(): number
  /** Milliseconds from any fixed point; never goes back. For measuring and for deadlines. */
  monotonic(): number
  /** Calls `fire` once after `ms`. A waiting timer keeps the process alive unless `background` is set. */
  after(ms: number, fire: () => void, background?: boolean): Timer
}

/** The machine's own clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(ms, fire, background = false) {
    if (ms === Infinity) return { cancel: noop }
    if (ms > longestTimerMs) return afterLong(ms, fire, background)
    // What is no time at all, or over already, is now.
    const timer = setTimeout(fire, ms > 0 ? ms : 0)
    if (background) timer.unref()
    return { cancel: () => clearTimeout(timer) }
  },
}

/** A longer `setTimeout` fires at once, so that long waits go in steps. */
const longestTimerMs = 2 ** 31 - 1

function afterLong(ms: number, fire: () => void, background: boolean): Timer {
  let timer = systemClock.after(
    longestTimerMs,
    () => (timer = systemClock.after(ms - longestTimerMs, fire, background)),
    background,
  )
  return { cancel: () => timer.cancel() }
}

/** Resolves after `ms` on `clock`; rejects with the signal's reason when it aborts first. */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) return reject(signal.reason as Error)
    const onAbort = (): void => {
      timer.cancel()
      reject(signal?.reason as Error)
    }
    const timer = clock.after(ms, () => {
      signal?.removeEventListener('abort', onAbort)
      resolve()
    })
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}

/** Where log lines go. pino's call shape, so a pino logger fits as it is. */
export interface Logger {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

/** Drops every line: the default. */
export const silentLogger: Logger = { debug: noop, info: noop, warn: noop, error: noop }

function noop(): void {
  // A silent logger drops its lines on purpose.
}

/** A uniform random number in [0, 1), injected for the sake of tests. */
export type Random = () => number

/**
 * Names a thing in the container. Structurally an inversify `ServiceIdentifier`, declared here so that the contract
 * depends on nothing.
 */
// oxlint-disable-next-line typescript/no-explicit-any -- must match inversify's own parameter type
export type Token<T> = (symbol & { readonly __type?: T }) | (abstract new (...args: any[]) => T)

function token<T>(name: string): Token<T> {
  return Symbol.for(`sluice/${name}`)
}

/** What an adapter's `ContainerModule` binds, and what it may ask for. */
export const tokens: {
  /** Bound by every adapter, several times: one per scheme. */
  readonly Adapter: Token<Adapter>
  readonly Clock: Token<Clock>
  readonly Logger: Token<Logger>
  readonly Random: Token<Random>
  /** Bound only by a user who wants leases elsewhere than the adapter keeps them. */
  readonly LeaseStore: Token<LeaseStore>
} = {
  Adapter: token('Adapter'),
  Clock: token('Clock'),
  Logger: token('Logger'),
  Random: token('Random'),
  LeaseStore: token('LeaseStore'),
}
