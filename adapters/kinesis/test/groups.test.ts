import type { Lease, Position } from '@sluice/driver'
import { describe, expect, it } from 'vitest'
import { Groups } from '../src/groups.ts'
import type { GroupsContext } from '../src/groups.ts'
import { ShardMap } from '../src/shards.ts'
import type { ShardInfo } from '../src/shards.ts'

const groups = new Groups({ time: { now: () => 1_000 } } as unknown as GroupsContext)

function shard(id: string, parents: readonly string[] = [], open = false): ShardInfo {
  return { id, parents, open, from: 0n, to: 1n, firstSequence: '1' }
}

function lease(partition: string, checkpoint: string): Lease {
  return {
    scope: 't/1/g',
    partition,
    owner: undefined,
    epoch: 0,
    handoffTo: undefined,
    checkpoint: checkpoint as Position,
    ended: false,
    parents: [],
    version: 1,
  }
}

describe('the shards as a group sees them', () => {
  it('begin at their positions also when only some of their leases could be made at first', () => {
    const map = new ShardMap([shard('s0', [], true), shard('s1'), shard('s2', ['s1'], true)])
    const positions = { s0: '7:0' as Position, s1: '8:2' as Position, s2: '9:0' as Position }
    const beginning = groups.beginningOf({ kind: 'position', positions })
    const checkpoints = groups
      .listed(map, [lease('s0', '7:-1')], beginning)
      .map(({ id, checkpoint }) => [id, checkpoint] as const)
    expect(Object.fromEntries(checkpoints)).toMatchObject({ s1: '8:1', s2: 'TRIM_HORIZON' })
  })

  it('are told at once, however often they were split and merged', () => {
    const shards = [shard('s0')]
    for (let times = 0; times < 400; times++) {
      const last = shards.length - 1
      shards.push(shard(`s${last + 1}`, [`s${last}`]), shard(`s${last + 2}`, [`s${last}`]))
      shards.push(shard(`s${last + 3}`, [`s${last + 1}`, `s${last + 2}`], times === 399))
    }
    const map = new ShardMap(shards)
    const beginning = groups.beginningOf({ kind: 'earliest' })
    expect(groups.listed(map, [], beginning).filter(({ ended }) => ended)).toEqual([])
    const newest = lease(`s${shards.length - 1}`, 'TRIM_HORIZON')
    expect(groups.listed(map, [newest], beginning).filter(({ ended }) => ended === true).length).toBe(1_200)
  })
})
