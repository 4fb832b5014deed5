import { connect, StreamError } from '@sluice/core'
import type { Cloud } from '@sluice/core'
import type { PartitionLag } from '@sluice/driver'
import { behind } from '../behind.ts'
import { json } from '../codecs.ts'
import { Cast } from './cast.ts'
import type { Scene } from './cast.ts'
import { checkOutputs } from './check-outputs.ts'
import { checkHistory } from './check.ts'
import type { Stored } from './history.ts'
import type { Output } from './instruction.ts'
import { openMs, patiently } from './patiently.ts'
import type { Step } from './plan.ts'

/** What became of a round. */
export interface RoundResult {
  readonly kills: number
  /** What was done to the backend. */
  readonly faults?: string | undefined
  /** Records that producers tried to send. */
  readonly sent: number
  readonly acked: number
  /** Different records that were handled, or outputs in a function round. */
  readonly handled: number
  readonly duplicates: number
  /** What {@link RoundResult.duplicates} may be at most. */
  readonly bound: number
  /** None: the round passed. */
  readonly problems: readonly string[]
}

/** A group that settles nothing for so long stands still. */
const drainMs = 20_000
/** How many times as long a group may take that does settle. */
const patience = 6

/** Makes the backend, or the way to it, fail at random while a round is played. */
export interface Saboteur {
  /** Begins; resolves at once. */
  start(seed: number): void
  /** Ends, with everything well again. Says what it did. */
  stop(): Promise<string>
  /** Does what changes the topic itself, without what the broker does not survive meanwhile. Default: at once. */
  sparing?<T>(work: () => Promise<T>): Promise<T>
}

/** Plays one round: processes at work, some of them killed, everything drained, everything checked. */
export async function playRound(scene: Scene, saboteur?: Saboteur): Promise<RoundResult> {
  const { outputs, plan, topic } = scene
  await using cloud = await connect(scene.address, { create: false })
  await cloud.admin.createTopic(topic, { partitions: plan.partitions, order: 'key' })
  if (plan.mode === 'function') await cloud.admin.createTopic(outputs, { order: 'key' })
  const cast = new Cast(scene)
  const problems: string[] = []
  await cast.open()
  saboteur?.start(plan.seed)
  let faults: string | undefined
  try {
    for (const step of plan.steps) {
      await pause(step.afterMs)
      problems.push(...(await harm(cloud, cast, scene, step, saboteur)))
      await cast.ready()
    }
  } finally {
    faults = await saboteur?.stop()
  }
  await pause(plan.calmMs)
  problems.push(...(await cast.stopProducers()))
  problems.push(...(await drained(cloud, cast, topic)))
  problems.push(...(await cast.stopMembers()), ...cast.failures)
  const judge = plan.mode === 'group' ? judgeGroup : judgeFunction
  const result = await judge(cloud, cast, scene, saboteur !== undefined)
  return { ...result, kills: cast.kills, faults, problems: [...problems, ...result.problems] }
}

/** Does one harm. Says what should not have happened. */
async function harm(
  cloud: Cloud,
  cast: Cast,
  scene: Scene,
  step: Step,
  saboteur: Saboteur | undefined,
): Promise<readonly string[]> {
  const { gapMs, victim } = step
  switch (step.harm) {
    case 'kill-producer':
      await cast.killProducer(victim)
      break
    case 'kill-consumer':
      await cast.killMember(victim)
      break
    case 'kill-both':
      await Promise.all([cast.killProducer(victim), cast.killMember(victim)])
      break
    case 'kill-after-first-ack':
      await cast.firstAck()
      await cast.killProducer(victim, true)
      break
    case 'kill-while-growing': {
      const kills = pause(gapMs).then(() => Promise.all([cast.killMember(victim), cast.killProducer(victim)]))
      await Promise.all([grow(cloud, scene.topic, saboteur), kills])
      break
    }
    case 'kill-while-closing':
      await cast.killClosingMember(victim, gapMs)
      break
    case 'leave': {
      const problem = await cast.replaceMember(victim)
      return problem === undefined ? [] : [problem]
    }
  }
  return []
}

async function grow(cloud: Cloud, topic: string, saboteur: Saboteur | undefined): Promise<void> {
  if (cloud.capabilities.repartition === false) return
  if (saboteur?.sparing === undefined) return growNow(cloud, topic)
  return saboteur.sparing(() => growNow(cloud, topic))
}

async function growNow(cloud: Cloud, topic: string): Promise<void> {
  const { partitions } = await patiently(openMs, () => cloud.admin.describeTopic(topic))
  const open = partitions.filter((partition) => partition.state === 'open').length
  await patiently(openMs, () => cloud.admin.setPartitions(topic, open + 1 + (open % 2)))
}

/** Waits until the group has settled everything. Says what is left when it stands still, or takes far too long. */
async function drained(cloud: Cloud, cast: Cast, topic: string): Promise<readonly string[]> {
  const started = performance.now()
  let least = Infinity
  let end = started + drainMs
  for (;;) {
    const waiting = (await lagOf(cloud, topic, cast.group)).filter((one) => behind(one) > 0)
    if (waiting.length === 0) return []
    if (cast.failures.length > 0) return ['stuck: not waited for, since a process ended by itself']
    const left = waiting.reduce((sum, one) => sum + behind(one), 0)
    if (left < least) end = Math.min(performance.now() + drainMs, started + drainMs * patience)
    least = Math.min(least, left)
    if (performance.now() > end) {
      const where = waiting.map((one) => `${behind(one)} in partition ${one.partition} of ${one.owner ?? 'nobody'}`)
      return [`stuck: after ${Math.round(performance.now() - started)} ms there are still ${where.join(', ')}`]
    }
    await pause(20)
  }
}

async function lagOf(cloud: Cloud, topic: string, group: string): Promise<readonly PartitionLag[]> {
  try {
    return await cloud.admin.lag(topic, group)
  } catch (error) {
    if (StreamError.is(error, 'not-found'))
      return [{ partition: '-', messages: 1, committed: undefined, owner: undefined }]
    throw error
  }
}

type Judgement = Omit<RoundResult, 'kills'>

async function judgeGroup(cloud: Cloud, cast: Cast, scene: Scene, backendFails: boolean): Promise<Judgement> {
  const attempted = cast.attempted()
  const stored = await readAll(cloud, scene.topic)
  const delivered = cast.delivered()
  const settings = scene.plan.member
  const members = cast.members()
  const mayRepeat = cloud.capabilities.dedup === false
  const history = { attempted, stored, delivered, members, settings, backendFails, mayRepeat }
  const { duplicates, problems } = checkHistory(history)
  const handled = new Set(delivered.filter((one) => one.outcome === 'done').map((one) => one.id)).size
  const acked = attempted.filter((record) => record.acked).length
  return { sent: attempted.length, acked, handled, duplicates: duplicates.count, bound: duplicates.bound, problems }
}

async function judgeFunction(cloud: Cloud, cast: Cast, scene: Scene): Promise<Judgement> {
  const attempted = cast.attempted()
  const inputs = await readAll(cloud, scene.topic)
  const outputs = await readAll(cloud, scene.outputs)
  const problems = checkOutputs({ attempted, inputs, outputs })
  const acked = attempted.filter((record) => record.acked).length
  const handled = new Set(outputs.map((one) => `${one.slot}-${one.seq}`)).size
  return { sent: attempted.length, acked, handled, duplicates: outputs.length - handled, bound: 0, problems }
}

async function readAll(cloud: Cloud, topic: string): Promise<readonly Stored[]> {
  const stored: Stored[] = []
  for await (const { key, value } of cloud.topic(topic, { codec: json<Output>() }).read()) {
    stored.push({ slot: value.slot, seq: value.seq, key })
  }
  return stored
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
