import type { Case } from '../case.ts'
import { all } from '../case.ts'
import type { CaseContext } from '../context.ts'
import { json } from '../codecs.ts'
import { between, each, equal, refuses, rejects, that } from '../expect.ts'
import { read } from '../reading.ts'
import { bench, member, messages, range, sendAll, sendInTurn, texts } from '../setup.ts'
import { can, refuse } from './admin.ts'

/** How long and how much a topic keeps. */
export const retentionCases: readonly Case[] = [
  {
    name: 'admin/retention-set-and-read',
    title: 'retention is set and read back, and is what the capability tells where nothing is said',
    needs: can('retention'),
    refusal: refuse('retention'),
    run: retention,
  },
  {
    name: 'admin/retention-expires',
    title: 'records past retention go, and a group that stood on them goes on at the earliest',
    needs: (world) =>
      all(can('retention')(world), world.capabilities.embedded ? true : 'retention cannot be waited for here'),
    run: retentionExpires,
    deadlineMs: 30_000,
  },
  {
    name: 'admin/retention-bytes',
    title: 'a topic that may keep so many bytes drops the oldest records, and keeps the newest',
    needs: (world) =>
      all(can('retention')(world), world.capabilities.retention.bytes ? true : 'the capability retention has no bytes'),
    refusal: refuseBytes,
    run: retentionBytes,
    deadlineMs: 30_000,
  },
]

async function retention(context: CaseContext): Promise<void> {
  const { cloud, name } = await bench(context)
  const { defaultMs, minMs } = context.world.capabilities.retention
  const retentionMs = Math.max(3_600_000, minMs)
  equal(
    (await cloud.admin.describeTopic(name)).retentionMs ?? Infinity,
    defaultMs,
    'the retention where none was given',
  )
  for (const wantedMs of [retentionMs, 2 * retentionMs, retentionMs]) {
    await cloud.admin.setRetention(name, { retentionMs: wantedMs })
    equal((await cloud.admin.describeTopic(name)).retentionMs, wantedMs, 'the retention that was set')
  }
  const made = context.name()
  await cloud.admin.createTopic(made, context.spec({ retentionMs: 86_400_000 }))
  equal((await cloud.admin.describeTopic(made)).retentionMs, 86_400_000, 'the retention given on creation')
  await rejects(
    cloud.admin.setRetention(context.name(), { retentionMs }),
    'not-found',
    'setting it for a topic that does not exist',
  )
}

async function retentionExpires(context: CaseContext): Promise<void> {
  const { cloud, name, topic } = await bench(context, { retentionMs: 300 })
  const group = context.name('g')
  await sendAll(topic, messages(10, 5))
  const reading = read(context, member(topic, group))
  await reading.count(10)
  await reading.stop()
  await sendAll(topic, messages(10, 5, 10))
  await context.eventually(async () => {
    const found: number[] = []
    for await (const message of topic.read()) found.push(message.value)
    equal(found, [], 'records that are older than the retention')
  }, 15_000)
  await cloud.admin.setRetention(name, { retentionMs: 3_600_000 })
  await sendAll(topic, messages(5, 5, 20))
  const later = read(context, member(topic, group))
  await later.count(5)
  await later.stop()
  each(
    texts(later.values()),
    texts(range(5, 20)),
    context.world.harness.copies ?? 1,
    'what a group is given that stood on records that went',
  )
}

async function refuseBytes(context: CaseContext): Promise<void> {
  const cloud = await context.connect()
  const name = await context.createTopic(cloud)
  const retention = { retentionBytes: 64 * 1024 }
  await refuses(() => cloud.admin.setRetention(name, retention), 'unsupported', 'a retention in bytes')
  const creating = (): Promise<unknown> => cloud.admin.createTopic(context.name(), context.spec(retention))
  await refuses(creating, 'unsupported', 'a topic with a retention in bytes')
}

async function retentionBytes(context: CaseContext): Promise<void> {
  const { cloud, name } = await bench(context, context.world.order === 'key' ? { partitions: 1 } : {})
  const topic = cloud.topic(name, { codec: json<string>() })
  await cloud.admin.setRetention(name, { retentionBytes: 64 * 1024 })
  equal((await cloud.admin.describeTopic(name)).retentionBytes, 64 * 1024, 'the retention in bytes')
  await sendInTurn(
    topic,
    range(40).map((value) => ({ value: `${value}:`.padEnd(8 * 1024, '.') })),
  )
  const left = async (): Promise<readonly string[]> => {
    const found = new Set<string>()
    for await (const { value } of topic.read()) found.add(value.slice(0, value.indexOf(':')))
    return [...found]
  }
  await context.eventually(async () => {
    between((await left()).length, 1, 8, 'records of 8 KiB in a topic that may keep 64 KiB')
  }, 15_000)
  that((await left()).includes('39'), 'the newest record is kept')
}
