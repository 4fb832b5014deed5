import type { Case } from '../case.ts'
import type { CaseContext } from '../context.ts'
import { between, each, equal, that } from '../expect.ts'
import { read } from '../reading.ts'
import { bench, member, messages, range, sendAll, texts } from '../setup.ts'
import type { Bench } from '../setup.ts'
import { copies, letters } from './dead-letters.ts'

/** What happens to dead letters that are sent back. */
export const sendBackCases: readonly Case[] = [
  {
    name: 'settle/dead-letter-sent-back',
    title: 'a dead letter that is sent back comes to the group that gave up on it, and to no other',
    run: sentBack,
  },
  {
    name: 'settle/send-back-ends',
    title: 'sending back takes what there was when it began: what fails again meanwhile is left for the next time',
    run: sendBackEnds,
  },
]

async function sentBack(context: CaseContext): Promise<void> {
  const { topic, name, cloud } = await bench(context)
  const [gaveUp, bystander] = [context.name('g'), context.name('g')]
  await sendAll(topic, messages(3, 3))
  let broken = true
  const reading = read(context, member(topic, gaveUp, { retry: { maxAttempts: 1 } }), {
    handle: ({ value }) => {
      if (value === 1 && broken) throw new Error('broken for now')
    },
  })
  const other = read(context, member(topic, bystander))
  await reading.count(3)
  await other.count(3)
  await context.eventually(() => that(reading.consumer.stats().deadLettered >= 1, 'a dead letter was counted'))
  broken = false
  const stored = (await letters({ cloud }, `${name}.dead-letters`)).length
  equal(await cloud.admin.sendBack(`${name}.dead-letters`), stored, 'dead letters sent back')
  await context.eventually(() =>
    that(reading.values().filter((value) => value === 1).length >= 2, 'the dead letter came again'),
  )
  await context.settleWindow()
  await Promise.all([reading.stop(), other.stop()])
  const again = reading.values().filter((value) => value === 1).length
  between(
    again,
    2,
    2 * copies(context) * copies(context),
    'deliveries to the group that gave up, the first one included',
  )
  each(texts(other.values()), texts(range(3)), copies(context), 'what the other group was given')
  equal(await letters({ cloud }, `${name}.dead-letters`), [], 'dead letters left after sending back')
}

async function sendBackEnds(context: CaseContext): Promise<void> {
  const made = await bench(context)
  const count = 20
  await sendAll(made.topic, messages(count, count))
  const consumer = member(made.topic, context.name('g'), { retry: { maxAttempts: 1 } })
  const reading = read(context, consumer, { handle: ({ deadLetter }) => deadLetter('never works') })
  const settledAgain = async (times: number): Promise<void> => {
    await context.eventually(() =>
      that(consumer.stats().deadLettered >= count * times, `${count} dead letters, ${times} times`),
    )
  }
  await settledAgain(1)
  const beside = `${made.name}.dead-letters`
  const before = await ids(made, beside)
  equal(await made.cloud.admin.sendBack(beside), before.length, 'dead letters sent back')
  await settledAgain(2)
  await context.settleWindow()
  await reading.stop()
  between(reading.deliveries.length, count * 2, count * 2 * copies(context) ** 2, 'deliveries')
  const after = await ids(made, beside)
  that(after.length >= count, `${after.length} dead letters are there again`)
  equal(
    after.filter((id) => before.includes(id)),
    [],
    'dead letters that were sent back and are still there',
  )
}

async function ids({ cloud }: Bench, topic: string): Promise<readonly string[]> {
  return (await letters({ cloud }, topic)).map(({ letterId }) => letterId)
}
