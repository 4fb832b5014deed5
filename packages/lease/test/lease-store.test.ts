import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { StreamError } from '@sluice/driver'
import type { Lease, LeaseStore, Position } from '@sluice/driver'
import { MemoryLeaseStore, SqliteLeaseStore } from '@sluice/lease'
import { afterEach, describe, expect, it } from 'vitest'

const scope = 'orders/billing'
const cleanups: (() => void)[] = []
afterEach(() => {
  for (const cleanup of cleanups.splice(0).toReversed()) cleanup()
})

function lease(partition: string, change: Partial<Lease> = {}): Lease {
  const empty = { owner: undefined, epoch: 0, handoffTo: undefined, checkpoint: undefined, ended: false, parents: [] }
  return { scope, partition, ...empty, version: 0, ...change }
}

function database(path: string): DatabaseSync {
  const opened = new DatabaseSync(path)
  cleanups.push(() => opened.close())
  return opened
}

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'sluice-lease-'))
  cleanups.push(() => rmSync(path, { recursive: true }))
  return path
}

/** Two handles on one store: what two members have. */
const stores: readonly { readonly name: string; readonly open: () => readonly [LeaseStore, LeaseStore] }[] = [
  {
    name: 'memory',
    open() {
      const store = new MemoryLeaseStore()
      return [store, store]
    },
  },
  {
    name: 'sqlite in memory',
    open() {
      const opened = database(':memory:')
      return [SqliteLeaseStore.open(opened), SqliteLeaseStore.open(opened)]
    },
  },
  {
    name: 'sqlite file with two connections',
    open() {
      const path = join(folder(), 'leases.db')
      return [SqliteLeaseStore.open(database(path)), SqliteLeaseStore.open(database(path))]
    },
  },
]

describe.each(stores)('a lease store: $name', ({ open }) => {
  it('lists nothing for an unknown scope', async () => {
    const [store] = open()
    expect(await store.list('nobody')).toEqual([])
  })

  it('returns every field as it was written', async () => {
    const [writer, reader] = open()
    const full = lease('c', {
      owner: 'a',
      epoch: 7,
      handoffTo: 'b',
      checkpoint: '00000000000000000042' as Position,
      ended: true,
      parents: ['p "1"', 'p\n2'],
    })
    expect(await writer.create(full)).toBe(true)
    const [stored] = await reader.list(scope)
    expect(stored).toEqual({ ...full, version: stored?.version })
  })

  it('creates one lease for each scope and partition', async () => {
    const [one, other] = open()
    expect(await one.create(lease('0', { epoch: 1 }))).toBe(true)
    expect(await other.create(lease('0', { epoch: 2 }))).toBe(false)
    expect(await other.create(lease('0', { scope: 'other' }))).toBe(true)
    expect((await one.list(scope)).map((entry) => entry.epoch)).toEqual([1])
  })

  it('lets one of two writers with the same version replace', async () => {
    const [one, other] = open()
    await one.create(lease('0'))
    const seen = await first(one)
    const stored = await one.replace({ ...seen, owner: 'one' })
    expect(await other.replace({ ...seen, owner: 'other' })).toBeUndefined()
    expect(await other.list(scope)).toEqual([stored])
  })

  it('gives a new version with every write, and the returned one can be replaced', async () => {
    const [store] = open()
    await store.create(lease('0'))
    const versions = new Set([(await first(store)).version])
    for (let round = 0; round < 5; round++) {
      const stored = await store.replace(await first(store))
      versions.add(stored?.version ?? -1)
    }
    expect(versions.size).toBe(6)
  })

  it('does not replace what is not there', async () => {
    const [store] = open()
    expect(await store.replace(lease('0', { version: 1 }))).toBeUndefined()
    expect(await store.list(scope)).toEqual([])
  })

  it('removes only the version it was shown', async () => {
    const [one, other] = open()
    await one.create(lease('0'))
    const seen = await first(one)
    const newer = await other.replace(seen)
    expect(await one.remove(seen)).toBe(false)
    expect(newer && (await one.remove(newer))).toBe(true)
    expect(await other.list(scope)).toEqual([])
  })

  it('does not take a lease created again for the one that was removed', async () => {
    const [store] = open()
    await store.create(lease('0'))
    const old = await first(store)
    await store.remove(old)
    await store.create(lease('0'))
    expect(await store.replace({ ...old, owner: 'zombie' })).toBeUndefined()
  })
})

describe('SqliteLeaseStore', () => {
  it('rejects with unavailable while another connection holds the write lock', async () => {
    const path = join(folder(), 'leases.db')
    const other = database(path)
    const store = SqliteLeaseStore.open(database(path))
    other.exec('PRAGMA busy_timeout = 0; BEGIN IMMEDIATE')
    const error = await store.create(lease('0')).catch((cause: unknown) => cause)
    expect(StreamError.is(error, 'unavailable')).toBe(true)
  })
})

async function first(store: LeaseStore): Promise<Lease> {
  const [found] = await store.list(scope)
  if (found === undefined) throw new Error('the store is empty')
  return found
}
