import { expect, it } from 'vitest'
import { ManualClock, settle } from '@sluice/driver/testing'
import { silentLogger } from '@sluice/driver'
import { AloneMembership } from '../src/index.ts'
import type { ListedPartition } from '../src/index.ts'

it('begins what came of a partition as soon as that is read, though it is newer than the last look', async () => {
  const clock = new ManualClock()
  const begun: string[] = []
  let partitions: readonly ListedPartition[] = [{ id: 'a', parents: [] }]
  const membership = new AloneMembership<string>({
    topic: 't',
    clock,
    logger: silentLogger,
    everyMs: 10_000,
    reader: {
      assign: (partition, _epoch, start) => void begun.push(`${partition} at ${start}`),
      tenuresOf: () => [],
      withdraw: () => true,
      topicChanged: () => undefined,
    },
    listPartitions: () => Promise.resolve(partitions),
    startOf: (partition) => `start of ${partition}`,
  })
  await membership.start()
  expect(begun).toEqual(['a at start of a'])
  partitions = [...partitions, { id: 'b', parents: ['a'] }, { id: 'c', parents: ['b'] }]
  membership.drained('a')
  await settle()
  expect(begun).toEqual(['a at start of a', 'b at start of b'])
  await membership.close()
})
