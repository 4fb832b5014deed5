import type { Topic } from '@sluice/core'
import type { Position } from '@sluice/driver'
import type { Case, Need } from '../case.ts'
import { all, positions } from '../case.ts'
import type { CaseContext } from '../context.ts'
import { equal, refuses, rejects, that } from '../expect.ts'
import type { World } from '../harness.ts'
import { read } from '../reading.ts'
import { bench, member, messages, numbers, sendAll } from '../setup.ts'

/** What positions are good for. */
export const positionCases: readonly Case[] = [
  {
    name: 'position/comparable',
    title: 'anybody can tell which of two records of a partition came first',
    needs: positions,
    refusal: refuseCompare,
    run: comparable,
  },
  {
    name: 'seek/unknown-partition',
    title: 'a position in a partition that is not there is refused, and moves nobody',
    needs: (world) => all(positions(world), movesToPositions(world)),
    run: unknownPartition,
  },
  {
    name: 'position/none-is-refused',
    title: 'what is no position is refused wherever a position is taken',
    needs: positions,
    run: refuseNone,
  },
]

function movesToPositions({ capabilities }: World): Need {
  return capabilities.seek.includes('position') ? true : 'the capability seek has no position'
}

async function unknownPartition(context: CaseContext): Promise<void> {
  const made = await bench(context)
  await sendAll(made.topic, messages(10, 5))
  const group = context.name('g')
  const before = read(context, member(made.topic, group))
  await before.count(10)
  await before.stop()
  const position = before.deliveries[0]?.position as Position | undefined
  that(position !== undefined, 'deliveries have positions')
  const seeking = made.cloud.admin.seek(made.name, group, { positions: { 'not-there': position } })
  const error = await rejects(seeking, 'not-found', 'moving a group in a partition that is not there')
  that(error.message.includes('not-there'), `the message names the partition: ${error.message}`)
  await made.topic.send({ value: 10, key: 'k0' })
  const after = read(context, member(made.topic, group))
  await after.count(1)
  await context.settleWindow()
  await after.stop()
  equal([...new Set(after.values())], [10], 'what the group reads after the refusal')
}

async function comparable(context: CaseContext): Promise<void> {
  const { topic, name } = await bench(context)
  await sendAll(topic, messages(150, 10))
  const driver = await context.openDriver()
  const opened = await driver.openTopic(name, context.signal)
  const last = new Map<string, Position>()
  let compared = 0
  for await (const { partition, position, value } of topic.read()) {
    that(position !== undefined, `record ${value} has a position`)
    const before = last.get(partition)
    if (before !== undefined) {
      compared++
      that((await topic.comparePositions(before, position)) < 0, `${before} comes before ${position}`)
      that(opened.comparePositions(position, before) > 0, `${position} comes after ${before}`)
    }
    equal(opened.comparePositions(position, position), 0, `${position} compared with itself`)
    last.set(partition, position)
  }
  that(compared > 100, `positions were compared ${compared} times`)
  if (!context.world.capabilities.receiptPosition) return
  const receipt = await topic.send({ value: 150, key: 'k1' })
  that(receipt.position !== undefined && receipt.partition !== undefined, 'the receipt has a partition and a position')
  that(
    opened.comparePositions(receipt.position, last.get(receipt.partition) ?? receipt.position) >= 0,
    'the receipt of a later record has a later position',
  )
  const reading = read(context, member(numbers(await context.connect(), name), context.name('g')))
  await reading.count(151)
  await reading.stop()
  const found = reading.deliveries.find((one) => one.id === receipt.id)
  equal(
    [found?.partition, found?.position],
    [receipt.partition, receipt.position],
    'the place of the record, compared with its receipt',
  )
}

async function refuseNone(context: CaseContext): Promise<void> {
  const { cloud, topic, name } = await bench(context)
  await sendAll(topic, messages(20, 10))
  const placed = await firstPlace(topic)
  const { seek, start } = context.world.capabilities
  for (const text of ['x', '', '-1', '1.5', '1e3', ' 1']) {
    const none = text as Position
    const said = JSON.stringify(text)
    await rejects(
      topic.comparePositions(placed.position, none),
      'invalid-argument',
      `comparing a position with ${said}`,
    )
    await rejects(
      topic.comparePositions(none, placed.position),
      'invalid-argument',
      `comparing ${said} with a position`,
    )
    const positions = { [placed.partition]: none }
    if (seek.includes('position'))
      await rejects(cloud.admin.seek(name, context.name('g'), { positions }), 'invalid-argument', `a seek to ${said}`)
    if (!start.includes('position')) continue
    const consumer = topic.consumer({ group: context.name('g'), start: { positions } })
    await rejects(
      consumer.run(() => undefined),
      'invalid-argument',
      `a start at ${said}`,
    )
  }
}

async function firstPlace(topic: Topic<number>): Promise<{ readonly partition: string; readonly position: Position }> {
  for await (const { partition, position } of topic.read()) if (position !== undefined) return { partition, position }
  throw new Error('no record has a position')
}

async function refuseCompare(context: CaseContext): Promise<void> {
  const { topic } = await bench(context)
  const some = 'a' as Position
  await refuses(() => topic.comparePositions(some, some), 'unsupported', 'comparing positions that there are none of')
}
