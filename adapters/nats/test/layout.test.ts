import { describe, expect, it } from 'vitest'
import { partitionForKey } from '@sluice/driver'
import { firstPartitions, matches, misfits, nextPartitions, placeOf, subjectsOf, takeOver } from '../src/layout.ts'
import type { PartitionInfo, StreamShape, TopicInfo } from '../src/layout.ts'

function topic(partitions: readonly PartitionInfo[], next?: readonly PartitionInfo[]): TopicInfo {
  return { id: 'i', name: 't', order: 'key', adopted: false, streamCreated: 'then', partitions, next }
}

describe('partitions that take over', () => {
  it.each([
    [2, 4],
    [4, 2],
    [2, 5],
    [6, 4],
    [3, 1],
  ])('from %i to %i: a key comes from a parent of where it goes', (from, to) => {
    const before = firstPartitions(from)
    const next = nextPartitions(before, to)
    for (let n = 0; n < 500; n++) {
      const key = `key-${n}`
      const parent = before[partitionForKey(key, from)]?.id
      expect(next[placeOf({ key, id: 'x' }, to)]?.parents).toContain(parent)
    }
  })

  it('have names of their own, and end the old ones behind a sequence', () => {
    const first = firstPartitions(2)
    const once = takeOver(topic(first, nextPartitions(first, 3)), 70)
    const twice = takeOver({ ...once, next: nextPartitions(once.partitions, 1) }, 90)
    expect(twice.partitions.map(({ id, ended, endSequence }) => [id, ended, endSequence])).toEqual([
      ['0', true, 70],
      ['1', true, 70],
      ['2', true, 90],
      ['3', true, 90],
      ['4', true, 90],
      ['5', false, undefined],
    ])
    expect(twice.partitions.at(-1)?.parents).toEqual(['2', '3', '4'])
    expect(twice.next).toBeUndefined()
  })
})

describe('subjects', () => {
  it.each([
    ['t.0', 't.0', true],
    ['t.*', 't.0', true],
    ['t.>', 't.0', true],
    ['>', 't.0', true],
    ['*.0', 't.0', true],
    ['t.0.>', 't.0', false],
    ['t', 't.0', false],
    ['t.*.*', 't.0', false],
    ['u.*', 't.0', false],
  ])('%s takes %s: %s', (pattern, subject, expected) => {
    expect(matches(pattern, subject)).toBe(expected)
  })

  it('of a topic are its open partitions, and the mark that ends them where keys are in order', () => {
    expect(subjectsOf('t', 'key', firstPartitions(2))).toEqual(['t.0', 't.1', 't.barrier'])
    expect(subjectsOf('t', 'none', firstPartitions(1))).toEqual(['t.0'])
  })
})

describe('a stream that was there before', () => {
  const good: StreamShape = {
    subjects: ['t.*'],
    retention: 'limits',
    max_msgs_per_subject: -1,
    duplicate_window: 120e9,
    max_age: 0,
  }

  it.each<readonly [string, StreamShape, RegExp | undefined]>([
    ['fits', good, undefined],
    ['with a retention below the window', { ...good, max_age: 60e9, duplicate_window: 60e9 }, undefined],
    ['with other subjects', { ...good, subjects: ['t.0'] }, /does not take the subjects t\.1/],
    ['for work', { ...good, retention: 'workqueue' }, /workqueue retention/],
    ['for interest', { ...good, retention: 'interest' }, /interest retention/],
    ['without acks', { ...good, no_ack: true }, /no_ack/],
    ['sealed', { ...good, sealed: true }, /sealed/],
    ['that keeps the last only', { ...good, max_msgs_per_subject: 1 }, /max_msgs_per_subject/],
    ['that mirrors', { ...good, mirror: { name: 'other' } }, /mirrors/],
    ['that changes subjects', { ...good, subject_transform: { src: 'a', dest: 'b' } }, /subject_transform/],
    ['that forgets ids', { ...good, duplicate_window: 1e9 }, /duplicate_window/],
  ])('%s', (_name, shape, problem) => {
    const found = misfits(shape, ['t.0', 't.1'], 120_000).join('; ')
    expect(found).toMatch(problem ?? /^$/)
  })
})
