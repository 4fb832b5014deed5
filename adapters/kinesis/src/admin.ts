import { sleep, StreamError } from '@sluice/driver'
import type { DriverAdmin, Lease, PartitionLag, StartFrom, TopicDescription, TopicSpec } from '@sluice/driver'
import type { FanOutConsumers } from './fan-out.ts'
import { passedBy, scopeOf } from './groups.ts'
import type { Groups } from './groups.ts'
import { lagOf } from './lag.ts'
import { setShardCount } from './resharding.ts'
import type { ServerTime } from './server-time.ts'
import type { Streams, StreamsContext } from './streams.ts'
import { TopicView } from './topic.ts'

/** What the administration works with. */
export interface AdminContext extends StreamsContext {
  readonly streams: Streams
  readonly groups: Groups
  readonly consumers: FanOutConsumers
  readonly time: ServerTime
  /** A group was moved or a topic has other partitions: members of this connection look at their leases at once. */
  readonly onChange: (topic: string) => void
}

const streamName = /^[\w.-]{1,128}$/
const hourMs = 3_600_000
/** How long a stream can keep records, in hours. Source: API reference, IncreaseStreamRetentionPeriod. */
const hours = { least: 24, most: 8_760 }
const mostPartitions = 10_000
/** A stream so young may still be made by somebody else; and how long they are given, and how soon it is looked at, in milliseconds. */
const [youngMs, makingMs, lookEveryMs] = [60_000, 3_000, 250]

/** Looks after streams and groups. */
export class KinesisAdmin implements DriverAdmin {
  readonly #context: AdminContext

  constructor(context: AdminContext) {
    this.#context = context
  }

  async createTopic(name: string, spec: TopicSpec, signal: AbortSignal): Promise<'created' | 'exists'> {
    refuseAborted(signal, 'create')
    checkName(name)
    checkSpec(name, spec)
    const { streams, config } = this.#context
    const retentionHours = spec.retentionMs === undefined ? undefined : toHours(spec.retentionMs)
    const outcome = await streams.create(name, spec.partitions ?? config.partitions, signal)
    if (outcome === 'created') {
      if (retentionHours !== undefined) await streams.setRetention(name, retentionHours, signal)
      return outcome
    }
    await this.#checkAsAsked(name, { partitions: spec.partitions, retentionHours }, signal)
    return outcome
  }

  /**
   * Throws `conflict` where a stream is not as it is asked for. What has just been made is looked at again: whoever made it sets its
   * retention and encryption only then.
   */
  async #checkAsAsked(
    name: string,
    {
      partitions,
      retentionHours,
    }: { readonly partitions: number | undefined; readonly retentionHours: number | undefined },
    signal: AbortSignal,
  ): Promise<void> {
    const { streams, config, clock, time } = this.#context
    const end = clock.monotonic() + makingMs
    for (;;) {
      const info = await streams.describe(name, signal)
      if (partitions !== undefined && !info.onDemand && partitions !== info.openShards)
        throw existsWith(name, `${info.openShards} partitions, not ${partitions}`)
      const differs =
        retentionHours !== undefined && retentionHours !== info.retentionHours
          ? `a retention of ${info.retentionHours} hours, not ${retentionHours}`
          : config.kmsKey !== undefined && !info.encrypted
            ? 'records that are not encrypted, and ?kmsKey asks for that'
            : undefined
      if (differs === undefined) return
      if (time.now() - info.createdMs > youngMs || clock.monotonic() > end) throw existsWith(name, differs)
      await sleep(clock, lookEveryMs, signal)
    }
  }

  async describeTopic(name: string, signal: AbortSignal): Promise<TopicDescription> {
    refuseAborted(signal, 'describe')
    const { streams } = this.#context
    const { retentionHours } = await streams.usable(name, signal)
    const shards = await streams.shards(name, signal)
    return {
      name,
      order: 'key',
      partitions: shards.all.map(({ id, parents, open }) => ({
        id,
        parents: parents.filter((parent) => shards.byId(parent) !== undefined),
        state: open ? 'open' : 'ended',
      })),
      retentionMs: retentionHours * hourMs,
      retentionBytes: undefined,
    }
  }

  async listTopics(signal: AbortSignal): Promise<readonly string[]> {
    refuseAborted(signal, 'list topics')
    return this.#context.streams.names(signal)
  }

  async setPartitions(name: string, count: number, signal: AbortSignal): Promise<void> {
    refuseAborted(signal, 'set partitions')
    checkSpec(name, { partitions: count })
    await setShardCount(this.#context, this.#context.streams, name, count, signal)
    this.#context.onChange(name)
  }

  async setRetention(
    name: string,
    retention: Pick<TopicSpec, 'retentionMs' | 'retentionBytes'>,
    signal: AbortSignal,
  ): Promise<void> {
    refuseAborted(signal, 'set retention')
    checkSpec(name, retention)
    const { retentionMs } = retention
    await this.#context.streams.setRetention(
      name,
      retentionMs === undefined ? hours.least : toHours(retentionMs),
      signal,
    )
  }

  async deleteTopic(name: string, signal: AbortSignal): Promise<void> {
    refuseAborted(signal, 'delete')
    const { streams, groups } = this.#context
    const topic = await this.#open(name, signal)
    const known = await groups.kept(topic, signal)
    await streams.remove(topic.info, signal)
    for (const { group, table } of known) await groups.drop(topic, group, signal, table)
    this.#context.onChange(name)
  }

  async listGroups(topic: string, signal: AbortSignal): Promise<readonly string[]> {
    refuseAborted(signal, 'list groups')
    return this.#context.groups.list(await this.#open(topic, signal), signal)
  }

  async deleteGroup(topic: string, group: string, signal: AbortSignal): Promise<void> {
    refuseAborted(signal, 'delete group')
    const { groups, consumers, config } = this.#context
    const view = await this.#open(topic, signal)
    await groups.forget(view, group, signal)
    // Its members may have had one, which is paid for by the hour, whatever mode is set here.
    try {
      await consumers.forget(view.info, group, signal)
    } catch (error) {
      if (config.mode === 'efo' || !StreamError.is(error, 'permission-denied')) throw error
    }
  }

  async seek(topic: string, group: string, to: StartFrom, signal: AbortSignal): Promise<void> {
    refuseAborted(signal, 'seek')
    await this.#context.groups.move(await this.#open(topic, signal), group, to, signal)
    this.#context.onChange(topic)
  }

  async lag(topic: string, group: string, signal: AbortSignal): Promise<readonly PartitionLag[]> {
    refuseAborted(signal, 'lag')
    const { groups, client, calls, clock, time } = this.#context
    const view = await this.#open(topic, signal)
    const known = await groups.leases(view, group)
    const leases = new Map(known.map((lease) => [lease.partition, lease]))
    const passed = passedBy(known, view.shards)
    const beginning = await groups.beginningOf({ kind: 'earliest' }, view)
    const context = { client, calls, clock, nowMs: time.now(), signal }
    return Promise.all(
      view.shards.all.map((shard) => {
        const lease: Lease = leases.get(shard.id) ?? {
          ...noLease,
          scope: scopeOf(view, group),
          partition: shard.id,
          parents: shard.parents,
          ended: passed.has(shard.id),
        }
        return lagOf(context, view, lease, groups.placeOf(lease, view.shards, beginning))
      }),
    )
  }

  #open(topic: string, signal: AbortSignal): Promise<TopicView> {
    return TopicView.open(this.#context.streams, topic, signal)
  }
}

/** Of a shard that no member has seen yet: all of it is ahead. */
const noLease = { owner: undefined, handoffTo: undefined, epoch: 0, checkpoint: undefined, ended: false, version: 0 }

function existsWith(name: string, what: string): StreamError {
  return new StreamError('conflict', `topic "${name}" exists with ${what}`)
}

function refuseAborted(signal: AbortSignal, operation: string): void {
  if (signal.aborted) throw StreamError.aborted(signal, operation)
}

/** Whole hours, rather one more than one less. */
function toHours(ms: number): number {
  return Math.ceil(ms / hourMs)
}

function checkName(name: string): void {
  if (streamName.test(name)) return
  throw new StreamError(
    'invalid-argument',
    `"${name}" cannot name a topic; use at most 128 letters, digits, "_", "-" and "."`,
  )
}

function checkSpec(name: string, spec: TopicSpec): void {
  const { partitions, retentionMs, retentionBytes, order } = spec
  if (order === 'none')
    throw new StreamError('unsupported', `topic "${name}" cannot have order none: a stream of Kinesis is no queue`)
  if (retentionBytes !== undefined)
    throw new StreamError(
      'unsupported',
      `topic "${name}" cannot have retentionBytes: Kinesis keeps records by age alone`,
    )
  const wrong =
    partitions !== undefined && !isWhole(partitions, 1, mostPartitions)
      ? `partitions ${partitions}; write a whole number from 1 to ${mostPartitions}`
      : retentionMs !== undefined && !isWhole(retentionMs, hours.least * hourMs, hours.most * hourMs)
        ? `retentionMs ${retentionMs}; write milliseconds from ${hours.least * hourMs} (24 hours) to ${hours.most * hourMs} (365 days)`
        : order !== undefined && order !== 'key'
          ? `order ${String(order)}; write key`
          : undefined
  if (wrong !== undefined) throw new StreamError('invalid-argument', `topic "${name}" cannot have ${wrong}`)
}

function isWhole(value: number, min: number, max: number): boolean {
  return Number.isSafeInteger(value) && value >= min && value <= max
}
