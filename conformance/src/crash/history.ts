import type { MemberLine, Micros, ProducerLine } from './journal.ts'
import type { MemberSettings } from './plan.ts'

/** One record that a producer tried to send. */
export interface Attempted {
  readonly slot: number
  readonly seq: number
  readonly key: string | undefined
  readonly id: string
  readonly bytes: number
  readonly acked: boolean
}

/** One delivery to a handler. `open`: the handler was still at it when its process ended. */
export interface Delivered {
  readonly member: string
  readonly n: number
  readonly slot: number
  readonly seq: number
  readonly key: string | undefined
  readonly id: string
  readonly bytes: number
  readonly partition: string
  readonly attempt: number
  readonly beganAt: Micros
  readonly outcome: 'done' | 'failed' | 'open'
  /** When the handler ended; at the latest when its process was killed. */
  readonly endedAt: Micros
  /** The handler was told that the message is no longer its own. */
  readonly lost: boolean
  /** How often its member had been given the partition by then: what comes again under another number was read anew. */
  readonly tenure: number
  /** The partition was not handed over in good order in the end, but lost. */
  readonly tenureLost: boolean
}

/** How a member of the group ended. */
export interface MemberEnd {
  readonly member: string
  /** Just before SIGKILL; `undefined`: it closed in good order. */
  readonly killedAt: Micros | undefined
}

/** A record read back from a topic: which one it is, or of which input it was made. */
export interface Stored {
  readonly slot: number
  readonly seq: number
  readonly key: string | undefined
}

/** What happened in a round, as its processes noted it. */
export interface History {
  readonly attempted: readonly Attempted[]
  /** What the topic holds, in reading order: partitions may alternate, each is in its order. */
  readonly stored: readonly Stored[]
  /** In the order in which handlers began. */
  readonly delivered: readonly Delivered[]
  readonly members: readonly MemberEnd[]
  readonly settings: Pick<MemberSettings, 'maxBufferedRecords' | 'maxUncommitted'>
  /** Whether the way to the backend was made to fail, so that also who leaves in good order may not get to commit. */
  readonly backendFails: boolean
  /** The backend knows no repeated ids: what was sent again because its answer was lost may stand there twice. */
  readonly mayRepeat: boolean
}

/** Names one record in all journals. */
export function recordName(record: { readonly slot: number; readonly seq: number }): string {
  return `${record.slot}-${record.seq}`
}

/** The records of one producer's journal. */
export function attemptedOf(slot: number, lines: readonly ProducerLine[]): readonly Attempted[] {
  const acked = new Set(lines.flatMap((line) => (line.kind === 'ack' ? [line.seq] : [])))
  return lines.flatMap((line) => {
    if (line.kind !== 'try') return []
    const { bytes, id, key, seq } = line
    return [{ slot, seq, key, id, bytes, acked: acked.has(seq) }]
  })
}

/** The deliveries of one member's journal. */
export function deliveredOf(end: MemberEnd, lines: readonly MemberLine[]): readonly Delivered[] {
  const ends = new Map<number, Extract<MemberLine, { readonly kind: 'done' | 'fail' | 'lost' }>>()
  const lost = new Set<number>()
  const tenures = new Map<string, number>()
  const tenureOf = new Map<number, number>()
  const lostTenures = new Set<string>()
  for (const line of lines) {
    if (line.kind === 'partition-assigned') tenures.set(line.partition, (tenures.get(line.partition) ?? 0) + 1)
    else if (line.kind === 'partition-lost') lostTenures.add(`${line.partition} ${tenures.get(line.partition) ?? 0}`)
    else if (line.kind === 'begin') tenureOf.set(line.n, tenures.get(line.partition) ?? 0)
    else if (line.kind === 'lost') lost.add(line.n)
    else ends.set(line.n, line)
  }
  return lines.flatMap((line) => {
    if (line.kind !== 'begin') return []
    const { at: beganAt, attempt, bytes, id, key, n, partition, seq, slot } = line
    const ended = ends.get(n)
    const outcome = ended === undefined ? 'open' : ended.kind === 'done' ? 'done' : 'failed'
    const endedAt = ended?.at ?? end.killedAt ?? Infinity
    const tenure = tenureOf.get(n) ?? 0
    const tenureLost = lostTenures.has(`${partition} ${tenure}`)
    const one = { member: end.member, n, slot, seq, key, id, bytes, partition, attempt, beganAt, tenure, tenureLost }
    return [{ ...one, outcome, endedAt, lost: lost.has(n) } satisfies Delivered]
  })
}

/** Deliveries of all members in the order in which they began. */
export function inOrder(deliveries: readonly Delivered[]): readonly Delivered[] {
  return deliveries.toSorted((a, b) => a.beganAt - b.beganAt || a.n - b.n)
}

/** The items in groups, each in the order of the whole. Items without a name are left out. */
export function groupBy<T>(
  items: readonly T[],
  nameOf: (item: T) => string | undefined,
): ReadonlyMap<string, readonly T[]> {
  const groups = new Map<string, T[]>()
  for (const item of items) {
    const name = nameOf(item)
    if (name === undefined) continue
    const group = groups.get(name)
    if (group === undefined) groups.set(name, [item])
    else group.push(item)
  }
  return groups
}
