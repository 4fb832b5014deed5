import { DescribeTableCommand, PutItemCommand, ScanCommand, TagResourceCommand } from '@aws-sdk/client-dynamodb'
import type { AttributeValue } from '@aws-sdk/client-dynamodb'
import { parseBackendUrl, systemClock } from '@sluice/driver'
import type { Lease, Position } from '@sluice/driver'
import { DynamoDbServer } from '@sluice/emulators'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Calls } from '../src/calls.ts'
import { openClients } from '../src/clients.ts'
import type { Clients } from '../src/clients.ts'
import { parseConfig } from '../src/config.ts'
import { LeaseTables } from '../src/lease-table.ts'
import { DynamoLeaseStore } from '../src/leases.ts'

const shard = 'shardId-000000000000'
const scope = { topic: 'orders', stream: '1', group: 'billing' }
const free: Lease = {
  scope: 's',
  partition: shard,
  owner: undefined,
  epoch: 0,
  handoffTo: undefined,
  checkpoint: 'TRIM_HORIZON' as Position,
  ended: false,
  parents: [],
  version: 0,
}

describe('leases in DynamoDB', () => {
  let server: DynamoDbServer
  let clients: Clients
  let calls: Calls
  let count = 0

  beforeAll(async () => {
    server = await DynamoDbServer.start()
    clients = openClients(parseConfig(parseBackendUrl(`kinesis://A:b@eu-west-1?endpoint=${server.url}`)))
    calls = new Calls(systemClock, 5_000)
  })
  afterAll(async () => {
    clients.close()
    await server.close()
  })

  function tablesWith(options = ''): LeaseTables {
    const config = parseConfig(parseBackendUrl(`kinesis://A:b@eu-west-1?endpoint=${server.url}${options}`))
    return new LeaseTables({ client: clients.dynamo, calls, config, clock: systemClock })
  }

  async function fresh(of = scope): Promise<{ readonly store: DynamoLeaseStore; readonly table: string }> {
    const table = `leases-${count++}`
    const tables = tablesWith()
    await tables.ensure(table)
    return { table, store: new DynamoLeaseStore({ client: clients.dynamo, calls, tables, table, scope: of }) }
  }

  async function items(table: string): Promise<readonly Record<string, AttributeValue>[]> {
    return (await clients.dynamo.send(new ScanCommand({ TableName: table }))).Items ?? []
  }

  it('are created once, replaced and removed by whoever saw the last version', async () => {
    const { store } = await fresh()
    expect(await store.create(free)).toBe(true)
    expect(await store.create(free)).toBe(false)
    const [seen] = await store.list('s')
    expect(seen).toEqual({ ...free, version: 1 })
    const taken = await store.replace({ ...(seen as Lease), owner: 'a', epoch: 1 })
    expect(taken).toEqual({ ...free, owner: 'a', epoch: 1, version: 2 })
    expect(await store.replace({ ...(seen as Lease), owner: 'b', epoch: 1 })).toBeUndefined()
    expect(await store.remove(seen as Lease)).toBe(false)
    expect(await store.list('s')).toEqual([taken])
    expect(await store.remove(taken as Lease)).toBe(true)
    expect(await store.list('s')).toEqual([])
  })

  it('come back whatever is in them', async () => {
    const { store } = await fresh()
    const states: readonly Partial<Lease>[] = [
      { owner: 'a', epoch: 3, checkpoint: '49590338:7' as Position },
      { owner: 'a', epoch: 3, handoffTo: 'b', checkpoint: 'AT_TIMESTAMP:1700000000000' as Position },
      { owner: 'b', epoch: 4, checkpoint: '49590338:-1' as Position, parents: ['p1', 'p2'] },
      { owner: undefined, epoch: 5, checkpoint: 'LATEST' as Position },
      { owner: 'b', epoch: 6, ended: true, checkpoint: undefined },
    ]
    await store.create(free)
    let lease: Lease = { ...free, version: 1 }
    for (const state of states) {
      const wanted = { ...free, ...state, version: lease.version }
      lease = (await store.replace(wanted)) as Lease
      expect(await store.list('s')).toEqual([{ ...wanted, version: lease.version }])
    }
  })

  it('stand as the KCL has them', async () => {
    const { store, table } = await fresh()
    await store.create({ ...free, parents: ['shardId-000000000009'] })
    const [lease] = await store.list('s')
    await store.replace({ ...(lease as Lease), owner: 'a', epoch: 1, handoffTo: 'b', checkpoint: '4959:3' as Position })
    expect(await items(table)).toEqual([
      {
        leaseKey: { S: shard },
        // Of a lease that is handed over, the owner is who will have it.
        leaseOwner: { S: 'b' },
        checkpointOwner: { S: 'a' },
        leaseCounter: { N: '2' },
        checkpoint: { S: '4959' },
        checkpointSubSequenceNumber: { N: '3' },
        ownerSwitchesSinceCheckpoint: { N: '0' },
        parentShardId: { SS: ['shardId-000000000009'] },
        entityType: { S: 'LEASE' },
        sluiceEpoch: { N: '1' },
        sluiceTopic: { S: 'orders' },
        sluiceStream: { S: '1' },
        sluiceGroup: { S: 'billing' },
      },
    ])
  })

  it('of a KCL application are taken over, its other items passed over, and what is not ours stays', async () => {
    const { store, table } = await fresh()
    const put = (Item: Record<string, AttributeValue>): Promise<unknown> =>
      clients.dynamo.send(new PutItemCommand({ TableName: table, Item }))
    await put({
      leaseKey: { S: shard },
      leaseOwner: { S: 'kcl-worker' },
      leaseCounter: { N: '41' },
      checkpoint: { S: '4959' },
      checkpointSubSequenceNumber: { N: '0' },
      ownerSwitchesSinceCheckpoint: { N: '2' },
      startingHashKey: { S: '0' },
      endingHashKey: { S: '340282366920938463463374607431768211455' },
      throughputKBps: { N: '3' },
      pendingCheckpoint: { S: '4960' },
      pendingCheckpointSubSequenceNumber: { N: '1' },
    })
    await put({ leaseKey: { S: 'worker-1' }, entityType: { S: 'WORKER_METRICS' }, lut: { N: '1' } })
    const [seen, ...others] = await store.list('s')
    expect(others).toEqual([])
    expect(seen).toEqual({ ...free, owner: 'kcl-worker', checkpoint: '4959:0', version: 41 })
    await store.replace({ ...(seen as Lease), owner: 'ours', epoch: 1 })
    const kept = (await items(table)).find((item) => item['leaseKey']?.S === shard)
    expect(kept).toMatchObject({
      leaseOwner: { S: 'ours' },
      leaseCounter: { N: '42' },
      endingHashKey: { S: '340282366920938463463374607431768211455' },
      throughputKBps: { N: '3' },
    })
    expect(kept).not.toHaveProperty('pendingCheckpoint')
    expect(kept).not.toHaveProperty('pendingCheckpointSubSequenceNumber')
  })

  it('of a stream that had the name before are nobody’s', async () => {
    const { store, table } = await fresh()
    await store.create({ ...free, checkpoint: '4959:0' as Position })
    const tables = tablesWith()
    const later = new DynamoLeaseStore({
      client: clients.dynamo,
      calls,
      tables,
      table,
      scope: { ...scope, stream: '2' },
    })
    expect(await later.list('s')).toEqual([])
    expect(await later.create(free)).toBe(true)
    expect(await later.list('s')).toMatchObject([{ checkpoint: 'TRIM_HORIZON' }])
  })

  it('of another group are refused, and said whose they are', async () => {
    const { store, table } = await fresh()
    await store.create(free)
    const tables = tablesWith()
    const other = new DynamoLeaseStore({
      client: clients.dynamo,
      calls,
      tables,
      table,
      scope: { ...scope, group: 'audit' },
    })
    await expect(other.list('s')).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('the leases of group "billing" on topic "orders"') as string,
    })
  })

  it('are more than one page', async () => {
    const { store } = await fresh()
    const parents = Array.from({ length: 40 }, (_, at) => `shardId-${String(at).padStart(300, '0')}`)
    for (let at = 0; at < 120; at++) await store.create({ ...free, partition: `shardId-${at}`, parents })
    expect((await store.list('s')).length).toBe(120)
  })

  it('are in tables that are named after topic and group, each by a name of its own', () => {
    const tables = tablesWith()
    expect(tables.nameOf('orders', 'billing')).toBe('sluice.orders.billing')
    const names = ['a b', 'a_b', 'a/b', 'ä', 'x'.repeat(300), `${'x'.repeat(300)}y`].map((group) =>
      tables.nameOf('t', group),
    )
    expect(new Set(names).size).toBe(names.length)
    expect(tables.nameOf('a', 'b.c')).not.toBe(tables.nameOf('a.b', 'c'))
    expect(names.every((name) => /^[\w.-]{3,255}$/.test(name))).toBe(true)
    expect(tablesWith('&leaseTable={group}').nameOf('orders', 'kcl.app')).toBe('kcl.app')
  })

  it('are in tables that are deleted only where they were made here', async () => {
    const tables = tablesWith('&leaseTags=team=data&leaseBilling=3:4')
    const { signal } = new AbortController()
    await tables.ensure('made-here')
    await tables.ensure('made-here')
    // dynalite passes over the tags that a table is made with, so this one is nobody's yet.
    expect(await tables.drop('made-here', signal)).toBe(false)
    const { Table } = await clients.dynamo.send(new DescribeTableCommand({ TableName: 'made-here' }))
    expect(Table?.ProvisionedThroughput).toMatchObject({ ReadCapacityUnits: 3, WriteCapacityUnits: 4 })
    const Tags = [{ Key: 'created-by', Value: 'sluice' }]
    await clients.dynamo.send(new TagResourceCommand({ ResourceArn: Table?.TableArn, Tags }))
    expect(await tables.drop('made-here', signal)).toBe(true)
    expect(await tables.scan('made-here')).toBeUndefined()
    expect(await tables.drop('made-here', signal)).toBe(false)
  })
})
