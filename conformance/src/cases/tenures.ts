import type { Case } from '../case.ts'
import { all, logShape } from '../case.ts'
import { PausableClock } from '../clock.ts'
import type { CaseContext } from '../context.ts'
import { equal, isError, that } from '../expect.ts'
import { read } from '../reading.ts'
import { bench, member, messages, numbers, range, sendAll } from '../setup.ts'
import type { PartitionEvent } from '../shim/call.ts'

/** Tenures that end otherwise than by a hand-over in good order. */
export const tenureCases: readonly Case[] = [
  {
    name: 'group/seek-during-handover',
    title: 'a group that is moved while a partition is being handed over goes on reading it, whoever has it then',
    needs: (world) =>
      all(
        logShape(world),
        world.capabilities.seekLive && world.capabilities.seek.includes('earliest')
          ? true
          : { notRun: 'a running group cannot be moved here' },
      ),
    run: seekDuringHandover,
    deadlineMs: 30_000,
  },
  {
    name: 'group/loss-aborts-handlers',
    title: "the handlers of a member that slept past its lease are told by their message's signal",
    needs: (world) =>
      all(
        logShape(world),
        world.capabilities.balancing === 'lease' ? true : { notRun: 'the backend itself says who reads what' },
      ),
    run: lossAborts,
    deadlineMs: 30_000,
  },
]

async function seekDuringHandover(context: CaseContext): Promise<void> {
  const { topic, name, cloud, shim } = await bench(context, { partitions: 2 })
  const group = context.name('g')
  await sendAll(topic, messages(20, 20))
  const gate = Promise.withResolvers<void>()
  const told = (kind: PartitionEvent['kind'], partition?: string): readonly PartitionEvent[] =>
    shim.events.filter((one) => one.kind === kind && (partition === undefined || one.partitions.includes(partition)))
  const reading = read(context, member(topic, group, { revokeTimeoutMs: 20_000 }), { handle: () => gate.promise })
  context.defer(async () => gate.resolve())
  await context.eventually(() => equal(told('assigned').length, 2, 'partitions of the only member'))
  await context.eventually(() => that(reading.deliveries.length > 1, 'handlers run'))
  const guest = read(context, member(numbers(await context.connect(), name), group))
  await context.eventually(() => that(told('revoking').length > 0, 'the guest has asked for a partition'))
  const [asked] = told('revoking').flatMap((one) => one.partitions)
  that(asked !== undefined, 'a hand-over names its partition')
  await guest.stop()
  await cloud.admin.seek(name, group, 'earliest')
  await context.eventually(() =>
    equal(told('assigned', asked).length, 2, 'tenures of the partition that was asked for'),
  )
  equal(told('revoked').length, 0, 'hand-overs that were done while handlers ran')
  gate.resolve()
  await context.eventually(() => that(told('revoked', asked).length > 0, 'the hand-over that was overtaken is done'))
  await sendAll(topic, messages(40, 20, 20))
  await context.eventually(() => {
    const missing = range(60).filter((value) => !reading.values().includes(value))
    equal(missing, [], 'records that the member was not given')
  })
  await reading.stop()
}

async function lossAborts(context: CaseContext): Promise<void> {
  const clock = new PausableClock()
  const { topic, name } = await bench(context, { partitions: 2 }, { clock })
  const group = context.name('g')
  await sendAll(topic, messages(40, 40))
  const reasons: unknown[] = []
  const sleeper = read(context, member(topic, group), {
    concurrency: 64,
    handle: ({ signal }) =>
      new Promise<void>((resolve) => {
        signal.addEventListener('abort', () => {
          reasons.push(signal.reason)
          resolve()
        })
      }),
  })
  await context.eventually(() => that(sleeper.deliveries.length >= 40, 'the handlers of all records run'))
  const running = sleeper.deliveries.length
  clock.pause()
  const gate = Promise.withResolvers<void>()
  context.defer(async () => gate.resolve())
  // It finishes nothing in any partition, so that none comes back to the one that slept.
  const busy = member(numbers(await context.connect(), name), group, { revokeTimeoutMs: 20_000 })
  const heir = read(context, busy, { concurrency: 64, handle: () => gate.promise })
  await context.eventually(
    () => that(heir.deliveries.length >= 40, `${heir.deliveries.length} of 40 records were taken over`),
    context.world.tuning.failoverMs * 5 + context.world.tuning.patienceMs,
  )
  equal(reasons, [], 'handlers that were told while the member slept')
  clock.resume()
  await context.eventually(() => equal(reasons.length, running, 'handlers that were told of the loss'))
  for (const reason of reasons) isError(reason, ['fenced', 'unavailable'], "the reason in a message's signal")
  gate.resolve()
  await Promise.all([sleeper.stop(), heir.stop()])
}
