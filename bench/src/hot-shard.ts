import { connect } from '@sluice/core'
import type { Producer } from '@sluice/core'
import type { KinesisServers } from './kinesis-servers.ts'
import { keysOfShard } from './shard-keys.ts'

/** What a shard that refuses everything did to the others. */
export interface HotShardResult {
  readonly shards: number
  /** Records a second into the other shards, of each round: while nobody sends to the hot one, and while somebody does. */
  readonly without: readonly number[]
  readonly withIt: readonly number[]
  /** Sends to the hot shard that waited until it took records again, and were stored then. */
  readonly waited: number
}

const shards = 8
const bytes = 1_024
/** Sends under way of each sender. */
const window = 500
const measuredMs = 3_000
const warmUpMs = 2_000

/** A sender for each shard, all through one producer; the first shard refuses all records, as over its quota. */
export async function benchHotShard(servers: KinesisServers, rounds: number): Promise<HotShardResult> {
  await using cloud = await connect(servers.address, { create: true })
  const topic = cloud.topic('hot', { partitions: shards })
  await topic.limits()
  const producer = topic.producer()
  const [hot, ...others] = Array.from(
    { length: shards },
    (_, shard) => new Sender(producer, keysOfShard(shard, shards, 1)[0]),
  )
  const rate = async (): Promise<number> => {
    const before = storedBy(others)
    const started = performance.now()
    await new Promise((resolve) => setTimeout(resolve, measuredMs))
    return ((storedBy(others) - before) * 1_000) / (performance.now() - started)
  }
  for (const sender of others) sender.start()
  await new Promise((resolve) => setTimeout(resolve, warmUpMs))
  const [without, withIt]: [number[], number[]] = [[], []]
  let waited = 0
  for (let round = 0; round < rounds; round++) {
    without.push(await rate())
    await servers.kinesis.throttle('hot', shardId(0))
    hot?.start()
    withIt.push(await rate())
    const stopped = hot?.stop()
    await servers.kinesis.throttle('hot', undefined)
    waited += (await stopped) ?? 0
  }
  for (const sender of others) await sender.stop()
  await producer.close()
  await cloud.admin.deleteTopic('hot')
  return { shards, without, withIt, waited }
}

/** Keeps a window of sends of one key under way. */
class Sender {
  readonly #producer: Producer<unknown>
  readonly #key: string | undefined
  #running = false
  #lanes: readonly Promise<void>[] = []
  stored = 0

  constructor(producer: Producer<unknown>, key: string | undefined) {
    this.#producer = producer
    this.#key = key
  }

  start(): void {
    this.#running = true
    this.#lanes = Array.from({ length: window }, () => this.#send())
  }

  /** Resolves when all that is under way is stored, with how many that were. */
  async stop(): Promise<number> {
    this.#running = false
    await Promise.all(this.#lanes)
    return this.#lanes.length
  }

  async #send(): Promise<void> {
    const key = this.#key === undefined ? {} : { key: this.#key }
    const value = { note: 'x'.repeat(bytes - 60) }
    while (this.#running) {
      await this.#producer.send({ ...key, value })
      this.stored++
    }
  }
}

function storedBy(senders: readonly Sender[]): number {
  return senders.reduce((sum, { stored }) => sum + stored, 0)
}

function shardId(shard: number): string {
  return `shardId-${String(shard).padStart(12, '0')}`
}
