import { expect, it } from 'vitest'
import { Weighing } from '../src/weighing.ts'

it('has many that follow one another stored together, and few in turn, unless the way is long', () => {
  const near = new Weighing('file')
  expect([1, 2, 17, 18, 1_000].map((records) => near.prefersTogether(records))).toEqual([
    false,
    false,
    false,
    true,
    true,
  ])
  expect(new Weighing('memory').prefersTogether(2)).toBe(true)
  const far = new Weighing('file')
  for (let round = 0; round < 100; round++) far.tookInTurn(20)
  expect(far.prefersTogether(2)).toBe(true)
})

it('takes at once what was faster, and slowly what was slower: it may have waited for something else', () => {
  const weighing = new Weighing('file')
  weighing.tookInTurn(0.1)
  expect(weighing.prefersTogether(40)).toBe(false)
  weighing.tookInTurn(1_000)
  expect(weighing.prefersTogether(40)).toBe(false)
  weighing.tookTogether(1, 40)
  expect(weighing.prefersTogether(40)).toBe(true)
})

it('tries again what was slow once', () => {
  const weighing = new Weighing('file')
  for (let round = 0; round < 10; round++) weighing.tookTogether(400, 200)
  expect(weighing.prefersTogether(200)).toBe(false)
  let runs = 0
  while (!weighing.prefersTogether(200)) runs++
  expect(runs).toBeLessThan(1_000)
})
