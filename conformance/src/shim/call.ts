import type {
  Commit,
  CommitOutcome,
  Credit,
  OutgoingRecord,
  PartitionId,
  SendOutcome,
  Settlement,
  StreamError,
} from '@sluice/driver'

/** What can be asked of a driver, by name. */
export type Operation =
  | 'openTopic'
  | 'producer'
  | 'subscribe'
  | 'sendBatch'
  | 'poll'
  | 'pull'
  | 'commit'
  | 'transact'
  | 'settle'
  | 'extend'
  | 'release'
  | 'createTopic'
  | 'describeTopic'
  | 'listTopics'
  | 'setPartitions'
  | 'setRetention'
  | 'deleteTopic'
  | 'listGroups'
  | 'deleteGroup'
  | 'seek'
  | 'lag'

/** One call that core made, as the shim saw it. Times are from `performance.now()`. */
export interface Call {
  readonly number: number
  readonly operation: Operation
  readonly topic: string | undefined
  readonly group: string | undefined
  readonly member: string | undefined
  /** Records of `sendBatch` and `transact`. */
  readonly records: readonly OutgoingRecord[]
  /** Commits of `commit` and `transact`. */
  readonly commits: readonly Commit[]
  readonly settlements: readonly Settlement[]
  readonly credit: Credit | undefined
  readonly startedAtMs: number
  /** `undefined` while the call runs. */
  endedAtMs: number | undefined
  /** Calls of this operation that ran when this one began, itself included. */
  readonly concurrent: number
  /** `undefined` while the call runs, or when it went well. */
  error: unknown
  /** What came back for each record or commit. */
  outcomes: readonly (SendOutcome | CommitOutcome)[]
  /** How many records `poll` or `pull` brought. */
  received: number
}

/** One event that the source sent to core. */
export interface PartitionEvent {
  readonly kind: 'assigned' | 'revoking' | 'revoked' | 'lost' | 'ended' | 'failed'
  readonly member: string
  readonly group: string | undefined
  readonly topic: string
  readonly partitions: readonly PartitionId[]
  readonly epoch: number | undefined
  readonly atMs: number
  readonly error?: StreamError
}

/** Which calls a rule is for. Everything given must hold. */
export interface Match {
  readonly operation?: Operation | readonly Operation[]
  /** The topic's name, or its end when it begins with `*`. */
  readonly topic?: string
  readonly group?: string
  readonly member?: string
  readonly when?: (call: Call) => boolean
}

/** Whether a call is one of those. */
export function matches(match: Operation | Match, call: Call): boolean {
  if (typeof match === 'string') return call.operation === match
  const { operation, topic, group, member, when } = match
  if (operation !== undefined && ![operation].flat().includes(call.operation)) return false
  if (topic !== undefined && !fits(topic, call.topic ?? '')) return false
  if (group !== undefined && group !== call.group) return false
  if (member !== undefined && member !== call.member) return false
  return when === undefined || when(call)
}

function fits(pattern: string, name: string): boolean {
  return pattern.startsWith('*') ? name.endsWith(pattern.slice(1)) : pattern === name
}
