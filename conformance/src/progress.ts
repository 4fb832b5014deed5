import type { CommitOutcome, DriverTopic, Position } from '@sluice/driver'
import type { Delivery } from './reading.ts'
import type { RequestShim } from './shim/shim.ts'

/**
 * Of what this connection's members were given, how many records the backend does not know as done: what a kill at
 * this moment may repeat.
 */
export function uncommitted(shim: RequestShim, deliveries: readonly Delivery<unknown>[], topic: DriverTopic): number {
  const settled = shim
    .callsOf('settle')
    .flatMap((call) => call.settlements.filter((one, index) => one.verb === 'ack' && call.outcomes[index]?.ok === true))
  if (settled.length > 0 || deliveries.every((one) => one.position === undefined)) {
    return Math.max(0, new Set(deliveries.map((one) => one.id)).size - settled.length)
  }
  const through = new Map<string, Position>()
  for (const call of shim.callsOf({ operation: ['commit', 'transact'] })) {
    call.commits.forEach((commit, index) => {
      const outcome: CommitOutcome | undefined = call.outcomes[index]
      if (commit.through !== undefined && (outcome?.ok === true || call.operation === 'transact'))
        through.set(commit.partition, commit.through)
    })
  }
  return deliveries.filter((one) => {
    const done = through.get(one.partition)
    return (
      done === undefined || one.position === undefined || topic.comparePositions(one.position as Position, done) > 0
    )
  }).length
}

/** Commits that went through although the partition's tenure was over when they were asked for. */
export function commitsAfterLoss(shim: RequestShim): readonly string[] {
  const ends = shim.events.filter((event) => event.kind === 'lost' || event.kind === 'revoked')
  const starts = shim.events.filter((event) => event.kind === 'assigned')
  return shim.callsOf('commit').flatMap((call) =>
    call.commits.flatMap((commit, index) => {
      if (call.outcomes[index]?.ok !== true) return []
      const began = starts.findLast(
        (event) =>
          event.member === call.member && event.partitions.includes(commit.partition) && event.epoch === commit.epoch,
      )
      const over = ends.find(
        (event) =>
          event.member === call.member &&
          event.partitions.includes(commit.partition) &&
          event.atMs > (began?.atMs ?? 0) &&
          event.atMs < call.startedAtMs,
      )
      return over === undefined ? [] : [`${commit.partition} at epoch ${commit.epoch}, ${over.kind} before`]
    }),
  )
}

type Compare = (a: Position, b: Position) => number

/**
 * Repeats that nothing excuses, over members that all ended in good order. A record may come twice only when its
 * first handler had not finished, or when an earlier record of its partition was not done by that member: then progress
 * could not be committed past it. Queues have no such excuse. What else `excused` excuses is the case's to say.
 */
export function unexcusedRepeats<T>(
  deliveries: readonly Delivery<T>[],
  compare: Compare | undefined,
  excused: (first: Delivery<T>, again: Delivery<T>) => boolean = () => false,
): readonly string[] {
  const byId = new Map<string, Delivery<T>[]>()
  for (const delivery of deliveries) byId.set(delivery.id, [...(byId.get(delivery.id) ?? []), delivery])
  return [...byId].flatMap(([, copies]) =>
    copies.slice(1).flatMap((again, index) => {
      const first = copies[index]
      if (first === undefined || first.attempt !== again.attempt || finishedBefore(first, again) === false) return []
      return excused(first, again) || (compare !== undefined && hasGapBelow(first, again, deliveries, compare))
        ? []
        : [`${String(again.value)} by ${first.member}, then ${again.member}`]
    }),
  )
}

function finishedBefore(first: Delivery<unknown>, again: Delivery<unknown>): boolean {
  return first.endedAtMs !== undefined && first.endedAtMs <= again.startedAtMs
}

/** Whether a record below this one, in its partition, was not done by the member that was done with this one. */
function hasGapBelow(
  first: Delivery<unknown>,
  again: Delivery<unknown>,
  deliveries: readonly Delivery<unknown>[],
  compare: Compare,
): boolean {
  const below = deliveries.filter(
    (one) =>
      one.partition === first.partition &&
      one.position !== undefined &&
      first.position !== undefined &&
      compare(one.position as Position, first.position as Position) < 0,
  )
  const done = (one: Delivery<unknown>): boolean => {
    const ends = deliveries.filter((other) => other.id === one.id && other.endedAtMs !== undefined)
    if (first.member !== again.member)
      return ends.some((other) => other.member === first.member && finishedBefore(other, again))
    return ends.some((other) => (other.endedAtMs ?? Infinity) <= (first.endedAtMs ?? 0))
  }
  return below.some((one) => !done(one))
}
