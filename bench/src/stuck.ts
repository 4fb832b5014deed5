import { connect } from '@sluice/core'
import { Folder } from './folder.ts'

/** What a stuck handler did to everybody else. */
export interface StuckResult {
  readonly backlog: number
  readonly ofStuckKey: number
  readonly handledMeanwhile: number
  readonly parked: number
  readonly rssMiBAtTenth: number
  readonly rssMiBAtEnd: number
  readonly seconds: number
  /** Whether every record of the stuck key came, in order, once it was let go. */
  readonly recovered: boolean
}

/** Puts a backlog into a folder, sticks the handler on the first record of one key of sixteen, and watches the others flow. */
export async function benchStuck(backlog: number): Promise<StuckResult> {
  using folder = new Folder()
  await using cloud = await connect(`local:${folder.path}`)
  const topic = cloud.topic('stuck', { partitions: 4 })
  const producer = topic.producer()
  let wave: Promise<unknown>[] = []
  for (let index = 0; index < backlog; index++) {
    wave.push(producer.send({ key: `key-${index % 16}`, value: { index, pad: 'x'.repeat(80) } }))
    if (wave.length < 10_000) continue
    await Promise.all(wave)
    wave = []
  }
  await Promise.all(wave)
  await producer.close()
  const ofStuckKey = Math.ceil(backlog / 16)
  const release = Promise.withResolvers<void>()
  const othersDone = Promise.withResolvers<void>()
  const stuckSeen: number[] = []
  let handled = 0
  let rssMiBAtTenth = 0
  const consumer = topic.consumer({ group: 'watch' })
  const started = performance.now()
  const running = consumer.run(async (message) => {
    const { index } = message.value as { readonly index: number }
    if (message.key === 'key-0') {
      if (stuckSeen.length === 0) await release.promise
      stuckSeen.push(index)
      if (stuckSeen.length === ofStuckKey) void consumer.close()
      return
    }
    handled++
    if (handled === Math.floor(backlog / 10)) rssMiBAtTenth = rssMiB()
    if (handled === backlog - ofStuckKey) othersDone.resolve()
  })
  await othersDone.promise
  const result = {
    handledMeanwhile: handled,
    parked: consumer.stats().parked,
    rssMiBAtTenth,
    rssMiBAtEnd: rssMiB(),
    seconds: (performance.now() - started) / 1000,
  }
  release.resolve()
  await running
  const inOrder = stuckSeen.every((index, at) => index === at * 16)
  return { backlog, ofStuckKey, ...result, recovered: inOrder && stuckSeen.length === ofStuckKey }
}

function rssMiB(): number {
  globalThis.gc?.()
  return Math.round(process.memoryUsage.rss() / 1024 / 1024)
}
