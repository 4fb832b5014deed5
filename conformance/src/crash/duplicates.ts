import { groupBy, recordName } from './history.ts'
import type { Delivered, History, MemberEnd } from './history.ts'

/** How often messages came again, and how often they might have. */
export interface Duplicates {
  /** Deliveries that repeated one by a member that was killed: it was in a handler, or done and not committed. */
  readonly count: number
  /** What the kills of this round could have repeated at most. */
  readonly bound: number
  readonly problems: readonly string[]
}

/**
 * What a member that is killed leaves to be repeated in one partition it reads: the records it took in that are not
 * covered by a commit. Core stops reading a partition once `maxUncommitted` records lie between the last commit and the
 * last one read, and looks at it after every read. So the last read may begin with `maxUncommitted - 1` and bring
 * `maxBufferedRecords` more. Records behind those were never handed out, records before are committed and never
 * come again.
 */
export function duplicateBound(settings: History['settings']): number {
  return settings.maxUncommitted - 1 + settings.maxBufferedRecords
}

interface Repeat {
  readonly before: Delivered
  readonly again: Delivered
}

/**
 * Blames each repeated delivery on the member that had the record before. A failed attempt is no delivery in this
 * sense: that it is repeated is what was asked for. A member that was killed may leave {@link duplicateBound} records in each
 * partition that was its own then; one somebody else read before it died was not. A partition that was handed over
 * in good order may bring back as many, but only behind a record that was not done: progress is a position, and
 * cannot pass that one. Without such a record nothing may come again, unless the way to the backend was made to fail: what
 * cannot be committed comes again, as after a kill.
 */
export function findDuplicates(history: History): Duplicates {
  const { backendFails, delivered, members, settings } = history
  const perPartition = duplicateBound(settings)
  const places = new Map(history.stored.map((record, place) => [recordName(record), place]))
  const copies = groupBy(history.stored, recordName)
  // What stands there twice comes twice.
  const again = findRepeats(delivered).filter(({ before }) => (copies.get(recordName(before))?.length ?? 0) < 2)
  const repeats = groupBy(again, ({ before }) => tenureOf(before))
  const problems: string[] = []
  let count = 0
  let bound = 0
  for (const end of members) {
    const held = partitionsHeld(delivered, end)
    const own = delivered.filter((one) => one.member === end.member)
    for (const [tenure, begun] of groupBy(own, tenureOf)) {
      const repeated = repeats.get(tenure) ?? []
      const abrupt = held.has(tenure) || begun.some((one) => one.lost || one.tenureLost)
      const excused = abrupt || backendFails || (repeated.length > 0 && isBehindUndone(repeated, delivered, places))
      const allowed = excused ? Math.min(perPartition, begun.length) : 0
      count += repeated.length
      bound += allowed
      if (repeated.length > allowed) problems.push(tooMany(end, abrupt, repeated, allowed))
    }
  }
  return { count, bound, problems }
}

/** Names one stretch of time in which one member had one partition. */
function tenureOf(one: Delivered): string {
  return `${one.member} ${one.partition} ${one.tenure}`
}

/** Deliveries that were repeated by another member, or by the same one after it was given the partition again. */
function findRepeats(delivered: readonly Delivered[]): readonly Repeat[] {
  const repeats: Repeat[] = []
  for (const deliveries of groupBy(delivered, recordName).values()) {
    deliveries.forEach((again, index) => {
      const before = deliveries[index - 1]
      if (before !== undefined && tenureOf(before) !== tenureOf(again) && before.outcome !== 'failed')
        repeats.push({ before, again })
    })
  }
  return repeats
}

/** The tenures of a member that ended by its being killed: those of the last delivery of a partition until then. */
function partitionsHeld(delivered: readonly Delivered[], end: MemberEnd): ReadonlySet<string> {
  const { killedAt, member } = end
  if (killedAt === undefined) return new Set()
  const last = new Map<string, Delivered>()
  for (const one of delivered) if (one.beganAt <= killedAt) last.set(one.partition, one)
  return new Set([...last.values()].filter((one) => one.member === member).map(tenureOf))
}

/**
 * Whether the lowest of these records stands behind one that its first owner had not done: somebody else was given that
 * one later, so progress was in front of it when the partition was handed over, and all behind it may come again. Whether
 * others have done it, before or since, does not matter: what they did and could not commit comes again as well.
 */
function isBehindUndone(
  repeated: readonly Repeat[],
  delivered: readonly Delivered[],
  places: ReadonlyMap<string, number>,
): boolean {
  const placeOf = (one: Delivered): number => places.get(recordName(one)) ?? Infinity
  const { before } = repeated.reduce((lowest, one) => (placeOf(one.before) < placeOf(lowest.before) ? one : lowest))
  const ofPartition = delivered.filter((one) => one.partition === before.partition)
  const done = new Set(
    ofPartition.flatMap((one) =>
      tenureOf(one) === tenureOf(before) && one.outcome === 'done' ? [recordName(one)] : [],
    ),
  )
  return ofPartition.some(
    (one) =>
      tenureOf(one) !== tenureOf(before) &&
      one.beganAt > before.endedAt &&
      placeOf(one) < placeOf(before) &&
      !done.has(recordName(one)),
  )
}

function tooMany(end: MemberEnd, abrupt: boolean, repeated: readonly Repeat[], allowed: number): string {
  const first = repeated[0]?.before
  if (first === undefined) return ''
  const how = abrupt
    ? `${end.member} was killed and`
    : `${end.member} handed partition ${first.partition} over in good order and`
  return `duplicates: ${how} left ${repeated.length} records of partition ${first.partition} to be repeated, at most ${allowed} were allowed; the first is ${recordName(first)} of key ${first.key ?? '(none)'}, ${first.outcome}`
}
