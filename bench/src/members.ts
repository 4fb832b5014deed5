import { connect } from '@sluice/core'
import type { Cloud, Consumer } from '@sluice/core'

/** What many partitions and many members cost. */
export interface MembersResult {
  readonly partitions: number
  readonly members: number
  /** From the first member's start until each has its share, in seconds. */
  readonly balancedAfter: number
  /** As before, once two members of ten have left in good order. */
  readonly rebalancedAfter: number
  /** The fewest and the most partitions a member has, at the end of the first balance. */
  readonly shares: readonly [number, number]
  /** Messages per second that reach the server and that leave it while nothing is sent. */
  readonly idleIn: number
  readonly idleOut: number
  /** CPU of all members together while nothing is sent, in percent of one core. */
  readonly idleCpu: number
  readonly serverCpu: number
}

const idleMs = 20_000
const patienceMs = 120_000

/** What the server counts; from its monitoring port. */
interface Varz {
  readonly in_msgs: number
  readonly out_msgs: number
  readonly cpu: number
}

/** Balances a group over many partitions and looks at what it does when there is nothing to do. */
export async function benchMembers(url: string, monitor: string): Promise<MembersResult> {
  const [partitions, members] = [1_000, 10]
  const clouds: Cloud[] = []
  for (let index = 0; index < members; index++) clouds.push(await connect(url, { create: true }))
  const [first] = clouds
  await first?.admin.createTopic('wide', { partitions, order: 'key' })
  const started = performance.now()
  const consumers = clouds.map((cloud) => cloud.topic('wide').consumer({ group: 'many' }))
  const running = consumers.map((consumer) => consumer.run(() => undefined))
  await balanced(consumers, partitions)
  const balancedAfter = secondsSince(started)
  const shares = consumers.map((consumer) => consumer.stats().partitions.length)
  const idle = await whileIdle(monitor)
  const leaving = performance.now()
  await Promise.all(consumers.slice(8).map((consumer) => consumer.close()))
  await balanced(consumers.slice(0, 8), partitions)
  const rebalancedAfter = secondsSince(leaving)
  await Promise.all(consumers.map((consumer) => consumer.close()))
  await Promise.all(running)
  await Promise.all(clouds.map((cloud) => cloud.close()))
  return {
    partitions,
    members,
    balancedAfter,
    rebalancedAfter,
    shares: [Math.min(...shares), Math.max(...shares)],
    ...idle,
  }
}

/** Waits until every partition has a member, and no member has two more than another. */
async function balanced(consumers: readonly Consumer<unknown>[], partitions: number): Promise<void> {
  const end = performance.now() + patienceMs
  for (;;) {
    const shares = consumers.map((consumer) => consumer.stats().partitions.length)
    const all = shares.reduce((sum, share) => sum + share, 0)
    if (all === partitions && Math.max(...shares) - Math.min(...shares) <= 1) return
    if (performance.now() > end) throw new Error(`not balanced after ${patienceMs} ms: ${shares.join(', ')}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

async function whileIdle(
  monitor: string,
): Promise<Pick<MembersResult, 'idleIn' | 'idleOut' | 'idleCpu' | 'serverCpu'>> {
  // What the balance has left behind is over by then.
  await new Promise((resolve) => setTimeout(resolve, 5_000))
  const before = await varz(monitor)
  const cpu = process.cpuUsage()
  await new Promise((resolve) => setTimeout(resolve, idleMs))
  const { system, user } = process.cpuUsage(cpu)
  const after = await varz(monitor)
  const perSecond = (from: number, to: number): number => (to - from) / (idleMs / 1_000)
  return {
    idleIn: perSecond(before.in_msgs, after.in_msgs),
    idleOut: perSecond(before.out_msgs, after.out_msgs),
    idleCpu: ((user + system) / 1_000 / idleMs) * 100,
    serverCpu: after.cpu,
  }
}

async function varz(monitor: string): Promise<Varz> {
  return (await (await fetch(`${monitor}/varz`)).json()) as Varz
}

function secondsSince(started: number): number {
  return (performance.now() - started) / 1_000
}
