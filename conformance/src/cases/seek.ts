import type { Start } from '@sluice/core'
import type { Position, StartKind } from '@sluice/driver'
import type { Case } from '../case.ts'
import type { CaseContext } from '../context.ts'
import { each, equal, firsts, refuses, sameOrder, that } from '../expect.ts'
import { read } from '../reading.ts'
import type { Delivery, Reading } from '../reading.ts'
import { bench, member, messages, range, sendAll, texts } from '../setup.ts'
import type { Bench } from '../setup.ts'

/** Where a group starts, and moving it: one group moves, the others stay. */
export const seekCases: readonly Case[] = [
  startCase('earliest', 'a new group starts at the first record', startEarliest),
  startCase('latest', 'a new group starts behind the last record', startLatest),
  startCase('time', 'a new group starts at the first record not older than a time', startTime),
  startCase('position', 'a new group starts at a position, that record included', startPosition),
  seekCase('earliest', 'a group moved to the earliest gets everything again', (context) =>
    seekTo(context, () => 'earliest', range(20)),
  ),
  seekCase('latest', 'a group moved to the latest gets only what comes later', (context) =>
    seekTo(context, () => 'latest', []),
  ),
  seekCase('time', 'a group moved to a time gets what is not older', (context) =>
    seekTo(context, (half) => half.time, range(10, 10)),
  ),
  seekCase(
    'position',
    'a group moved to a position gets that record and all after it; partitions that are not named stay',
    async (context) => {
      await seekTo(context, (half) => ({ positions: half.positions }), range(10, 10))
      await othersStay(context)
    },
  ),
  {
    ...seekCase('time', 'a time before retention means the earliest record', (context) =>
      seekTo(context, () => new Date(1_000), range(20)),
    ),
    name: 'seek/before-retention',
  },
  {
    ...seekCase('time', 'a time in the future means the latest', (context) =>
      seekTo(context, () => new Date(Date.now() + 86_400_000), []),
    ),
    name: 'seek/future',
  },
  {
    ...seekCase('earliest', 'moving one group does not move another', oneGroupMoves),
    name: 'seek/one-group-moves-not-another',
  },
  {
    ...seekCase('earliest', 'two replays give the same records in the same order of keys', replayTwice),
    name: 'seek/replay-twice-is-equal',
  },
  {
    ...seekCase('earliest', 'a running group can be moved, or the move is refused with conflict', seekLive),
    name: 'seek/live',
  },
]

function startCase(kind: StartKind, title: string, run: Case['run']): Case {
  return {
    name: `start/${kind}`,
    title,
    needs: (world) => (world.capabilities.start.includes(kind) ? true : `the capability start has no ${kind}`),
    refusal: async (context) => {
      const { topic, shim } = await bench(context)
      const consumer = member(topic, context.name('g'), { start: anyStart(kind) })
      await refuses(() => consumer.run(() => undefined), 'unsupported', `starting at ${kind}`)
      equal(shim.callsOf({ operation: ['poll', 'pull'] }).length, 0, 'reads of the backend')
    },
    run,
  }
}

function seekCase(kind: StartKind, title: string, run: Case['run']): Case {
  return {
    name: `seek/${kind}`,
    title,
    needs: (world) => (world.capabilities.seek.includes(kind) ? true : `the capability seek has no ${kind}`),
    refusal: async (context) => {
      const { cloud, name, shim } = await bench(context)
      await refuses(
        () => cloud.admin.seek(name, context.name('g'), anyStart(kind)),
        'unsupported',
        `moving a group to ${kind}`,
      )
      equal(shim.callsOf('seek').filter((call) => call.error === undefined).length, 0, 'moves that the backend made')
    },
    run,
  }
}

function anyStart(kind: StartKind): Start {
  if (kind === 'time') return new Date()
  return kind === 'position' ? { positions: {} } : kind
}

function copies(context: CaseContext): number {
  return context.world.harness.copies ?? 1
}

async function readFrom(
  context: CaseContext,
  made: Bench,
  start: Start,
  first: readonly number[],
  later: readonly number[],
): Promise<void> {
  const reading = read(context, member(made.topic, context.name('g'), { start }))
  await ready(context, reading, made)
  await reading.count(first.length)
  await sendAll(
    made.topic,
    later.map((value) => ({ value, key: `k${value % 5}` })),
  )
  await reading.count(first.length + later.length)
  await reading.stop()
  each(texts(reading.values()), texts([...first, ...later]), copies(context), 'records from the start on')
}

/** A group that starts at the latest has a place only once it is there. */
async function ready(context: CaseContext, reading: Reading<number>, { shim }: Bench): Promise<void> {
  await context.eventually(() => {
    that(reading.error() === undefined, `the consumer runs: ${String(reading.error())}`)
    that(shim.callsOf({ operation: ['poll', 'pull'] }).length > 0, 'the source was asked')
  })
}

async function startEarliest(context: CaseContext): Promise<void> {
  const made = await bench(context)
  await sendAll(made.topic, messages(20, 5))
  await readFrom(context, made, 'earliest', range(20), range(5, 20))
}

async function startLatest(context: CaseContext): Promise<void> {
  const made = await bench(context)
  await sendAll(made.topic, messages(20, 5))
  await readFrom(context, made, 'latest', [], range(10, 20))
}

interface Half {
  readonly time: Date
  readonly positions: Readonly<Record<string, Position>>
}

/** Sends 20 records; tells where the second half of them begins, as a time and as positions. */
async function twoHalves(context: CaseContext, made: Bench): Promise<Half> {
  const gap = Math.max(15, context.world.tuning.clockSkewMs > 1_000 ? context.world.tuning.clockSkewMs * 2 : 15)
  await sendAll(made.topic, messages(10, 5))
  await context.pause(gap)
  const time = new Date()
  await context.pause(gap)
  const receipts = await sendAll(made.topic, messages(10, 5, 10))
  if (context.world.capabilities.positions === 'none') return { time, positions: {} }
  const found: Record<string, Position> = {}
  for await (const message of made.topic.read()) {
    const { partition, position } = message
    if (position === undefined) continue
    if (message.value < 10) delete found[partition]
    else found[partition] ??= position
  }
  that(receipts.length === 10, 'the second half was sent')
  return { time, positions: await pastEnds(made, found) }
}

/** Partitions of which the second half has nothing are left out of the map; a new group would start at their earliest, so none may have records. */
async function pastEnds(made: Bench, found: Record<string, Position>): Promise<Readonly<Record<string, Position>>> {
  const missing: string[] = []
  for await (const message of made.topic.read())
    if (found[message.partition] === undefined) missing.push(message.partition)
  equal(missing, [], 'partitions with records of the first half only')
  return found
}

async function startTime(context: CaseContext): Promise<void> {
  const made = await bench(context)
  const { time } = await twoHalves(context, made)
  await readFrom(context, made, time, range(10, 10), range(5, 20))
}

async function startPosition(context: CaseContext): Promise<void> {
  const made = await bench(context)
  const { positions: map } = await twoHalves(context, made)
  await readFrom(context, made, { positions: map }, range(10, 10), range(5, 20))
}

/** A group that has read everything is moved while it rests, and is given what it should be given from there on. */
async function seekTo(context: CaseContext, target: (half: Half) => Start, expected: readonly number[]): Promise<void> {
  const made = await bench(context)
  const half = await twoHalves(context, made)
  const group = context.name('g')
  const before = read(context, member(made.topic, group))
  await before.count(20)
  await before.stop()
  await made.cloud.admin.seek(made.name, group, target(half))
  await made.topic.send({ value: 99, key: 'k0' })
  const after = read(context, member(made.topic, group))
  await after.count(expected.length + 1)
  await after.stop()
  each(texts(before.values()), texts(range(20)), copies(context), 'records before the move')
  each(texts(after.values()), texts([...expected, 99]), copies(context), 'records after the move')
}

/** A group is moved in one partition; in the others it goes on with what came since: neither again nor past it. */
async function othersStay(context: CaseContext): Promise<void> {
  const made = await bench(context, context.world.shape === 'log' ? { partitions: 3 } : {})
  await sendAll(made.topic, messages(20, 20))
  const group = context.name('g')
  const before = read(context, member(made.topic, group))
  await before.count(20)
  await before.stop()
  await sendAll(made.topic, messages(20, 20, 20))
  const stored: { readonly partition: string; readonly position: Position; readonly value: number }[] = []
  for await (const { partition, position, value } of made.topic.read()) {
    that(position !== undefined, `record ${value} has a position`)
    stored.push({ partition, position, value })
  }
  const used = new Set(stored.map(({ partition }) => partition))
  that(context.world.shape !== 'log' || used.size > 1, 'records of 20 keys are in several of 3 partitions')
  const [first] = stored
  that(first !== undefined, 'records are stored')
  await made.cloud.admin.seek(made.name, group, { positions: { [first.partition]: first.position } })
  const expected = stored.filter(({ partition, value }) => partition === first.partition || value >= 20)
  const after = read(context, member(made.topic, group))
  await after.count(expected.length)
  await after.stop()
  each(
    texts(after.values()),
    texts(expected.map(({ value }) => value)),
    copies(context),
    `records after only partition ${first.partition} was moved`,
  )
}

async function oneGroupMoves(context: CaseContext): Promise<void> {
  const made = await bench(context)
  await sendAll(made.topic, messages(20, 5))
  const [moved, still] = [context.name('g'), context.name('g')]
  for (const group of [moved, still]) {
    const reading = read(context, member(made.topic, group))
    await reading.count(20)
    await reading.stop()
  }
  await made.cloud.admin.seek(made.name, moved, 'earliest')
  await made.topic.send({ value: 20, key: 'k0' })
  const one = read(context, member(made.topic, moved))
  const two = read(context, member(made.topic, still))
  await one.count(21)
  await two.count(1)
  await Promise.all([one.stop(), two.stop()])
  each(texts(one.values()), texts(range(21)), copies(context), 'records of the group that was moved')
  each(texts(two.values()), ['20'], copies(context), 'records of the group that was not')
}

async function replayTwice(context: CaseContext): Promise<void> {
  const made = await bench(context)
  await sendAll(made.topic, messages(60, 6))
  const group = context.name('g')
  const runs: (readonly Delivery<number>[])[] = []
  for (let run = 0; run < 3; run++) {
    const reading = read(context, member(made.topic, group))
    await reading.count(60)
    await reading.stop()
    runs.push(reading.deliveries)
    await made.cloud.admin.seek(made.name, group, 'earliest')
  }
  const [first = [], ...replays] = runs
  for (const replay of replays) {
    each(texts(replay.map((one) => one.value)), texts(range(60)), copies(context), 'records of a replay')
    for (const key of range(context.world.order === 'key' ? 6 : 0)) {
      const of = (all: readonly Delivery<number>[]): readonly string[] =>
        firsts(
          all.filter((one) => one.key === `k${key}`),
          (one) => one.id,
        ).map((one) => `${one.id} ${one.partition} ${one.position ?? '-'}`)
      sameOrder(of(replay), of(first), `key k${key} in a replay, compared with the first time`)
    }
  }
}

async function seekLive(context: CaseContext): Promise<void> {
  const made = await bench(context)
  await sendAll(made.topic, messages(20, 5))
  const group = context.name('g')
  const reading = read(context, member(made.topic, group))
  await reading.count(20)
  if (!context.world.capabilities.seekLive) {
    await refuses(() => made.cloud.admin.seek(made.name, group, 'earliest'), 'conflict', 'moving a group with members')
    await context.settleWindow()
    await reading.stop()
    each(texts(reading.values()), texts(range(20)), copies(context), 'records of a group that could not be moved')
    return
  }
  await made.cloud.admin.seek(made.name, group, 'earliest')
  await context.eventually(() =>
    that(reading.values().length >= 40, `${reading.values().length} of 40 deliveries came`),
  )
  await context.settleWindow()
  await reading.stop()
  each(texts(reading.values()), texts(range(20)), 2 * copies(context), 'records of a group that was moved once')
  that(reading.values().length >= 40, 'everything came again')
}
