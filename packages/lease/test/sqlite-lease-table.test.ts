import { DatabaseSync } from 'node:sqlite'
import type { Lease, Position } from '@sluice/driver'
import { SqliteLeaseTable } from '@sluice/lease'
import type { LeaseCommit } from '@sluice/lease'
import { expect, it } from 'vitest'

const stored: Lease = {
  scope: 'orders/billing',
  partition: '0',
  owner: 'a',
  epoch: 3,
  handoffTo: 'b',
  checkpoint: '5' as Position,
  ended: false,
  parents: [],
  version: 0,
}
const good: LeaseCommit = {
  scope: stored.scope,
  partition: '0',
  owner: 'a',
  epoch: 3,
  through: '9' as Position,
  ended: false,
}

function open(): {
  readonly database: DatabaseSync
  readonly table: SqliteLeaseTable
  readonly read: () => Lease | undefined
} {
  const database = new DatabaseSync(':memory:')
  const table = SqliteLeaseTable.open(database)
  table.create(stored)
  return { database, table, read: () => table.list(stored.scope)[0] }
}

it('commits progress for the present tenure and raises the version', () => {
  const { table, read } = open()
  const before = read()
  expect(table.commit(good)).toBe(true)
  expect(read()).toEqual({ ...stored, checkpoint: '9', version: (before?.version ?? 0) + 1 })
})

it.each([
  ['another owner', { owner: 'b' }],
  ['an older epoch', { epoch: 2 }],
  ['a newer epoch', { epoch: 4 }],
  ['another scope', { scope: 'x' }],
  ['another partition', { partition: '1' }],
])('refuses a commit of %s', (_, change) => {
  const { table, read } = open()
  const before = read()
  expect(table.commit({ ...good, ...change })).toBe(false)
  expect(read()).toEqual(before)
})

it('keeps the checkpoint when a partition ends without a new record, and stays ended', () => {
  const { table, read } = open()
  table.commit({ ...good, through: undefined, ended: true })
  expect(read()).toMatchObject({ checkpoint: '5', ended: true })
  table.commit(good)
  expect(read()).toMatchObject({ checkpoint: '9', ended: true })
})

it('refuses a commit after the lease was released', () => {
  const { table, read } = open()
  const before = read()
  if (before !== undefined) table.replace({ ...before, owner: undefined })
  expect(table.commit(good)).toBe(false)
})

it('takes part in the transaction of its connection', () => {
  const { database, table, read } = open()
  const before = read()
  database.exec('BEGIN')
  table.commit(good)
  database.exec('ROLLBACK')
  expect(read()).toEqual(before)
})

it('opens a table that exists already', () => {
  const { database, read } = open()
  expect(SqliteLeaseTable.open(database).list(stored.scope)).toEqual([read()])
})
