import { DescribeTableCommand, ListTablesCommand, TagResourceCommand } from '@aws-sdk/client-dynamodb'
import { systemClock } from '@sluice/driver'
import type { Lease, LeaseStore, Position } from '@sluice/driver'
import { describe, expect, it } from 'vitest'
import { Groups } from '../src/groups.ts'
import type { GroupsContext } from '../src/groups.ts'
import { ShardMap } from '../src/shards.ts'
import type { ShardInfo } from '../src/shards.ts'
import type { TopicView } from '../src/topic.ts'
import { backend, forbidding, makeTable, open, tablesOf } from './fixtures.ts'

const groups = new Groups({ time: { now: () => 1_000, past: () => 900 } } as unknown as GroupsContext)
/** Not asked for anything: neither the earliest nor a position is a time. */
const topic = {} as TopicView

function shard(id: string, parents: readonly string[] = [], open = false): ShardInfo {
  return { id, parents, open, from: 0n, to: 1n, firstSequence: '1' }
}

function lease(partition: string, checkpoint: string): Lease {
  return {
    scope: 't/1/g',
    partition,
    owner: undefined,
    epoch: 0,
    handoffTo: undefined,
    checkpoint: checkpoint as Position,
    ended: false,
    parents: [],
    version: 1,
  }
}

describe('a group', () => {
  it('that is moved while its first member makes a lease is moved all the same', async () => {
    const made = { ...lease('s0', 'TRIM_HORIZON'), scope: 't/1/g' }
    const written: Lease[] = []
    let lists = 0
    const bound: Partial<LeaseStore> = {
      list: () => Promise.resolve(lists++ === 0 ? [] : [made]),
      create: () => Promise.resolve(false),
      replace: (next) => {
        written.push(next)
        return Promise.resolve(next)
      },
    }
    const shards = new ShardMap([shard('s0', [], true)])
    const view = { name: 't', info: { createdMs: 1 }, shards, refresh: () => Promise.resolve() } as unknown as TopicView
    const moved = new Groups({ time: { past: () => 900 }, bound, clock: systemClock } as unknown as GroupsContext)
    const positions = { s0: '7:0' as Position }
    await moved.move(view, 'g', { kind: 'position', positions }, new AbortController().signal)
    expect(written).toMatchObject([{ partition: 's0', checkpoint: '7:-1', epoch: 1 }])
  })

  it('is forgotten where it was found, with the table only if nobody else is in it', async () => {
    const { dynamo, url } = await backend()
    const before = await open(url())
    const now = await open(url('&leaseTable={group}'))
    for (const name of ['t1', 't2']) await before.admin.createTopic(name, { partitions: 1 })
    await before.admin.seek('t1', 'mail', 'earliest')
    await now.admin.seek('t2', 'mail', 'earliest')
    const tables = tablesOf(dynamo)
    // dynalite passes over the tags that a table is made with.
    for (const TableName of ['mail', 'sluice.t1.mail']) {
      const { Table } = await tables.send(new DescribeTableCommand({ TableName }))
      const Tags = [{ Key: 'created-by', Value: 'sluice' }]
      await tables.send(new TagResourceCommand({ ResourceArn: Table?.TableArn, Tags }))
    }
    await now.admin.deleteTopic('t1')
    expect((await tables.send(new ListTablesCommand({}))).TableNames).toEqual(['mail'])
    expect(await now.admin.listGroups('t2')).toEqual(['mail'])
  })
})

describe('groups are listed', () => {
  it('that can be reached with the tables as they are named here, and no others', async () => {
    const { url } = await backend()
    const before = await open(url())
    const now = await open(url('&leaseTable={group}'))
    await before.admin.createTopic('t', { partitions: 1 })
    await before.admin.seek('t', 'one', 'earliest')
    await now.admin.seek('t', 'two', 'earliest')
    expect([await before.admin.listGroups('t'), await now.admin.listGroups('t')]).toEqual([['one'], ['two']])
  })

  it('also where their tables may not be described', async () => {
    const { kinesis, dynamo } = await backend()
    const guarded = await forbidding(dynamo.url, 'DescribeTable')
    await makeTable(tablesOf(dynamo), 'sluice.t.g', 'leaseKey')
    const cloud = await open(`kinesis://A:b@eu-west-1?endpoint=${kinesis.url}&dynamoEndpoint=${guarded}`)
    await cloud.admin.createTopic('t', { partitions: 1 })
    await cloud.admin.seek('t', 'g', 'earliest')
    expect(await cloud.admin.listGroups('t')).toEqual(['g'])
  })
})

describe('the shards as a group sees them', () => {
  it('begin at their positions also when only some of their leases could be made at first', async () => {
    const map = new ShardMap([shard('s0', [], true), shard('s1'), shard('s2', ['s1'], true)])
    const positions = { s0: '7:0' as Position, s1: '8:2' as Position, s2: '9:0' as Position }
    const beginning = await groups.beginningOf({ kind: 'position', positions }, topic)
    const checkpoints = groups
      .listed(map, [lease('s0', '7:-1')], beginning)
      .map(({ id, checkpoint }) => [id, checkpoint] as const)
    expect(Object.fromEntries(checkpoints)).toMatchObject({ s1: '8:1', s2: 'TRIM_HORIZON' })
  })

  it.each([
    ['of what was read from its first record', { s1: '8:0' }, 'TRIM_HORIZON'],
    ['of what was read to its end from its first record', { s1: 'SHARD_END' }, 'TRIM_HORIZON'],
    ['of what the KCL left at the newest from its first record', { s1: 'LATEST' }, 'TRIM_HORIZON'],
    ['of what nothing was read of where the group begins', { s1: 'AT_TIMESTAMP:5' }, 'AT_TIMESTAMP:5'],
    ['that nobody has seen where the group begins', { s0: 'AT_TIMESTAMP:5' }, 'AT_TIMESTAMP:5'],
  ])('begin, if they came %s', async (_, checkpoints: Readonly<Record<string, string>>, expected) => {
    const map = new ShardMap([shard('s0', [], true), shard('s1'), shard('s2', ['s1'], true)])
    const known = Object.entries(checkpoints).map(([id, checkpoint]) =>
      checkpoint === 'SHARD_END' ? { ...lease(id, ''), checkpoint: undefined, ended: true } : lease(id, checkpoint),
    )
    const beginning = await groups.beginningOf({ kind: 'earliest' }, topic)
    const others = known[0]?.partition === 's0' ? [] : [lease('s0', 'AT_TIMESTAMP:7')]
    const listed = groups.listed(map, [...others, ...known], beginning)
    expect(listed.find(({ id }) => id === 's2')?.checkpoint).toBe(expected)
  })

  it('are told at once, however often they were split and merged', async () => {
    const shards = [shard('s0')]
    for (let times = 0; times < 400; times++) {
      const last = shards.length - 1
      shards.push(shard(`s${last + 1}`, [`s${last}`]), shard(`s${last + 2}`, [`s${last}`]))
      shards.push(shard(`s${last + 3}`, [`s${last + 1}`, `s${last + 2}`], times === 399))
    }
    const map = new ShardMap(shards)
    const beginning = await groups.beginningOf({ kind: 'earliest' }, topic)
    expect(groups.listed(map, [], beginning).filter(({ ended }) => ended)).toEqual([])
    const newest = lease(`s${shards.length - 1}`, 'TRIM_HORIZON')
    expect(groups.listed(map, [newest], beginning).filter(({ ended }) => ended === true).length).toBe(1_200)
  })
})
