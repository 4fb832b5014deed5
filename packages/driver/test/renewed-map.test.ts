import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, test } from 'vitest'
import { RenewedMap, RenewedSet } from '../src/index.ts'

test('a renewed map holds what a map would, however much comes and goes', () => {
  const map = new RenewedMap<number, string>()
  const plain = new Map<number, string>()
  const differences: string[] = []
  const compare = (what: string, ours: unknown, theirs: unknown): void => {
    if (JSON.stringify(ours) !== JSON.stringify(theirs)) differences.push(what)
  }
  // Between 0 and 200 entries, removed in an order of their own: the multiplication walks through the keys.
  for (let step = 0; step < 20_000; step++) {
    const key = (step * 7_919) % 400
    if (step % 1_000 < 500 ? step % 3 !== 0 : step % 3 === 0) {
      map.set(key, `${step}`)
      plain.set(key, `${step}`)
    } else {
      compare(`delete in step ${step}`, map.delete(key), plain.delete(key))
    }
    compare(`size after step ${step}`, map.size, plain.size)
    compare(`entry after step ${step}`, [map.get(key), map.has(key)], [plain.get(key), plain.has(key)])
    if (step % 97 === 0)
      compare(`lists after step ${step}`, [map.keys(), map.values()], [[...plain.keys()], [...plain.values()]])
  }
  expect(differences).toEqual([])
})

test('what is listed stays as it was while entries come and go', () => {
  const set = new RenewedSet<number>()
  for (let value = 0; value < 50; value++) set.add(value)
  const before = set.values()
  for (const value of before) {
    expect(set.delete(value)).toBe(true)
    set.add(value + 100)
  }
  expect(before).toHaveLength(50)
  expect(set.values()).toEqual(before.map((value) => value + 100))
})

test('a cleared one is empty, and takes entries again', () => {
  const set = new RenewedSet<string>()
  set.add('a')
  set.clear()
  expect(set.size).toBe(0)
  expect(set.has('a')).toBe(false)
  expect(set.delete('a')).toBe(false)
  set.add('b')
  expect(set.values()).toEqual(['b'])
})

test('what was removed is not kept alive by a map that has been quiet for a while', () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as (options: { readonly type: 'major' | 'minor' }) => void
  const oldBytes = (): number =>
    getHeapSpaceStatistics().find((space) => space.space_name === 'old_space')?.space_used_size ?? NaN
  const keptBy = (
    map: Pick<Map<number, unknown>, 'delete'> & { set(key: number, value: unknown): unknown },
  ): number => {
    map.set(-1, undefined)
    for (let times = 0; times < 3; times++) collect({ type: 'major' })
    const before = oldBytes()
    for (let key = 0; key < 20_000; key++) {
      map.set(
        key,
        Array.from({ length: 100 }, () => key),
      )
      map.delete(key - 4)
      if (key % 100 === 0) collect({ type: 'minor' })
    }
    return oldBytes() - before
  }
  const plain = keptBy(new Map())
  // Should V8 mend it, `RenewedMap` may go.
  expect(plain).toBeGreaterThan(4_000_000)
  expect(keptBy(new RenewedMap())).toBeLessThan(plain / 5)
})
