import type { LogSource, PartitionEvents, Position } from '@sluice/driver'
import { behind } from '../behind.ts'
import type { Case } from '../case.ts'
import { all, childProcess, logShape } from '../case.ts'
import { Children } from '../children/children.ts'
import type { Child } from '../children/children.ts'
import type { CaseContext } from '../context.ts'
import { between, each, equal, isError, repeatsAtMost, that } from '../expect.ts'
import { read } from '../reading.ts'
import { bench, member, messages, range, sendAll, texts } from '../setup.ts'

/** Partitions that change hands, number or shape; and members that die. */
export const handoverCases: readonly Case[] = [
  {
    name: 'group/kill',
    title: "when a member's process is killed the others take over, and repeat at most what was not committed",
    needs: childProcess,
    run: kill,
    deadlineMs: 30_000,
  },
  {
    name: 'group/zombie-is-fenced',
    title: "a member that lost a partition cannot commit it any more, and cannot undo its successor's progress",
    needs: logShape,
    run: zombie,
  },
  {
    name: 'group/zombie-process-is-fenced',
    title: 'a process that was stopped past its lease and goes on later takes nothing back and undoes nothing',
    needs: (world) => all(childProcess(world), logShape(world)),
    run: zombieProcess,
    deadlineMs: 30_000,
  },
]

function copies(context: CaseContext): number {
  return context.world.harness.copies ?? 1
}

async function kill(context: CaseContext): Promise<void> {
  const { topic, name } = await bench(context)
  const group = context.name('g')
  const children = new Children(context)
  await sendAll(topic, messages(200, 20))
  const doomed = await children.member(name, group, { member: 'doomed', handlerMs: 2, holdFrom: 150 })
  await context.eventually(() => that(values(doomed).length >= 100, 'the child is at work'))
  const heir = read(context, member(topic, group), { member: 'heir' })
  await context.pause(50)
  await doomed.kill()
  const killedAt = performance.now()
  await context.eventually(
    () => {
      const seen = new Set([...values(doomed), ...heir.values()])
      equal(
        range(200).filter((value) => !seen.has(value)),
        [],
        'records that nobody was given',
      )
      const held = range(200).filter((value) => value >= 150 && !heir.values().includes(value))
      equal(held, [], 'records that the child never finished and nobody else was given')
    },
    context.world.tuning.failoverMs * 5 + context.world.tuning.patienceMs,
  )
  const took = performance.now() - killedAt
  await context.settleWindow()
  await heir.stop()
  between(
    took,
    0,
    context.world.tuning.failoverMs * 5 + 3_000,
    "milliseconds until the dead member's records were handled",
  )
  each(
    texts(heir.values()),
    texts(range(200).filter((value) => heir.values().includes(value))),
    copies(context),
    'what the heir was given',
  )
  const repeats = heir.values().filter((value) => value < 150 && values(doomed).includes(value))
  // At a kill, what ran and what was handled since the last commit (10 ms of work in up to 16 handlers, and one more round).
  that(repeats.length <= 16 * 10, `${repeats.length} records that the child had handled came again`)
}

function values(child: Child): readonly number[] {
  return child.lines.flatMap((line) => (line.kind === 'handled' ? [line.value] : []))
}

interface RawMember {
  readonly source: LogSource
  readonly epochs: Map<string, number>
  readonly revoked: Set<string>
}

async function rawMember(context: CaseContext, topicName: string, group: string, name: string): Promise<RawMember> {
  const driver = await context.openDriver()
  const topic = await driver.openTopic(topicName, context.signal)
  const [epochs, revoked] = [new Map<string, number>(), new Set<string>()]
  const events: PartitionEvents = {
    assigned: (partition, epoch) => {
      epochs.set(partition, epoch)
      revoked.delete(partition)
    },
    revoking: async (partitions) => {
      for (const partition of partitions) revoked.add(partition)
    },
    lost: (partitions) => {
      for (const partition of partitions) revoked.add(partition)
    },
    ended: () => undefined,
    failed: () => undefined,
  }
  const source = await topic.subscribe({ group, member: name, start: { kind: 'earliest' }, events }, context.signal)
  that(source.shape === 'log', 'a topic read as a log gives a log source')
  return { source, epochs, revoked }
}

async function zombie(context: CaseContext): Promise<void> {
  const { topic, name, cloud } = await bench(context, { partitions: 2 })
  const group = context.name('g')
  await sendAll(topic, messages(40, 20))
  const positionsOf = new Map<string, Position[]>()
  for await (const message of topic.read()) {
    if (message.position !== undefined)
      positionsOf.set(message.partition, [...(positionsOf.get(message.partition) ?? []), message.position])
  }
  const old = await rawMember(context, name, group, 'old')
  const poll = (one: RawMember): Promise<unknown> => one.source.poll({ records: 5, bytes: 1_000 }, context.signal)
  await context.eventually(async () => {
    await poll(old)
    equal(old.epochs.size, 2, 'partitions of the only member')
  })
  const young = await rawMember(context, name, group, 'young')
  await context.eventually(async () => {
    await Promise.all([poll(old), poll(young)])
    that(
      [...young.epochs.keys()].some((partition) => old.revoked.has(partition)),
      'a partition went from the old member to the young one',
    )
  })
  const [moved] = [...young.epochs.keys()].filter((partition) => old.revoked.has(partition))
  that(moved !== undefined, 'a partition has moved')
  const [before, after] = [old.epochs.get(moved) ?? 0, young.epochs.get(moved) ?? 0]
  that(after > before, `the epoch grows with each tenure: ${before}, then ${after}`)
  const positions = positionsOf.get(moved) ?? []
  const [near, far] = [positions[1], positions.at(-1)]
  that(near !== undefined && far !== undefined, 'the partition that moved has records')
  const commit = async (one: RawMember, epoch: number, through: Position): Promise<string> => {
    const [outcome] = await one.source.commit([{ partition: moved, epoch, through, ended: false }], context.signal)
    that(outcome !== undefined, 'one commit has one outcome')
    return outcome.ok
      ? 'stored'
      : isError(outcome.error, ['fenced'], 'the commit of a member that lost the partition').code
  }
  equal(await commit(young, after, near), 'stored', 'the commit of the owner')
  equal(await commit(old, before, far), 'fenced', 'the commit of a member that lost the partition')
  const committed = (await cloud.admin.lag(name, group)).find((one) => one.partition === moved)?.committed
  equal(committed, near, 'the progress after a zombie tried to commit')
  await Promise.all([old.source.close(), young.source.close()])
}

/**
 * Stops a process, at a moment when it does not hold a lock of the backend: a writer that is stopped in the middle of a
 * write to a file stops every other writer with it, which is the file's doing and not what is looked at here.
 */
async function freezeOutsideAWrite(
  context: CaseContext,
  child: Child,
  write: (attempt: number) => Promise<unknown>,
): Promise<void> {
  for (let tries = 0; tries < 20; tries++) {
    child.freeze()
    const writing = write(tries)
    const free = await Promise.race([writing.then(() => true), context.pause(500).then(() => false)])
    if (free) return
    child.thaw()
    await writing
  }
  throw new Error('the process could not be stopped outside a write in 20 tries')
}

async function zombieProcess(context: CaseContext): Promise<void> {
  const { topic, name, cloud } = await bench(context)
  const group = context.name('g')
  const children = new Children(context)
  await sendAll(topic, messages(60, 12))
  const child = await children.member(name, group, { member: 'sleeper', handlerMs: 5, holdFrom: 40 })
  await context.eventually(() =>
    that(values(child).filter((value) => value >= 40).length >= 8, 'the child holds records'),
  )
  await freezeOutsideAWrite(context, child, (attempt) => topic.send({ value: 1_000 + attempt }))
  const heir = read(context, member(topic, group), { member: 'heir' })
  await context.eventually(
    () => {
      equal(
        range(60).filter((value) => value >= 40 && !heir.values().includes(value)),
        [],
        'records of the stopped process that nobody took over',
      )
    },
    context.world.tuning.failoverMs * 5 + context.world.tuning.patienceMs,
  )
  await context.eventually(async () => {
    const left = (await cloud.admin.lag(name, group)).reduce((sum, one) => sum + behind(one), 0)
    equal(left, 0, 'what is left after the take-over')
  })
  const before = (await cloud.admin.lag(name, group)).map((one) => one.committed)
  child.thaw()
  await context.pause(context.world.tuning.failoverMs)
  const after = (await cloud.admin.lag(name, group)).map((one) => one.committed)
  equal(after, before, 'the progress of the group after the stopped process went on')
  await child.kill()
  await heir.stop()
  repeatsAtMost(texts(heir.values()), 60 * (copies(context) - 1), 'what the heir was given')
}
