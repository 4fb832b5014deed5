import { StreamError } from '@sluice/driver'
import type { OutgoingRecord, SendOutcome } from '@sluice/driver'
import type { LeaseCommit } from '@sluice/lease'
import { encodeBatches } from './codec.ts'
import { toPosition } from './position.ts'
import type { StoreClient } from './store/client.ts'
import type { AppendPart, AppendResult, Duplicate } from './store/protocol.ts'
import type { TopicView } from './topic.ts'

/** Records for one topic, with where their outcomes go. */
export interface TopicRecords {
  readonly topic: TopicView
  readonly records: readonly OutgoingRecord[]
  /** Of each record, its index in the outcomes; `undefined`: the same. */
  readonly indexes: readonly number[] | undefined
}

/** Stores requests of one connection. */
export interface AppendOptions {
  readonly client: StoreClient
  readonly nowMs: () => number
  readonly dedup: boolean
  readonly commits: readonly LeaseCommit[]
  /** A record that cannot be stored rejects the whole, instead of getting an outcome of its own. */
  readonly atomic: boolean
  readonly operation: string
}

/** Records of one partition, on their way. */
interface Group {
  readonly topic: TopicView
  readonly place: number
  readonly records: OutgoingRecord[]
  readonly indexes: number[]
}

/** Tries after the number of partitions has changed meanwhile, or duplicates were found: more means something is wrong. */
const maxTries = 20

/**
 * Stores the records in one transaction, with the commits, and fills in `outcomes`. When the partitions they were
 * meant for have ended meanwhile, nothing was stored and they are spread anew: a key's records never land in a
 * partition that has ended. Rejects with `fenced` when a commit was refused; then nothing was stored.
 */
export async function appendAll(
  topics: readonly TopicRecords[],
  outcomes: (SendOutcome | undefined)[],
  options: AppendOptions,
  turn: number,
): Promise<void> {
  let repeats: ReadonlyMap<number, number> | undefined
  for (let attempt = 0; attempt < maxTries; attempt++) {
    const groups = topics.flatMap((each) => spread(each, outcomes, repeats, turn))
    if (options.atomic) throwFirst(outcomes)
    if (groups.length === 0 && options.commits.length === 0) {
      answerRepeats(repeats, outcomes)
      return
    }
    const result = await post(groups, options, repeats === undefined)
    if (result.kind === 'stored') {
      for (const [index, group] of groups.entries()) fillIn(group, result.bases[index] ?? 0, outcomes)
      answerRepeats(repeats, outcomes)
      return
    }
    if (result.kind === 'fenced') throw fencedCommit(options.commits[result.commit])
    if (result.kind === 'repeats') repeats = findRepeats(topics)
    else if (result.kind === 'duplicates') markDuplicates(groups, result.duplicates, outcomes)
    else await Promise.all(topics.map((each) => each.topic.refresh()))
  }
  throw new StreamError('unavailable', `${options.operation} failed: the partitions keep changing; try again`)
}

function throwFirst(outcomes: readonly (SendOutcome | undefined)[]): void {
  for (const outcome of outcomes) if (outcome?.ok === false) throw outcome.error
}

/** Encodes and sends. `repeats`: nothing was sent, because ids may be repeated in the request and that is to be looked at. */
async function post(
  groups: readonly Group[],
  options: AppendOptions,
  lookForRepeats: boolean,
): Promise<AppendResult | { readonly kind: 'repeats' }> {
  const { client, commits, dedup, operation } = options
  const { buffer, batches, mayRepeat } = encodeBatches(
    groups.map((group) => group.records),
    (bytes) => client.buffers.take(bytes),
  )
  if (dedup && mayRepeat && lookForRepeats) {
    client.buffers.give(buffer)
    return { kind: 'repeats' }
  }
  const parts: AppendPart[] = groups.map((group, index) => {
    const batch = batches[index]
    if (batch === undefined) throw new StreamError('internal', 'a batch was lost while it was encoded')
    const { id, generation } = group.topic.info
    const { offset, length, idsOffset, count } = batch
    return {
      topicId: id,
      generation,
      partition: group.topic.open[group.place]?.id ?? -1,
      offset,
      length,
      idsOffset,
      count,
    }
  })
  return client.call('append', { buffer, parts, commits, nowMs: options.nowMs(), dedup }, { operation }, [buffer])
}

/** Groups the records that have no outcome yet by their partition. */
function spread(
  each: TopicRecords,
  outcomes: (SendOutcome | undefined)[],
  repeats: ReadonlyMap<number, number> | undefined,
  turn: number,
): readonly Group[] {
  const { topic, records, indexes } = each
  const groups: (Group | undefined)[] = Array.from({ length: topic.open.length })
  const found: Group[] = []
  let failedKeys: Map<string, StreamError> | undefined
  for (let at = 0; at < records.length; at++) {
    const record = records[at]
    const index = indexes?.[at] ?? at
    if (record === undefined) continue
    if (outcomes[index] !== undefined || repeats?.has(index) === true) continue
    const failed = record.key === undefined ? undefined : failedKeys?.get(record.key)
    const place = failed ?? placeOf(record, topic, turn)
    if (typeof place !== 'number') {
      outcomes[index] = { ok: false, error: place }
      if (record.key !== undefined) (failedKeys ??= new Map()).set(record.key, place)
      continue
    }
    let group = groups[place]
    if (group === undefined) {
      group = { topic, place, records: [], indexes: [] }
      groups[place] = group
      found.push(group)
    }
    group.records.push(record)
    group.indexes.push(index)
  }
  return found
}

function placeOf(record: OutgoingRecord, topic: TopicView, turn: number): number | StreamError {
  if (record.partition !== undefined) return topic.placeOfName(record, record.partition)
  if (record.key !== undefined) return topic.placeOfKey(record.key)
  return turn % topic.open.length
}

function fillIn(group: Group, base: number, outcomes: (SendOutcome | undefined)[]): void {
  const partition = group.topic.open[group.place]?.name ?? ''
  const { indexes } = group
  for (let i = 0; i < indexes.length; i++) {
    outcomes[indexes[i] ?? 0] = { ok: true, partition, position: toPosition(base + i) }
  }
}

function markDuplicates(
  groups: readonly Group[],
  duplicates: readonly Duplicate[],
  outcomes: (SendOutcome | undefined)[],
): void {
  for (const { part, index, partition, offset } of duplicates) {
    const group = groups[part]
    const at = group?.indexes[index]
    if (group === undefined || at === undefined) continue
    const name = group.topic.info.partitions.find((each) => each.id === partition)?.name
    const where = name === undefined ? {} : { partition: name, position: toPosition(offset) }
    outcomes[at] = { ok: true, ...where, duplicate: true }
  }
}

/** Records whose id came before in the same request and topic, with the index where it did. */
function findRepeats(topics: readonly TopicRecords[]): ReadonlyMap<number, number> {
  const repeats = new Map<number, number>()
  for (const { records, indexes } of topics) {
    const first = new Map<string, number>()
    for (const [at, record] of records.entries()) {
      const index = indexes?.[at] ?? at
      const before = first.get(record.id)
      if (before === undefined) first.set(record.id, index)
      else repeats.set(index, before)
    }
  }
  return repeats
}

function answerRepeats(repeats: ReadonlyMap<number, number> | undefined, outcomes: (SendOutcome | undefined)[]): void {
  for (const [index, first] of repeats ?? []) outcomes[index] ??= asDuplicate(outcomes[first])
}

function asDuplicate(outcome: SendOutcome | undefined): SendOutcome | undefined {
  return outcome?.ok === true ? { ...outcome, duplicate: true } : outcome
}

function fencedCommit(commit: LeaseCommit | undefined): StreamError {
  return fenced(commit?.partition ?? '?', commit?.epoch ?? 0)
}

/** The error for a commit of a tenure that is over. */
export function fenced(partition: string, epoch: number): StreamError {
  return new StreamError(
    'fenced',
    `partition ${partition} is no longer read under epoch ${epoch}; drop what was read under it`,
    { details: { partition, epoch } },
  )
}
