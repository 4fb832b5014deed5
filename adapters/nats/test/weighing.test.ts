import { expect, it } from 'vitest'
import { Weighing } from '../src/weighing.ts'
import type { Following } from '../src/weighing.ts'

function of(records: number, bytesEach = 100): Following {
  return { records, bytes: records * bytesEach }
}

it('has many that follow one another stored together, and few in turn, unless the way is long', () => {
  const near = new Weighing('file')
  expect([1, 2, 17, 18, 1_000].map((records) => near.prefersTogether(of(records)))).toEqual([
    false,
    false,
    false,
    true,
    true,
  ])
  expect(new Weighing('memory').prefersTogether(of(2))).toBe(true)
  const far = new Weighing('file')
  for (let round = 0; round < 100; round++) far.tookInTurn(20, 1)
  expect(far.prefersTogether(of(2))).toBe(true)
})

it('takes at once what was faster, and slowly what was slower: it may have waited for something else', () => {
  const weighing = new Weighing('file')
  weighing.tookInTurn(0.1, 1)
  expect(weighing.prefersTogether(of(40))).toBe(false)
  weighing.tookInTurn(1_000, 1)
  expect(weighing.prefersTogether(of(40))).toBe(false)
  weighing.tookTogether(1, of(40), 1)
  expect(weighing.prefersTogether(of(40))).toBe(true)
})

it('tries again what was slow once', () => {
  const weighing = new Weighing('file')
  for (let round = 0; round < 10; round++) weighing.tookTogether(400, of(200), 1)
  expect(weighing.prefersTogether(of(200))).toBe(false)
  let runs = 0
  while (!weighing.prefersTogether(of(200))) runs++
  expect(runs).toBeLessThan(1_000)
})

it('has large ones stored in turn: the server writes a batch twice', () => {
  const weighing = new Weighing('file')
  weighing.tookInTurn(0.37, 1)
  expect(weighing.prefersTogether(of(100, 65_536))).toBe(false)
  expect(weighing.prefersTogether(of(100, 1_024))).toBe(true)
  expect(new Weighing('memory').prefersTogether(of(100, 65_536))).toBe(true)
})

it('counts how many are stored, not how long each waits for those before it', () => {
  const weighing = new Weighing('file')
  for (let round = 0; round < 100; round++) weighing.tookInTurn(4, 16)
  expect(weighing.prefersTogether(of(15, 65_536))).toBe(false)
  for (let round = 0; round < 100; round++) weighing.tookInTurn(4, 1)
  expect(weighing.prefersTogether(of(15, 65_536))).toBe(true)
  weighing.tookTogether(400, of(15, 65_536), 1)
  expect(weighing.prefersTogether(of(15, 65_536))).toBe(false)
  weighing.tookTogether(400, of(15, 65_536), 40)
  expect(weighing.prefersTogether(of(15, 65_536))).toBe(true)
})
