import type { AdminOperation } from '@sluice/driver'
import type { Case } from '../case.ts'
import { all } from '../case.ts'
import type { CaseContext } from '../context.ts'
import { between, each, equal, refuses, rejects, that } from '../expect.ts'
import type { World } from '../harness.ts'
import { read } from '../reading.ts'
import { bench, drain, member, messages, range, sendAll, texts } from '../setup.ts'

/** Looking after topics. */
export const adminCases: readonly Case[] = [
  {
    name: 'admin/create-is-idempotent',
    title: 'creating a topic again says that it exists',
    needs: can('create'),
    refusal: refuse('create'),
    run: createTwice,
  },
  {
    name: 'admin/create-conflict',
    title: 'creating a topic that exists in another shape is a conflict',
    needs: (world) =>
      all(
        can('create')(world),
        world.order === 'key' ? true : 'topics of order none have no number of partitions to differ in',
      ),
    refusal: refuseOtherOrder,
    run: createConflict,
  },
  {
    name: 'admin/describe',
    title: 'a topic is described as it was made',
    needs: can('describe'),
    refusal: refuse('describe'),
    run: describe,
  },
  {
    name: 'admin/list',
    title: 'a topic is listed while it exists',
    needs: can('list'),
    refusal: refuse('list'),
    run: list,
  },
  {
    name: 'admin/delete',
    title: "a deleted topic is gone, with its records and its groups' progress",
    needs: can('delete'),
    refusal: refuse('delete'),
    run: remove,
  },
  {
    name: 'admin/missing-topic',
    title: 'a topic that does not exist is not-found on send, on consume and on describe, never a hang',
    run: missing,
  },
  { name: 'admin/groups', title: 'groups are listed, and forgotten when asked to', run: groups },
]

/** Needs an operation of the administration. */
export function can(operation: AdminOperation): (world: World) => true | string {
  return (world) => (world.capabilities.admin.includes(operation) ? true : `the capability admin has no ${operation}`)
}

/** Shows that an operation is refused. */
export function refuse(operation: AdminOperation): Case['run'] {
  return async (context) => {
    const cloud = await context.connect()
    const { admin } = cloud
    const name = context.name()
    const calls: Readonly<Record<AdminOperation, () => Promise<unknown>>> = {
      create: () => admin.createTopic(name),
      delete: () => admin.deleteTopic(name),
      describe: () => admin.describeTopic(name),
      list: () => admin.listTopics(),
      retention: () => admin.setRetention(name, { retentionMs: 60_000 }),
    }
    await refuses(calls[operation], 'unsupported', `admin operation ${operation}`)
  }
}

async function createTwice(context: CaseContext): Promise<void> {
  const cloud = await context.connect()
  const name = context.name()
  equal(await cloud.admin.createTopic(name, context.spec()), 'created', 'the first creation')
  equal(await cloud.admin.createTopic(name, context.spec()), 'exists', 'the second creation')
  equal(await cloud.admin.createTopic(name, context.spec({})), 'exists', 'a creation that leaves everything open')
  const raced = context.name()
  const other = await context.connect()
  const outcomes = await Promise.all(
    [cloud, other, cloud, other].map((one) => one.admin.createTopic(raced, context.spec())),
  )
  equal(outcomes.filter((outcome) => outcome === 'created').length, 1, 'creations that made the topic, of four at once')
}

async function createConflict(context: CaseContext): Promise<void> {
  const { cloud, name, topic } = await bench(context, { partitions: 2 })
  await sendAll(topic, messages(4, 2))
  if (context.world.shape === 'log')
    await rejects(
      cloud.admin.createTopic(name, context.spec({ partitions: 3 })),
      'conflict',
      'the same topic with other partitions',
    )
  if (context.world.capabilities.shapes.none !== false) {
    await rejects(cloud.admin.createTopic(name, { order: 'none' }), 'conflict', 'the same topic with another order')
  }
  const reading = await drain(context, topic, 4)
  each(
    texts(reading.values()),
    texts(range(4)),
    context.world.harness.copies ?? 1,
    'records after creations that were refused',
  )
}

async function refuseOtherOrder(context: CaseContext): Promise<void> {
  const { cloud, name } = await bench(context)
  const otherOrder = context.world.order === 'none' ? 'key' : 'none'
  await refuses(
    () => cloud.admin.createTopic(name, { order: otherOrder }),
    ['conflict', 'unsupported'],
    'the same topic with another order',
  )
}

async function describe(context: CaseContext): Promise<void> {
  const { cloud, name, topic } = await bench(context, context.world.order === 'key' ? { partitions: 3 } : {})
  const before = await cloud.admin.describeTopic(name)
  equal(before.name, name, 'the name')
  equal(before.order, context.world.order, 'the order')
  equal(await topic.order(), context.world.order, 'the order, asked of the topic')
  if (context.world.shape === 'log')
    equal(
      before.partitions.map((one) => one.state),
      ['open', 'open', 'open'],
      'the states of three new partitions',
    )
  equal(new Set(before.partitions.map((one) => one.id)).size, before.partitions.length, 'different names of partitions')
  await sendAll(topic, messages(30, 10))
  const after = await cloud.admin.describeTopic(name)
  const told = after.partitions.flatMap((one) => one.records ?? [])
  if (told.length === after.partitions.length) {
    between(
      told.reduce((sum, count) => sum + count, 0),
      30,
      30 * (context.world.harness.copies ?? 1),
      'records stored, as described',
    )
  }
}

async function list(context: CaseContext): Promise<void> {
  const { cloud, name } = await bench(context)
  that((await cloud.admin.listTopics()).includes(name), 'the topic is listed')
  that(!(await cloud.admin.listTopics()).includes(`${name}x`), 'a topic that does not exist is not listed')
}

async function remove(context: CaseContext): Promise<void> {
  const { cloud, name, topic } = await bench(context)
  const group = context.name('g')
  await sendAll(topic, messages(10, 5))
  const reading = read(context, member(topic, group))
  await reading.count(10)
  await reading.stop()
  await cloud.admin.deleteTopic(name)
  await rejects(cloud.admin.describeTopic(name), 'not-found', 'describing a deleted topic')
  await rejects(cloud.admin.deleteTopic(name), 'not-found', 'deleting it again')
  const fresh = await context.connect()
  equal(await fresh.admin.createTopic(name, context.spec()), 'created', 'creating it anew')
  const anew = fresh.topic(name)
  await anew.send({ value: 'new', key: 'k' })
  const seen: unknown[] = []
  const again = read(context, member(anew, group), { handle: ({ value }) => void seen.push(value) })
  await again.count(1)
  await again.stop()
  each(texts(seen), ['new'], context.world.harness.copies ?? 1, 'what the same group is given of the new topic')
}

async function missing(context: CaseContext): Promise<void> {
  const cloud = await context.connect({ create: false })
  const name = context.name()
  const topic = cloud.topic(name)
  const soon = <T>(promise: Promise<T>, what: string): Promise<T> => context.within(promise, 5_000, what)
  await soon(rejects(topic.send({ value: 1 }), 'not-found', 'a send'), 'a send to a missing topic')
  const consumer = member(topic, context.name('g'))
  await soon(
    rejects(
      consumer.run(() => undefined),
      'not-found',
      'consuming',
    ),
    'consuming a missing topic',
  )
  await consumer.close().catch(() => undefined)
  const reads = (async () => {
    for await (const _ of topic.read()) break
  })()
  await soon(rejects(reads, 'not-found', 'reading'), 'reading a missing topic')
  await soon(rejects(cloud.admin.describeTopic(name), 'not-found', 'describing'), 'describing a missing topic')
  await soon(rejects(topic.limits(), 'not-found', 'asking its limits'), 'asking for the limits of a missing topic')
  await soon(
    rejects(cloud.admin.lag(name, 'g'), ['not-found', 'unsupported'], 'asking its lag'),
    'asking for the lag on a missing topic',
  )
}

async function groups(context: CaseContext): Promise<void> {
  const { cloud, name, topic } = await bench(context)
  const group = context.name('g')
  await sendAll(topic, messages(10, 5))
  const reading = read(context, member(topic, group))
  await reading.count(10)
  that((await cloud.admin.listGroups(name)).includes(group), 'a running group is listed')
  await rejects(cloud.admin.deleteGroup(name, group), 'conflict', 'forgetting a group whose members run')
  await reading.stop()
  that((await cloud.admin.listGroups(name)).includes(group), 'a resting group with progress is listed')
  await cloud.admin.deleteGroup(name, group)
  equal(await cloud.admin.listGroups(name), [], 'groups after the only one was forgotten')
  const again = read(context, member(topic, group))
  await again.count(10)
  await again.stop()
  each(
    texts(again.values()),
    texts(range(10)),
    context.world.harness.copies ?? 1,
    'what a group is given whose progress was forgotten',
  )
}
