import type { Cloud } from '@sluice/core'
import type { StartKind, TopicOrder } from '@sluice/driver'
import type { Pipeline, ReadingPlan } from './pipeline.ts'

/** What is looked at of a backend: data that is known once it is open. */
export type BackendFacts = Pick<Cloud, 'name' | 'capabilities' | 'limits'>

/** Something a pipeline has to know of a backend. */
export interface Finding {
  /** `missing`: the pipeline needs it and would fail. `differs`: it works, and behaves in another way. */
  readonly kind: 'missing' | 'differs'
  /** The part of the pipeline, or `all`. */
  readonly about: string
  readonly what: string
  /** The way out, or what to keep in mind. */
  readonly help: string
}

/** What the pipeline needs and the backend cannot do, from its capabilities alone. */
export function findMissing(pipeline: Pipeline, { name, capabilities }: BackendFacts): readonly Finding[] {
  const findings: Finding[] = []
  const missing = (about: string, what: string, help: string): void =>
    void findings.push({ kind: 'missing', about, what, help })
  for (const topic of pipeline.topics) {
    const about = `topic ${topic.name}`
    const { order = 'key', retentionBytes, retentionMs } = topic.spec
    if (capabilities.shapes[order] === false)
      missing(about, `${name} has no topics with order "${order}"`, `use order: ${order === 'key' ? 'none' : 'key'}`)
    const { maxMs, minMs, bytes } = capabilities.retention
    if (retentionMs !== undefined && (retentionMs < minMs || retentionMs > maxMs))
      missing(about, `${name} keeps records ${span(minMs)} to ${span(maxMs)}`, `change its retention`)
    if (retentionBytes !== undefined && !bytes)
      missing(about, `${name} does not bound a topic by its size`, 'leave retentionBytes out, and set retention')
    if (!capabilities.admin.includes('create'))
      missing(about, `${name} lets no topic be made through this connection`, 'make it with the means of the backend')
  }
  for (const { delivery, from, name: of, reading } of pipeline.functions) {
    const about = `function ${of}`
    if (delivery === 'exactly-once' && !storesTogether(pipeline, from, capabilities))
      missing(about, `${name} cannot store outputs and progress in one transaction`, 'use delivery: at-least-once')
    findings.push(...startFindings(about, reading, name, capabilities.start))
  }
  for (const { kind, name: of, reading } of pipeline.sinks)
    findings.push(...startFindings(`${kind} ${of}`, reading, name, capabilities.start))
  return findings
}

/** What changes for the pipeline when it moves from one backend to another: what is missing there first. */
export function findDifferences(pipeline: Pipeline, from: BackendFacts, to: BackendFacts): readonly Finding[] {
  const differs = rules.flatMap((rule) => rule(from, to, pipeline))
  return [
    ...findMissing(pipeline, to),
    ...differs.map(({ about = 'all', what, help }): Finding => ({ kind: 'differs', about, what, help })),
  ]
}

interface Difference {
  readonly about?: string
  readonly what: string
  readonly help: string
}

type Rule = (from: BackendFacts, to: BackendFacts, pipeline: Pipeline) => readonly Difference[]

/** A difference when the first grants something that the second does not. */
function lost(
  grants: (backend: BackendFacts, pipeline: Pipeline) => boolean,
  what: (to: BackendFacts, from: BackendFacts) => string,
  help: string,
): Rule {
  return (from, to, pipeline) =>
    grants(from, pipeline) && !grants(to, pipeline) ? [{ what: what(to, from), help }] : []
}

/** In the order of their weight: what can lose or repeat data, what stops working, what is slower. */
const rules: readonly Rule[] = [
  lost(
    ({ capabilities }) => capabilities.persistent,
    ({ name }) => `${name} forgets everything when its processes end`,
    'for tests only',
  ),
  (from, to) =>
    to.limits.maxRecordBytes < from.limits.maxRecordBytes
      ? [
          {
            what: `a record has at most ${to.limits.maxRecordBytes} bytes, not ${from.limits.maxRecordBytes}`,
            help: 'larger ones are refused as too-large when they are sent',
          },
        ]
      : [],
  (from, to) =>
    (['maxKeyBytes', 'maxHeaders', 'maxHeaderValueBytes'] as const)
      .filter((limit) => to.limits[limit] < from.limits[limit])
      .map((limit) => ({
        what: `${limit} is ${to.limits[limit]}, not ${from.limits[limit]}`,
        help: 'what is over it is refused as too-large when it is sent',
      })),
  retention,
  dedup,
  (from, to, pipeline) =>
    pipeline.functions
      .filter(({ delivery }) => delivery === undefined)
      .filter(({ from: topic }) => storesTogether(pipeline, topic, from.capabilities))
      .filter(({ from: topic }) => !storesTogether(pipeline, topic, to.capabilities))
      .map(({ name }) => ({
        about: `function ${name}`,
        what: `its outputs come at least once, not exactly once: after a crash some are repeated`,
        help: 'make what reads them idempotent, by the id or the key of a message',
      })),
  (from, to, pipeline) =>
    orders(pipeline)
      .filter((order) => from.capabilities.shapes[order] === 'log' && to.capabilities.shapes[order] === 'queue')
      .map((order) => ({
        what: `topics with order "${order}" are queues: records are leased one by one, there are no partitions to hand over`,
        help: 'a record whose lease runs out comes again though its handler may still be at it',
      })),
  lost(
    ({ capabilities }) => capabilities.positions === 'comparable',
    () => 'messages carry no position',
    'do not store or compare message.position; replay by time',
  ),
  (from, to) => {
    const kinds = from.capabilities.seek.filter((kind) => !to.capabilities.seek.includes(kind))
    return kinds.length === 0
      ? []
      : [{ what: `a group cannot be moved to ${kinds.join(', ')}`, help: 'choose another place for a replay' }]
  },
  lost(
    ({ capabilities }) => capabilities.seekLive,
    () => 'a group can be moved only while none of its members run',
    'stop them before a replay',
  ),
  lost(
    ({ capabilities }) => capabilities.attempts === 'durable',
    () => 'attempts are counted from 1 again after a restart',
    'a poisonous message may be tried more often before it is dead-lettered',
  ),
  lost(
    ({ capabilities }) => capabilities.headers,
    () => 'records carry no headers',
    'put what they say into the value',
  ),
  lost(
    ({ capabilities }) => capabilities.ids,
    () => 'records do not keep their ids, and those without a key come with one',
    'put an id into the value where readers look for repeats',
  ),
  lost(
    ({ capabilities }) => capabilities.emptyKey,
    () => 'the empty string is no key',
    'leave the key out for a message without order',
  ),
  lost(
    ({ capabilities }) => capabilities.explicitPartition,
    () => 'a sender cannot choose the partition',
    'choose by key',
  ),
  lost(
    ({ capabilities }) => capabilities.repartition !== false,
    () => 'the number of partitions is fixed when a topic is made',
    'make enough of them',
  ),
  lost(
    ({ capabilities }) => capabilities.lag.includes('messages'),
    () => 'lag is not told in messages',
    'alert on its age',
  ),
  lost(
    ({ capabilities }) => capabilities.requestOrder === 'kept',
    () => 'one record of a key is under way at a time',
    'few keys are slower; many are not',
  ),
  lost(
    ({ capabilities }) => capabilities.embedded,
    ({ name }) => `${name} is a server that has to run`,
    '`sluice doctor` tells whether it can be reached',
  ),
]

function retention(from: BackendFacts, to: BackendFacts, pipeline: Pipeline): readonly Difference[] {
  const open = pipeline.topics.filter(({ spec }) => spec.retentionMs === undefined)
  const { defaultMs, maxMs } = to.capabilities.retention
  if (open.length === 0 || defaultMs >= from.capabilities.retention.defaultMs) return []
  return open.map(({ name }) => ({
    about: `topic ${name}`,
    what: `its records are kept for ${span(defaultMs)}, unless the pipeline says otherwise`,
    help: `a group that is behind by more loses them: give it a retention, of at most ${span(maxMs)}`,
  }))
}

function dedup(from: BackendFacts, to: BackendFacts): readonly Difference[] {
  const [before, after] = [windowMs(from), windowMs(to)]
  if (after >= before) return []
  const what =
    after === 0
      ? 'what is sent again with the same id is stored again, also by a send whose answer was lost'
      : `a send that is repeated is recognised for ${span(after)}, not ${span(before)}`
  // Where ids are made of places, a repeat has another.
  const by = to.capabilities.ids ? 'message.id' : 'what is in it'
  return [{ what, help: `let handlers recognise a repeat by ${by}` }]
}

function windowMs({ capabilities }: BackendFacts): number {
  return capabilities.dedup === false ? 0 : capabilities.dedup.windowMs
}

/** Whether the outputs of a function that reads this topic are stored in one transaction with its progress. */
function storesTogether(pipeline: Pipeline, topic: string, capabilities: BackendFacts['capabilities']): boolean {
  const order = pipeline.topics.find(({ name }) => name === topic)?.spec.order ?? 'key'
  return capabilities.transactions && capabilities.shapes[order] === 'log'
}

function orders(pipeline: Pipeline): readonly TopicOrder[] {
  return [...new Set(pipeline.topics.map(({ spec }) => spec.order ?? 'key'))]
}

function startFindings(
  about: string,
  { start }: ReadingPlan,
  name: string,
  granted: readonly StartKind[],
): readonly Finding[] {
  if (start === undefined) return []
  const kind = typeof start === 'string' ? start : start instanceof Date ? 'time' : 'position'
  if (granted.includes(kind)) return []
  const help = `start at ${granted.join(' or ')}`
  return [{ kind: 'missing', about, what: `a group cannot start at ${kind} on ${name}`, help }]
}

function span(ms: number): string {
  if (ms === Infinity) return 'for ever'
  for (const [unit, length] of units) {
    if (ms < length) continue
    const count = Math.round((ms / length) * 10) / 10
    return `${count} ${unit}${count === 1 ? '' : 's'}`
  }
  return `${ms} ms`
}

const units: readonly (readonly [string, number])[] = [
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
  ['second', 1_000],
]
