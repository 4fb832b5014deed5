import type { Case } from '../case.ts'
import type { CaseContext } from '../context.ts'
import { between, each, equal, isError, rejects, that } from '../expect.ts'
import { leakedSince, openHandles } from '../leaks.ts'
import { read } from '../reading.ts'
import { bench, member, messages, numbers, range, sendAll, sendInTurn, texts } from '../setup.ts'

/** Opening and closing, in every situation. */
export const lifeCases: readonly Case[] = [
  {
    name: 'life/drain',
    title: 'close starts no handler, lets running ones finish and commit, and gives back at once what was read ahead',
    run: drains,
  },
  { name: 'life/close-twice', title: 'everything may be closed twice, also at the same time', run: closeTwice },
  {
    name: 'life/close-while-blocked',
    title: 'close returns by its deadline while a handler, a read or a send is stuck',
    run: closeWhileBlocked,
  },
  { name: 'life/close-inside-handler', title: 'a handler may close its own consumer', run: closeInsideHandler },
  {
    name: 'life/reopen',
    title: 'a connection closed and opened again finds topics, records and progress',
    run: reopen,
  },
  { name: 'life/use-after-close', title: 'whatever is used after close is refused with closed', run: useAfterClose },
  {
    name: 'life/topic-deleted',
    title: 'consumers whose topic is deleted end with not-found, those too that have nothing to read',
    needs: (world) => (world.capabilities.admin.includes('delete') ? true : 'the capability admin has no delete'),
    run: topicDeleted,
  },
  { name: 'life/no-leaks', title: 'no timer, socket or thread is left after close', run: noLeaks },
]

async function drains(context: CaseContext): Promise<void> {
  const { topic, name } = await bench(context)
  const group = context.name('g')
  await sendInTurn(topic, messages(100, 20))
  const finished: number[] = []
  const consumer = member(topic, group)
  const reading = read(context, consumer, {
    concurrency: 4,
    handle: async ({ value }) => {
      await context.pause(150)
      finished.push(value)
    },
  })
  await context.eventually(() => that(reading.deliveries.length >= 4, 'four handlers run'))
  const closing = performance.now()
  const startedBefore = reading.deliveries.length
  await consumer.close()
  const took = performance.now() - closing
  equal(reading.deliveries.length, startedBefore, 'handlers started, compared with before the close')
  equal(
    finished.toSorted(ascending),
    reading.values().toSorted(ascending),
    'handlers that finished, compared with those that had started',
  )
  between(took, 0, 1_500, 'milliseconds for the close, of which a handler took 150')
  const heir = read(context, member(numbers(await context.connect(), name), group))
  const waited = performance.now()
  await context.eventually(() => that(heir.deliveries.length > 0, 'the next member is given what was read ahead'))
  const gap = performance.now() - waited
  await heir.count(100 - finished.length)
  await heir.stop()
  between(
    gap,
    0,
    Math.max(2_500, context.world.tuning.failoverMs),
    'milliseconds until the next member was given a record',
  )
  each(
    texts([...finished, ...heir.values()]),
    texts(range(100)),
    context.world.harness.copies ?? 1,
    'records over the drain',
  )
}

async function closeTwice(context: CaseContext): Promise<void> {
  const { cloud, topic } = await bench(context)
  const producer = topic.producer()
  await producer.send({ value: 1 })
  const consumer = member(topic, context.name('g'))
  const reading = read(context, consumer)
  await reading.count(1)
  await Promise.all([consumer.close(), consumer.close()])
  await consumer.close()
  await Promise.all([producer.close(), producer.close()])
  await producer.close()
  const idle = member(topic, context.name('g'))
  await idle.close()
  await idle.close()
  await Promise.all([cloud.close(), cloud.close()])
  await cloud.close()
  const driver = await context.openDriver()
  await Promise.all([driver.close(), driver.close()])
  await driver.close()
  that(reading.ended() && reading.error() === undefined, 'run has ended, and well')
}

async function closeWhileBlocked(context: CaseContext): Promise<void> {
  const { topic, name, shim } = await bench(context)
  await sendAll(topic, messages(1, 1))
  const consumer = member(topic, context.name('g'), { revokeTimeoutMs: 100 })
  const reading = read(context, consumer, { handle: () => new Promise(() => undefined) })
  await context.eventually(() => equal(reading.deliveries.length >= 1, true, 'whether the handler runs'))
  const started = performance.now()
  await consumer.close({ timeoutMs: 200 }).catch(() => undefined)
  between(performance.now() - started, 0, 2_000, 'milliseconds for closing a consumer with a stuck handler and 200 ms')
  const quiet = await context.shimmed()
  const waiting = member(numbers(quiet.cloud, name), context.name('g'), { start: 'latest' })
  const blocked = read(context, waiting)
  await context.eventually(() =>
    that(
      quiet.shim.callsOf({ operation: ['poll', 'pull'] }).some((call) => call.endedAtMs === undefined),
      'a read waits',
    ),
  )
  const before = performance.now()
  await waiting.close()
  between(performance.now() - before, 0, 1_500, 'milliseconds for closing a consumer that waits for records')
  await context.eventually(() => that(blocked.ended(), 'run has ended'), 500)
  shim.hang('sendBatch')
  const stuck = topic.send({ value: 9 })
  void stuck.catch(() => undefined)
  const last = await context.shimmed()
  last.shim.hang('sendBatch')
  const sent = numbers(last.cloud, name).send({ value: 8 })
  const outcome = rejects(sent, ['timeout', 'aborted', 'closed'], 'a send that was stuck when the connection closed')
  await context.eventually(() => that(last.shim.callsOf('sendBatch').length > 0, 'a request hangs'))
  const closing = performance.now()
  await last.cloud.close({ timeoutMs: 200 }).catch(() => undefined)
  between(performance.now() - closing, 0, 2_500, 'milliseconds for closing a connection with a stuck send and 200 ms')
  await outcome
}

async function closeInsideHandler(context: CaseContext): Promise<void> {
  const { topic, name } = await bench(context)
  const group = context.name('g')
  await sendAll(topic, messages(20, 1))
  const consumer = member(topic, group)
  const reading = read(context, consumer, {
    handle: async ({ value }) => void (value === 5 && (await consumer.close())),
  })
  await context.eventually(() => that(reading.ended(), 'run has ended'), 12_000)
  equal(reading.error(), undefined, 'the error that ended run')
  const heir = read(context, member(numbers(await context.connect(), name), group))
  await heir.count(14)
  await heir.stop()
  const copies = context.world.harness.copies ?? 1
  if (context.world.order === 'key') {
    that(
      !reading.values().some((value) => value > 5),
      `no handler started after the one that closed: ${reading.values().join(' ')}`,
    )
  }
  const all = [...reading.values(), ...heir.values()]
  // The record whose handler closed the consumer may be repeated: it was not settled when the drain gave up on it.
  each(
    texts(all.filter((value) => value !== 5)),
    texts(range(20).filter((value) => value !== 5)),
    copies,
    'records over a close in a handler',
  )
}

async function reopen(context: CaseContext): Promise<void> {
  const { cloud, topic, name } = await bench(context)
  const group = context.name('g')
  await sendAll(topic, messages(20, 5))
  const reading = read(context, member(topic, group))
  await reading.count(20)
  await reading.stop()
  await sendAll(topic, messages(20, 5, 20))
  await cloud.close()
  const again = await context.connect()
  const next = read(context, member(numbers(again, name), group))
  await next.count(20)
  await next.stop()
  each(texts(next.values()), texts(range(20, 20)), context.world.harness.copies ?? 1, 'records after reopening')
}

async function useAfterClose(context: CaseContext): Promise<void> {
  const { cloud, topic, name } = await bench(context)
  const consumer = member(topic, context.name('g'))
  await consumer.close()
  await rejects(
    consumer.run(() => undefined),
    'closed',
    'running a closed consumer',
  )
  await cloud.close()
  await rejects(topic.send({ value: 1 }), 'closed', 'sending on a closed connection')
  await rejects(cloud.admin.describeTopic(name), 'closed', 'administering on a closed connection')
  await rejects(
    (async () => member(topic, context.name('g')).run(() => undefined))(),
    'closed',
    'consuming on a closed connection',
  )
}

async function topicDeleted(context: CaseContext): Promise<void> {
  await deleteUnderConsumers(context, { anew: false })
  await deleteUnderConsumers(context, { anew: true })
}

async function deleteUnderConsumers(context: CaseContext, { anew }: { readonly anew: boolean }): Promise<void> {
  const spec = context.world.order === 'key' ? { partitions: 1 } : {}
  const { topic, name } = await bench(context, spec)
  const group = context.name('g')
  await sendAll(topic, messages(3, 3))
  const reading = read(context, member(topic, group))
  await reading.count(3)
  const second = await context.shimmed()
  const idle = read(context, member(numbers(second.cloud, name), group))
  await context.eventually(() =>
    that(second.shim.callsOf({ operation: ['poll', 'pull'] }).length > 0, 'the second member, which has nothing, asks'),
  )
  const { admin } = await context.connect()
  await admin.deleteTopic(name)
  if (anew) await admin.createTopic(name, context.spec(spec))
  const whose = anew ? 'whose topic was deleted and made anew' : 'whose topic was deleted'
  for (const [who, one] of Object.entries({ [`a member ${whose}`]: reading, [`an idle member ${whose}`]: idle })) {
    await context.eventually(() => that(one.ended(), `${who} has ended`))
    isError(one.error(), 'not-found', who)
  }
}

async function noLeaks(context: CaseContext): Promise<void> {
  const before = openHandles()
  const { cloud, topic, name, shim } = await bench(context)
  shim.fail('sendBatch', 'unavailable', { times: 2 })
  shim.fail({ operation: ['poll', 'pull'] }, 'unavailable', { times: 2 })
  await sendAll(topic, messages(50, 5))
  const group = context.name('g')
  const other = await context.connect()
  const one = read(context, member(topic, group), {
    handle: ({ value, attempt }) => value === 3 && attempt === 1 && Promise.reject(new Error('once')),
  })
  const two = read(context, member(numbers(other, name), group))
  await context.eventually(() =>
    that(new Set([...one.values(), ...two.values()]).size === 50, 'all records were handled'),
  )
  const aborted = AbortSignal.timeout(5)
  await topic
    .producer()
    .send({ value: 51 }, { signal: aborted })
    .catch(() => undefined)
  await Promise.all([cloud.close(), other.close()])
  that(one.ended() && two.ended(), 'closing the connections ended their consumers')
  equal(await leakedSince(before, 3_000), [], 'handles left open')
}

function ascending(a: number, b: number): number {
  return a - b
}
