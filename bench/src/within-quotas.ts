import type { Item } from './cell.ts'
import { KinesisServers } from './kinesis-servers.ts'
import { keysOfShard } from './shard-keys.ts'
import { KinesisWay } from './ways/kinesis.ts'
import { SluiceWay } from './ways/sluice.ts'
import type { Way } from './ways/way.ts'

/** What can be sent where shards have the service's quotas, in records a second of each round. */
export interface WithinQuotasResult {
  readonly ours: readonly number[]
  readonly byHand: readonly number[]
}

const shards = 4
const window = 4_000
const cell = { bytes: 100, keys: 16, records: 0, window, singles: 0, perSecond: 0, seconds: 0 }
/** About three seconds of each, once what a shard lets pass at first is used up. */
const records = { ours: 60_000, byHand: 12_000 }

/** Sends records of 100 B, of four keys for each shard, into shards that take 1 000 records and 1 MB a second each. */
export async function benchWithinQuotas(rounds: number): Promise<WithinQuotasResult> {
  const [ours, byHand]: [number[], number[]] = [[], []]
  for (let round = 0; round < rounds; round++) {
    using servers = await KinesisServers.start('kinesis-with-quotas')
    byHand.push(await rateOf(await KinesisWay.open(servers.address), records.byHand))
    ours.push(await rateOf(await SluiceWay.open(servers.address, cell), records.ours))
  }
  return { ours, byHand }
}

async function rateOf(way: Way, count: number): Promise<number> {
  const keys = Array.from({ length: shards }, (_, shard) => keysOfShard(shard, shards, cell.keys / shards)).flat()
  const itemAt = (index: number): Item => ({
    key: keys[index % keys.length],
    value: { id: `a${index}`, cents: 1200, sentAt: 0, note: 'x'.repeat(cell.bytes - 60) },
  })
  await way.sendAll(itemAt, count, window)
  const started = performance.now()
  await way.sendAll(itemAt, count, window)
  const rate = (count * 1_000) / (performance.now() - started)
  await way.close()
  return rate
}
