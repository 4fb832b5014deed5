import { connect } from '@sluice/core'
import type { Cloud, Topic } from '@sluice/core'
import { inFolder, rate } from './measure.ts'
import type { Pair } from './measure.ts'
import { RawLog } from './raw-sqlite.ts'

const partitions = 4
const keys = Array.from({ length: 16 }, (_, index) => `key-${index}`)
const batch = 1_000

/** What is sent: about 1 KB of JSON. */
const value = { id: 'a1b2c3', cents: 1200, note: 'x'.repeat(970) }

interface Rates {
  readonly append: number
  readonly consume: number
}

function recordAt(index: number): { readonly key: string; readonly value: typeof value } {
  return { key: keys[index % keys.length] ?? '', value }
}

function byHand(folder: string, records: number): Promise<Rates> {
  const log = new RawLog(folder, partitions)
  return (async () => {
    const append = await rate(records, () => {
      for (let done = 0; done < records; done += batch)
        log.append(Array.from({ length: batch }, (_, index) => recordAt(done + index)))
    })
    let seen = 0
    const consume = await rate(records, () => log.consume(() => void seen++))
    log.close()
    if (seen !== records) throw new Error(`by hand: ${seen} of ${records} records came back`)
    return { append, consume }
  })()
}

async function ours(folder: string, records: number): Promise<Rates> {
  await using cloud: Cloud = await connect(`local:${folder}`)
  const topic = cloud.topic('bench', { partitions }) as Topic<typeof value>
  await topic.limits()
  const append = await rate(records, async () => {
    const producer = topic.producer()
    // Two waves of sends: while one is waited for, the other goes on its way.
    let [before, wave]: [Promise<unknown>, Promise<unknown>[]] = [Promise.resolve(), []]
    for (let index = 0; index < records; index++) {
      wave.push(producer.send(recordAt(index)))
      if (wave.length < 4 * batch) continue
      await before
      before = Promise.all(wave)
      wave = []
    }
    await producer.close()
    await Promise.all([before, ...wave])
  })
  let seen = 0
  const consume = await rate(records, async () => {
    const consumer = topic.consumer({ group: 'bench' })
    await consumer.run(() => {
      if (++seen === records) void consumer.close()
    })
  })
  if (seen !== records) throw new Error(`ours: ${seen} of ${records} records came back`)
  return { append, consume }
}

/** Appends and consumes 1 KB records through the whole SDK, and by hand, in turn; every figure is of a fresh folder. */
export async function benchLocal(rounds: number, records: number): Promise<readonly Pair[]> {
  const results: { readonly ours: Rates; readonly byHand: Rates }[] = []
  for (let round = 0; round <= rounds; round++) {
    const hand = await inFolder((folder) => byHand(folder, records))
    const own = await inFolder((folder) => ours(folder, records))
    // The first round warms up.
    if (round > 0) results.push({ ours: own, byHand: hand })
  }
  const pair = (name: string, pick: (rates: Rates) => number): Pair => ({
    name,
    ours: results.map((result) => pick(result.ours)),
    byHand: results.map((result) => pick(result.byHand)),
  })
  const both = (rates: Rates): number => 1 / (1 / rates.append + 1 / rates.consume)
  return [
    pair('append, 1 KB', (rates) => rates.append),
    pair('consume, 1 KB', (rates) => rates.consume),
    pair('append, then consume', both),
  ]
}
