import { partitionForKey } from '@sluice/driver'
import type { PartitionId, TopicOrder } from '@sluice/driver'
import { encodeName } from './codec.ts'

/** One partition of a topic: the records of one subject. */
export interface PartitionInfo {
  readonly id: PartitionId
  readonly ended: boolean
  /** Of an ended one: every record of it has a lower sequence. */
  readonly endSequence?: number
  readonly parents: readonly PartitionId[]
}

/** What the bucket knows of a topic. The stream holds the rest: retention, limits, records. */
export interface TopicInfo {
  /** Of this topic and no later one of its name: what groups and leases hang on. */
  readonly id: string
  readonly name: string
  readonly order: TopicOrder
  /** The stream was there before; its subjects are its owner's. */
  readonly adopted: boolean
  /** When its stream was made, as the server tells: another stream of that name is not this topic. `undefined`: not yet made. */
  readonly streamCreated: string | undefined
  /** Oldest first. */
  readonly partitions: readonly PartitionInfo[]
  /** Partitions that are about to take over from the open ones. */
  readonly next: readonly PartitionInfo[] | undefined
}

/** The stream of a topic. */
export function streamOf(topic: string): string {
  return encodeName(topic)
}

/** The subject of a partition. */
export function subjectOf(topic: string, partition: PartitionId): string {
  return `${topic}.${partition}`
}

/** Where the mark goes that ends a generation of partitions. No partition has that subject. */
export function barrierSubject(topic: string): string {
  return `${topic}.barrier`
}

/** The subjects that a stream of these partitions takes. */
export function subjectsOf(topic: string, order: TopicOrder, open: readonly PartitionInfo[]): string[] {
  const subjects = open.map((partition) => subjectOf(topic, partition.id))
  return order === 'none' ? subjects : [...subjects, barrierSubject(topic)]
}

/** The partitions of a new topic. */
export function firstPartitions(count: number): readonly PartitionInfo[] {
  return Array.from({ length: count }, (_, index) => ({ id: String(index), ended: false, parents: [] }))
}

/**
 * The partitions that take over when there are to be `count`. A partition has those parents whose keys can come to it:
 * keys go by `hash % count`, so places that agree modulo the greatest common divisor of both counts.
 */
export function nextPartitions(partitions: readonly PartitionInfo[], count: number): readonly PartitionInfo[] {
  const open = partitions.filter((partition) => !partition.ended)
  const step = greatestCommonDivisor(open.length, count)
  return Array.from({ length: count }, (_, place) => ({
    id: String(partitions.length + place),
    ended: false,
    parents: open.filter((_, at) => at % step === place % step).map((partition) => partition.id),
  }))
}

/** The topic after its next partitions took over; every record of the old ones has a lower sequence than `endSequence`. */
export function takeOver(info: TopicInfo, endSequence: number): TopicInfo {
  if (info.next === undefined) return info
  const ended = info.partitions.map((partition) =>
    partition.ended ? partition : { ...partition, ended: true, endSequence },
  )
  return { ...info, partitions: [...ended, ...info.next], next: undefined }
}

/** The place among `count` open partitions of a record: by its key, or by its id, so that a repeated send goes to the same one. */
export function placeOf(record: { readonly key: string | undefined; readonly id: string }, count: number): number {
  return count === 1 ? 0 : partitionForKey(record.key ?? record.id, count)
}

/** The partitions in an order in which every parent comes before its children. */
export function parentsFirst<T extends { readonly id: PartitionId; readonly parents: readonly PartitionId[] }>(
  partitions: readonly T[],
): readonly T[] {
  // Ids grow with the generations.
  return partitions.toSorted((a, b) => Number(a.id) - Number(b.id))
}

/** The part of a stream's configuration that decides whether it can carry a topic. */
export interface StreamShape {
  readonly subjects?: readonly string[]
  readonly retention?: string
  readonly no_ack?: boolean
  readonly sealed?: boolean
  readonly max_msgs_per_subject?: number
  readonly mirror?: unknown
  readonly subject_transform?: unknown
  /** Nanoseconds. */
  readonly duplicate_window?: number
  /** Nanoseconds; 0: none. */
  readonly max_age?: number
}

/** What keeps a stream from carrying the topic; empty when it fits. */
export function misfits(stream: StreamShape, wanted: readonly string[], dedupMs: number): readonly string[] {
  const problems: string[] = []
  const missing = wanted.filter((subject) => !(stream.subjects ?? []).some((pattern) => matches(pattern, subject)))
  if (missing.length > 0) problems.push(`does not take the subjects ${missing.slice(0, 4).join(', ')}`)
  if (stream.retention !== undefined && stream.retention !== 'limits')
    problems.push(`has ${stream.retention} retention, which drops what one group acknowledged`)
  if (stream.no_ack === true) problems.push('acknowledges nothing (no_ack)')
  if (stream.sealed === true) problems.push('is sealed')
  if ((stream.max_msgs_per_subject ?? -1) > 0)
    problems.push('keeps only some records of a subject (max_msgs_per_subject)')
  if (stream.mirror !== undefined) problems.push('mirrors another stream and takes nothing itself')
  if (stream.subject_transform !== undefined) problems.push('changes subjects (subject_transform)')
  const windowMs = (stream.duplicate_window ?? 0) / 1e6
  const longest = stream.max_age === undefined || stream.max_age === 0 ? Infinity : stream.max_age / 1e6
  if (windowMs < Math.min(dedupMs, longest))
    problems.push(`remembers ids for ${windowMs} ms (duplicate_window), not for ${dedupMs}; set ?dedupMs`)
  return problems
}

/** Whether a subject pattern takes the subject. */
export function matches(pattern: string, subject: string): boolean {
  const [wanted, given] = [pattern.split('.'), subject.split('.')]
  for (const [index, token] of wanted.entries()) {
    if (token === '>') return given.length > index
    if (given[index] === undefined || (token !== '*' && token !== given[index])) return false
  }
  return wanted.length === given.length
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b)
}
