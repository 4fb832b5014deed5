import type { CommitOutcome, DriverTopic, Position } from '@sluice/driver'
import type { Delivery } from './reading.ts'
import type { RequestShim } from './shim/shim.ts'

/**
 * Of what this connection's members were given, how many records the backend does not know as done: what a kill at
 * this moment may repeat.
 */
export function uncommitted(shim: RequestShim, deliveries: readonly Delivery<unknown>[], topic: DriverTopic): number {
  const settled = shim.callsOf('settle').flatMap((call) => call.settlements.filter((one, index) => one.verb === 'ack' && call.outcomes[index]?.ok === true))
  if (settled.length > 0 || deliveries.every((one) => one.position === undefined)) {
    return Math.max(0, new Set(deliveries.map((one) => one.id)).size - settled.length)
  }
  const through = new Map<string, Position>()
  for (const call of shim.callsOf({ operation: ['commit', 'transact'] })) {
    call.commits.forEach((commit, index) => {
      const outcome: CommitOutcome | undefined = call.outcomes[index]
      if (commit.through !== undefined && (outcome?.ok === true || call.operation === 'transact')) through.set(commit.partition, commit.through)
    })
  }
  return deliveries.filter((one) => {
    const done = through.get(one.partition)
    return done === undefined || one.position === undefined || topic.comparePositions(one.position as Position, done) > 0
  }).length
}

/** Commits that went through although the partition's tenure was over when they were asked for. */
export function commitsAfterLoss(shim: RequestShim): readonly string[] {
  const ends = shim.events.filter((event) => event.kind === 'lost' || event.kind === 'revoked')
  const starts = shim.events.filter((event) => event.kind === 'assigned')
  return shim.callsOf('commit').flatMap((call) =>
    call.commits.flatMap((commit, index) => {
      if (call.outcomes[index]?.ok !== true) return []
      const began = starts.findLast((event) => event.member === call.member && event.partitions.includes(commit.partition) && event.epoch === commit.epoch)
      const over = ends.find(
        (event) =>
          event.member === call.member && event.partitions.includes(commit.partition) && event.atMs > (began?.atMs ?? 0) && event.atMs < call.startedAtMs,
      )
      return over === undefined ? [] : [`${commit.partition} at epoch ${commit.epoch}, ${over.kind} before`]
    }),
  )
}
