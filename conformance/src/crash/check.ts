import { findDuplicates } from './duplicates.ts'
import type { Duplicates } from './duplicates.ts'
import { groupBy, recordName } from './history.ts'
import type { Delivered, History, Stored } from './history.ts'

/** What the journals of a round say about the promises. No problems: all were kept. */
export interface Verdict {
  readonly problems: readonly string[]
  readonly duplicates: Duplicates
}

/** Holds a history against every promise of the contract that a crash must not break. */
export function checkHistory(history: History): Verdict {
  const duplicates = findDuplicates(history)
  const rules = [findLost, findStrangers, findDisorder, findStepsBack, findOverlaps]
  return { problems: [...rules.flatMap((rule) => rule(history)), ...duplicates.problems], duplicates }
}

/** Every acknowledged record is stored, once where ids are known, and everything stored was handled to its end, by somebody. */
function findLost({ attempted, delivered, stored, mayRepeat }: History): readonly string[] {
  const there = new Set(stored.map(recordName))
  const done = new Set(delivered.flatMap((one) => (one.outcome === 'done' ? [recordName(one)] : [])))
  const unstored = attempted.filter((record) => record.acked && !there.has(recordName(record)))
  const unhandled = stored.filter((record) => !done.has(recordName(record)))
  const problems: string[] = []
  if (unstored.length > 0)
    problems.push(`lost: ${unstored.length} acknowledged records are not stored, the first ${describe(unstored[0])}`)
  if (unhandled.length > 0)
    problems.push(
      `lost: ${unhandled.length} stored records were never handled to the end, the first ${describe(unhandled[0])}`,
    )
  if (there.size < stored.length && !mayRepeat) problems.push(`stored twice: ${stored.length - there.size} records`)
  return problems
}

/** Nothing is handled that was never sent, or that is not as it was sent. */
function findStrangers({ attempted, delivered }: History): readonly string[] {
  const known = new Map(attempted.map((record) => [recordName(record), record]))
  return delivered.flatMap((one) => {
    const sent = known.get(recordName(one))
    if (sent === undefined) return [`stranger: ${describe(one)} was handled and never sent`]
    if (sent.key === one.key && sent.id === one.id && sent.bytes === one.bytes) return []
    return [
      `changed: ${describe(sent)} with id ${sent.id} and ${sent.bytes} bytes arrived as ${describe(one)} with id ${one.id} and ${one.bytes} bytes`,
    ]
  })
}

/**
 * First deliveries of a key are in send order, and each begins only when the one before was handled to its end. Records
 * that were sent and not acknowledged may be missing; those that appear must fit in.
 */
function findDisorder({ delivered }: History): readonly string[] {
  const problems: string[] = []
  for (const lane of groupBy(delivered, laneOf).values()) {
    const seen = new Set<number>()
    const done = new Set<number>()
    let highest: Delivered | undefined
    for (const [index, one] of lane.entries()) {
      if (seen.has(one.seq)) continue
      seen.add(one.seq)
      if (highest !== undefined && one.seq < highest.seq) {
        problems.push(`order: ${describe(one)} was first handled after ${describe(highest)}`)
        continue
      }
      noteDone(lane, index, done)
      if (highest !== undefined && !done.has(highest.seq)) {
        problems.push(`order: ${describe(one)} was handled before ${describe(highest)} was done`)
      }
      highest = one
    }
  }
  return problems
}

/** Adds what was done before the delivery at `index` began. */
function noteDone(lane: readonly Delivered[], index: number, done: Set<number>): void {
  const began = lane[index]?.beganAt ?? 0
  for (const one of lane.slice(0, index)) if (one.outcome === 'done' && one.endedAt <= began) done.add(one.seq)
}

/**
 * One member never goes back in a key, but to try again what failed, to read again what was taken from it meanwhile, or to what
 * stands there twice.
 */
function findStepsBack({ delivered, stored }: History): readonly string[] {
  const copies = groupBy(stored, recordName)
  const lanes = groupBy(delivered, (one) => {
    const lane = laneOf(one)
    return lane === undefined ? undefined : `${one.member} ${lane}`
  })
  return [...lanes.values()].flatMap((lane) => {
    const wasRobbed = lane.some((one) => one.lost)
    return lane.flatMap((one, index) => {
      const before = lane[index - 1]
      if (before === undefined || one.seq > before.seq || wasRobbed) return []
      if ((copies.get(recordName(one))?.length ?? 0) > 1) return []
      if (one.partition === before.partition && one.tenure > before.tenure) return []
      if (one.seq === before.seq && before.outcome === 'failed' && one.attempt > before.attempt) return []
      return [
        `step back: ${one.member} handled ${describe(one)}, attempt ${one.attempt}, after ${describe(before)}, attempt ${before.attempt}, ${before.outcome}`,
      ]
    })
  })
}

/** A key is in one handler at a time. A handler whose process was killed ended with it; one that was told it lost the message may overlap. */
function findOverlaps({ delivered }: History): readonly string[] {
  const problems: string[] = []
  for (const [key, deliveries] of groupBy(delivered, (one) => one.key)) {
    let last: Delivered | undefined
    for (const one of deliveries) {
      if (last !== undefined && one.beganAt < last.endedAt && !last.lost) {
        problems.push(
          `overlap: key ${key} was in two handlers at once: ${last.member} had ${recordName(last)} until ${last.endedAt} µs, ${one.member} began ${recordName(one)} at ${one.beganAt} µs`,
        )
      }
      if (last === undefined || one.endedAt > last.endedAt) last = one
    }
  }
  return problems
}

/** Records of one key from one producer: between producers there is no order. */
function laneOf(one: { readonly key: string | undefined; readonly slot: number }): string | undefined {
  return one.key === undefined ? undefined : `${one.slot} ${one.key}`
}

function describe(record: Stored | undefined): string {
  return record === undefined ? '' : `record ${recordName(record)} of key ${record.key ?? '(none)'}`
}
