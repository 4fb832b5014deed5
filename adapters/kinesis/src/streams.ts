import {
  CreateStreamCommand,
  DecreaseStreamRetentionPeriodCommand,
  DeleteStreamCommand,
  DescribeStreamSummaryCommand,
  IncreaseStreamRetentionPeriodCommand,
  ListShardsCommand,
  ListStreamsCommand,
  StartStreamEncryptionCommand,
} from '@aws-sdk/client-kinesis'
import type { KinesisClient, Shard, StreamDescriptionSummary } from '@aws-sdk/client-kinesis'
import { sleep, StreamError } from '@sluice/driver'
import type { Clock } from '@sluice/driver'
import type { Calls } from './calls.ts'
import type { KinesisConfig } from './config.ts'
import { isInUse, noAnswer } from './errors.ts'
import { ShardMap, toShardInfo } from './shards.ts'

/** What works on streams work with. */
export interface StreamsContext {
  readonly client: KinesisClient
  readonly calls: Calls
  readonly config: KinesisConfig
  readonly clock: Clock
}

/** A stream as the service describes it. */
export interface StreamInfo {
  readonly name: string
  readonly arn: string
  readonly status: string
  readonly createdMs: number
  readonly openShards: number
  readonly retentionHours: number
  readonly maxRecordBytes: number
  readonly onDemand: boolean
  /** The service spreads records as it likes, and ignores their keys. */
  readonly ignoresKeys: boolean
  readonly encrypted: boolean
}

/** How soon to look again for a state that takes time, in milliseconds: at first, and at last. */
const lookAgain = { firstMs: 10, mostMs: 1_000 }
/** What the service takes where it does not say otherwise. */
const usualRecordKiB = 1_024

/** Streams, by the calls of the service. */
export class Streams {
  readonly #context: StreamsContext

  constructor(context: StreamsContext) {
    this.#context = context
  }

  get clock(): Clock {
    return this.#context.clock
  }

  /** Rejects with `not-found` when there is no such stream. */
  async describe(name: string, signal?: AbortSignal): Promise<StreamInfo> {
    const { client, calls } = this.#context
    const { StreamDescriptionSummary: summary } = await calls.run(
      { operation: 'describe', topic: name, signal },
      (abortSignal) => client.send(new DescribeStreamSummaryCommand({ StreamName: name }), { abortSignal }),
    )
    return toStreamInfo(name, summary)
  }

  /** Waits for a stream that is made or changed. Rejects with `not-found` when it is deleted, and with `timeout`. */
  async active(name: string, signal?: AbortSignal): Promise<StreamInfo> {
    return this.#inState(name, ['ACTIVE'], signal)
  }

  /** As {@link active}, but not for changes: while they last, it can be read and written. */
  async usable(name: string, signal?: AbortSignal): Promise<StreamInfo> {
    return this.#inState(name, ['ACTIVE', 'UPDATING'], signal)
  }

  #inState(name: string, states: readonly string[], signal: AbortSignal | undefined): Promise<StreamInfo> {
    return this.#until(name, signal, async () => {
      const info = await this.describe(name, signal)
      if (info.status === 'DELETING') throw beingDeleted(name)
      return states.includes(info.status) ? info : undefined
    })
  }

  async shards(name: string, signal?: AbortSignal): Promise<ShardMap> {
    const { client, calls } = this.#context
    const shards: Shard[] = []
    let token: string | undefined
    do {
      const input = token === undefined ? { StreamName: name } : { NextToken: token }
      const page = await calls.run({ operation: 'list shards', topic: name, signal }, (abortSignal) =>
        client.send(new ListShardsCommand(input), { abortSignal }),
      )
      // That a stream has none would have its leases cleaned up.
      if (page.Shards === undefined) throw noAnswer(`list shards on topic "${name}"`)
      shards.push(...page.Shards)
      token = page.NextToken
    } while (token !== undefined)
    return new ShardMap(shards.map(toShardInfo))
  }

  async names(signal: AbortSignal): Promise<readonly string[]> {
    const { client, calls } = this.#context
    const names: string[] = []
    let more = true
    while (more) {
      const last = names.at(-1)
      const input = last === undefined ? {} : { ExclusiveStartStreamName: last }
      // A page has a hundred at most, and an account five a second.
      const page = await this.#until('', signal, () =>
        calls.run({ operation: 'list topics', signal }, (abortSignal) =>
          client.send(new ListStreamsCommand(input), { abortSignal }),
        ),
      )
      names.push(...(page.StreamNames ?? []))
      more = page.HasMoreStreams === true && (page.StreamNames ?? []).length > 0
    }
    return names
  }

  /** Makes a stream and waits until it is active; says whether it was there already. */
  async create(name: string, shards: number, signal: AbortSignal): Promise<'created' | 'exists'> {
    const { client, calls, config } = this.#context
    const input =
      config.capacity === 'on-demand'
        ? { StreamName: name, StreamModeDetails: { StreamMode: 'ON_DEMAND' as const } }
        : { StreamName: name, ShardCount: shards }
    let outcome: 'created' | 'exists' = 'created'
    await this.#until(name, signal, async () => {
      try {
        await calls.run({ operation: 'create', topic: name, signal }, (abortSignal) =>
          client.send(new CreateStreamCommand(input), { abortSignal }),
        )
        return true
      } catch (error) {
        if (!(error instanceof StreamError) || !isInUse(error.cause)) throw error
        // There is one; if it is on its way out, its name is free in a moment.
        if (await this.#isLeaving(name, signal)) return undefined
        outcome = 'exists'
        return true
      }
    })
    const { arn } = await this.active(name, signal)
    if (outcome === 'created' && config.kmsKey !== undefined) await this.#encrypt(name, arn, config.kmsKey, signal)
    return outcome
  }

  /** Deletes a stream and waits until it is gone, or another has its name. */
  async remove({ name, createdMs }: StreamInfo, signal: AbortSignal): Promise<void> {
    const { client, calls } = this.#context
    await calls.run({ operation: 'delete', topic: name, signal }, (abortSignal) =>
      client.send(new DeleteStreamCommand({ StreamName: name, EnforceConsumerDeletion: true }), { abortSignal }),
    )
    await this.#until(name, signal, async () => {
      try {
        return (await this.describe(name, signal)).createdMs !== createdMs || undefined
      } catch (error) {
        if (StreamError.is(error, 'not-found')) return true
        throw error
      }
    })
  }

  async setRetention(name: string, hours: number, signal: AbortSignal): Promise<void> {
    const { client, calls } = this.#context
    const { retentionHours } = await this.active(name, signal)
    if (retentionHours === hours) return
    const input = { StreamName: name, RetentionPeriodHours: hours }
    await calls.run({ operation: 'set retention', topic: name, signal }, async (abortSignal) => {
      if (hours > retentionHours) await client.send(new IncreaseStreamRetentionPeriodCommand(input), { abortSignal })
      else await client.send(new DecreaseStreamRetentionPeriodCommand(input), { abortSignal })
    })
    await this.active(name, signal)
  }

  async #encrypt(name: string, StreamARN: string, KeyId: string, signal: AbortSignal): Promise<void> {
    const { client, calls } = this.#context
    const input = { StreamARN, StreamName: name, EncryptionType: 'KMS' as const, KeyId }
    await calls.run({ operation: 'encrypt', topic: name, signal }, (abortSignal) =>
      client.send(new StartStreamEncryptionCommand(input), { abortSignal }),
    )
    await this.active(name, signal)
  }

  async #isLeaving(name: string, signal: AbortSignal): Promise<boolean> {
    try {
      return (await this.describe(name, signal)).status === 'DELETING'
    } catch (error) {
      if (StreamError.is(error, 'not-found')) return true
      throw error
    }
  }

  /** Looks until there is something to see. Calls that the account's rate refuses are made again. */
  async #until<T>(name: string, signal: AbortSignal | undefined, look: () => Promise<T | undefined>): Promise<T> {
    const { clock, config } = this.#context
    const end = clock.monotonic() + config.readyTimeoutMs
    for (let waitMs = lookAgain.firstMs; ; waitMs = Math.min(lookAgain.mostMs, waitMs * 2)) {
      try {
        const seen = await look()
        if (seen !== undefined) return seen
      } catch (error) {
        if (!StreamError.is(error, 'throttled') || !error.retryable || clock.monotonic() > end) throw error
      }
      if (clock.monotonic() > end)
        throw new StreamError(
          'timeout',
          `stream "${name}" did not become ready within ${config.readyTimeoutMs} ms; it may still do so, and ?readyTimeoutMs allows more`,
        )
      await sleep(clock, waitMs, signal)
    }
  }
}

function toStreamInfo(name: string, summary: StreamDescriptionSummary | undefined): StreamInfo {
  const distribution = summary?.RecordDistributionStrategy
  return {
    name,
    arn: summary?.StreamARN ?? '',
    status: summary?.StreamStatus ?? '',
    createdMs: summary?.StreamCreationTimestamp?.getTime() ?? 0,
    openShards: summary?.OpenShardCount ?? 0,
    retentionHours: summary?.RetentionPeriodHours ?? 24,
    maxRecordBytes: (summary?.MaxRecordSizeInKiB ?? usualRecordKiB) * 1_024,
    onDemand: summary?.StreamModeDetails?.StreamMode === 'ON_DEMAND',
    ignoresKeys: distribution === 'AUTO',
    encrypted: summary?.EncryptionType === 'KMS',
  }
}

function beingDeleted(name: string): StreamError {
  return new StreamError('not-found', `stream "${name}" is being deleted`, { details: { topic: name } })
}
