import type { DriverTopic } from '@sluice/driver'
import type { Case } from '../case.ts'
import type { CaseContext } from '../context.ts'
import { each, equal, that } from '../expect.ts'
import { commitsAfterLoss, uncommitted, unexcusedRepeats } from '../progress.ts'
import { between as pick } from '../random.ts'
import { read } from '../reading.ts'
import type { Delivery } from '../reading.ts'
import { bench, leaseRanOut, member, messages, numbers, range, texts } from '../setup.ts'
import { keysInOrder } from './groups.ts'

/** A group whose members come, go and die without end. */
export const stormCases: readonly Case[] = [
  {
    name: 'group/storm',
    title:
      'members join, leave and die at random: all is seen, repeats are bounded, and no lost partition is committed',
    run: storm,
    deadlineMs: 40_000,
  },
]

function copies(context: CaseContext): number {
  return context.world.harness.copies ?? 1
}

interface Storm {
  readonly name: string
  readonly group: string
  readonly driverTopic: DriverTopic
  readonly into: Delivery<number>[]
  readonly lost: string[]
  /** Records handled by members that died, and not committed. */
  atRisk: number
}

interface StormMember {
  leave(): Promise<void>
  die(): Promise<void>
}

async function enterStorm(context: CaseContext, storm: Storm, who: string): Promise<StormMember> {
  const made = await context.shimmed()
  const mine: Delivery<number>[] = []
  const handle = async (_: unknown, delivery: Delivery<number>): Promise<void> => {
    // What a dead process would have read ahead, it does not hand out any more.
    if (made.dead()) return new Promise(() => undefined)
    storm.into.push(delivery)
    await context.pause(pick(context.random, 0, 3))
  }
  const consumer = member(numbers(made.cloud, storm.name), storm.group)
  const reading = read(context, consumer, { member: who, into: mine, handle })
  return {
    leave: async () => {
      await reading.stop()
      storm.lost.push(...commitsAfterLoss(made.shim))
    },
    die: async () => {
      await made.crash()
      storm.atRisk += uncommitted(made.shim, mine, storm.driverTopic)
      storm.lost.push(...commitsAfterLoss(made.shim))
    },
  }
}

async function storm(context: CaseContext): Promise<void> {
  const { topic, name } = await bench(context, context.world.order === 'key' ? { partitions: 6 } : {})
  const group = context.name('g')
  const driver = await context.openDriver()
  const driverTopic = await driver.openTopic(name, context.signal)
  const into: Delivery<number>[] = []
  const lost: string[] = []
  const storming: Storm = { name, group, driverTopic, into, lost, atRisk: 0 }
  const enter = (who: string): Promise<StormMember> => enterStorm(context, storming, who)
  const total = 900
  const members = [await enter('m0'), await enter('m1')]
  const producer = topic.producer()
  for (let round = 0; round < 9; round++) {
    const part = await producer.sendAll(messages(100, 30, round * 100))
    equal(part.filter((result) => !result.ok).length, 0, 'sends that failed')
    await context.pause(pick(context.random, 10, 80))
    if (round % 3 === 0) members.push(await enter(`m${round + 2}`))
    else if (round % 3 === 1) await members.shift()?.leave()
    else {
      await members.shift()?.die()
      members.push(await enter(`m${round + 2}`))
    }
  }
  const seen = (): number => new Set(into.map((delivery) => delivery.value)).size
  await context.eventually(() => that(seen() >= total, `${seen()} of ${total} records were seen`), 20_000)
  await context.settleWindow()
  await Promise.all(members.map((one) => one.leave()))
  await producer.close()
  const values = into.map((delivery) => delivery.value)
  each(texts(values), texts(range(total)), Infinity, 'records through the storm')
  const compare = context.world.shape === 'log' ? driverTopic.comparePositions.bind(driverTopic) : undefined
  const unexcused = unexcusedRepeats(into, compare, leaseRanOut(context))
  const bound = storming.atRisk + total * (copies(context) - 1) + (context.world.harness.strayRepeats ?? 0)
  that(
    context.world.harness.ackedMayRepeat === true || unexcused.length <= bound,
    `${unexcused.length} records came again; ${bound} were not committed when a member died: ${unexcused.slice(0, 5).join(', ')}`,
  )
  keysInOrder(context, into, 30, total)
  equal(lost, [], 'commits of partitions that were lost')
}
