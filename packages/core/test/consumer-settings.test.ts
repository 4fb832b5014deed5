import { expect, it } from 'vitest'
import { consumerSettings } from '../src/consumer/settings.ts'

it('commits progress once a second, outputs that wait for it sooner, and as often as it is told', () => {
  const every = (transactional: boolean, commitIntervalMs?: number): number => {
    const options = { group: 'g', ...(commitIntervalMs === undefined ? {} : { commitIntervalMs }) }
    return consumerSettings('t', options, transactional).commitIntervalMs
  }
  expect([every(false), every(true), every(false, 0), every(true, 300)]).toEqual([1_000, 50, 0, 300])
})
