import type { Cloud } from '@sluice/core'
import { sleep, StreamError } from '@sluice/driver'
import type { Clock } from '@sluice/driver'
import type { Part } from './part.ts'

/** How often progress is looked at, in milliseconds. */
const pollMs = 100

/** Where a backend cannot tell how far a group is behind: nothing has moved for this long, in milliseconds. */
const quietMs = 5_000

/**
 * Resolves when every source has ended and every group has settled everything. The parts must be in the order in which
 * messages flow: once an earlier part has caught up, nothing more comes to a later one.
 */
export async function untilIdle(
  cloud: Cloud,
  parts: readonly Part[],
  sourcesDone: Promise<unknown>,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  await sourcesDone
  const countable = cloud.capabilities.lag.length > 0
  const caughtUp = countable ? (part: Part) => hasCaughtUp(cloud, part) : quietness(clock)
  while (!signal.aborted) {
    const before = totals(parts)
    if ((await allOf(parts, caughtUp)) && totals(parts) === before) return
    await sleep(clock, pollMs, signal).catch(() => undefined)
  }
}

async function allOf(parts: readonly Part[], test: (part: Part) => Promise<boolean>): Promise<boolean> {
  for (const part of parts) if (!(await test(part))) return false
  return true
}

async function hasCaughtUp(cloud: Cloud, part: Part): Promise<boolean> {
  if (part.reads === undefined) return true
  if (part.progress().inHand > 0) return false
  try {
    const lag = await cloud.admin.lag(part.reads.topic, part.reads.group)
    return lag.every(({ messages, ageMs }) => (messages ?? ageMs ?? 0) === 0)
  } catch (error) {
    // The group is not known before its first member has joined.
    if (StreamError.is(error, 'not-found') || (StreamError.is(error) && error.retryable)) return false
    throw error
  }
}

function quietness(clock: Clock): (part: Part) => Promise<boolean> {
  const seen = new Map<Part, { readonly total: string; readonly since: number }>()
  return (part) => {
    const total = totals([part])
    const last = seen.get(part)
    const now = clock.monotonic()
    if (last?.total !== total) seen.set(part, { total, since: now })
    const since = last?.total === total ? last.since : now
    return Promise.resolve(part.progress().inHand === 0 && now - since >= quietMs)
  }
}

function totals(parts: readonly Part[]): string {
  return parts.map((part) => JSON.stringify(part.progress())).join()
}
