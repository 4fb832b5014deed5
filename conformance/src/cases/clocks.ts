import type { Case } from '../case.ts'
import type { CaseContext } from '../context.ts'
import { equal, that } from '../expect.ts'
import { JumpingClock } from '../faults/jumping-clock.ts'
import { read } from '../reading.ts'
import type { Delivery, Reading } from '../reading.ts'
import { allOnce, bench, member, messages, numbers, range, sendAll } from '../setup.ts'
import { allTakePart, keysInOrder, sharing } from './groups.ts'

/** Clocks that are set while everything runs. */
export const clockCases: readonly Case[] = [
  {
    name: 'fault/clock-jump',
    title: 'clocks that are set hours ahead or back move no partition, and lose, repeat and reorder nothing',
    run: clockJump,
    deadlineMs: 60_000,
  },
]

const hourMs = 3_600_000
const keys = 40
/** Of the sender and of two members: one after the other, to different times, and back. */
const jumps: readonly (readonly [number, number, number])[] = [
  [0, hourMs, 0],
  [0, hourMs, -24 * hourMs],
  [2 * hourMs, -hourMs, 24 * hourMs],
  [-2 * hourMs, 0, 0],
  [0, 0, 0],
]
const batch = 100

/** Until every partition has its member, and nothing is left to be moved. */
async function allShared(
  context: CaseContext,
  held: () => readonly (readonly string[])[],
  partitions: number,
): Promise<void> {
  if (context.world.shape === 'queue') return
  await context.eventually(() => {
    const counts = held().map((each) => each.length)
    const all = counts.reduce((sum, count) => sum + count, 0)
    that(
      all === partitions && Math.max(...counts) - Math.min(...counts) <= 1,
      `the ${partitions} partitions are shared evenly: ${counts.join(', ')}`,
    )
  })
}

async function clockJump(context: CaseContext): Promise<void> {
  const [ofSender, ofOne, ofTwo] = [new JumpingClock(), new JumpingClock(), new JumpingClock()]
  const { topic, name, cloud } = await bench(context, {}, { clock: ofSender })
  const group = context.name('g')
  const into: Delivery<number>[] = []
  const join = async (clock: JumpingClock, who: string): Promise<Reading<number>> => {
    const own = numbers(await context.connect({ clock }), name)
    const handle = (): Promise<void> => context.pause(2)
    return read(context, member(own, group, sharing), { member: who, into, handle })
  }
  const members = [await join(ofOne, 'one'), await join(ofTwo, 'two')]
  const held = (): readonly (readonly string[])[] =>
    members.map(({ consumer }) => consumer.stats().partitions.toSorted())
  await allTakePart(context, group, ...members.map(({ consumer }) => consumer))
  await allShared(context, held, (await cloud.admin.describeTopic(name)).partitions.length)
  const before = held()
  for (const [index, [sender, one, two]] of jumps.entries()) {
    ofSender.jumpTo(sender)
    ofOne.jumpTo(one)
    ofTwo.jumpTo(two)
    await sendAll(topic, messages(batch, keys, index * batch))
    await members[0]?.count((index + 1) * batch)
    // As long as it would take a lease to be taken over.
    await context.pause(context.world.tuning.failoverMs * 2)
    equal(held(), before, 'the partitions of both members, after clocks were set')
  }
  for (const one of members) await one.stop()
  const total = jumps.length * batch
  await allOnce(context, name, into, range(total), 'records over both members, whose clocks were set')
  keysInOrder(context, into, keys, total)
}
