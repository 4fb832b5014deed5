import { expect, it } from 'vitest'
import { Weighing } from '../src/weighing.ts'

it('has many that follow one another stored together, and few in turn, unless the way is long', () => {
  const near = new Weighing('file')
  expect([2, 16, 17, 1_000].map((records) => near.prefersTogether(records))).toEqual([false, false, true, true])
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
  weighing.tookTogether(1)
  expect(weighing.prefersTogether(40)).toBe(true)
})
