import type { Lease } from '@sluice/driver'
import { describe, expect, it } from 'vitest'
import { generations } from '../src/discovery.ts'
import { planScan } from '../src/plan.ts'
import type { ScanView } from '../src/plan.ts'

/** `p:owner`, `p:owner>asker`, `p` (unowned), `p!` (ended), `p^a+b` (with parents). */
function parse(text: string): Lease {
  const match = /^(\w+)(!?)(?:\^([\w+]+))?(?::(\w+))?(?:>(\w+))?$/.exec(text)
  if (match === null) throw new Error(`cannot read ${text}`)
  const [, partition = '', ended, parents, owner, handoffTo] = match
  return {
    scope: 's',
    partition,
    owner,
    epoch: 1,
    handoffTo,
    checkpoint: undefined,
    ended: ended === '!',
    parents: parents?.split('+') ?? [],
    version: 1,
  }
}

interface Case {
  readonly name: string
  /** As member `a` sees it. Owners `x…` are abandoned, members `d…` known to be dead, those `s…` silent so far. */
  readonly leases: string
  readonly held?: string
  readonly unseen?: string
  readonly take?: number | string
  readonly left?: number
  readonly passOn?: string
  readonly askOf?: string
  readonly hurry?: boolean
}

const cases: readonly Case[] = [
  { name: 'takes everything when alone', leases: 'p q r', take: 3 },
  { name: 'takes half of it beside another member', leases: 'p q r:b', take: 2 },
  { name: 'takes up to its share only, counting what it holds', leases: 'p:a q r s:b', held: 'p', take: 1 },
  { name: 'takes leases that were abandoned', leases: 'p:x q:b', take: 'p' },
  { name: 'takes leases of a member known to be dead', leases: 'p:d q:b', take: 'p' },
  {
    name: 'leaves abandoned leases beyond its share to others, and looks again soon',
    leases: 'p:a q:x r:x s:b',
    held: 'p',
    take: 1,
    left: 1,
    hurry: true,
  },
  { name: 'leaves what is beyond its share', leases: 'p:a q:a r:x s:b', held: 'p q', left: 1, hurry: true },
  { name: 'leaves nothing that is free already', leases: 'p:a q:a r s:b', held: 'p q' },
  { name: 'does not count dead members when it computes its share', leases: 'p:x q:d r', take: 3 },
  { name: 'leaves others alone when counts differ by one', leases: 'p:b q:b r:a', held: 'r' },
  { name: 'asks the most loaded member for one lease', leases: 'p:b q:c r:c s:c t:b', askOf: 'c', hurry: true },
  {
    name: 'asks for a lease even when the other has just its share',
    leases: 'p:b q:b r:c s:c',
    askOf: 'b|c',
    hurry: true,
  },
  {
    name: 'asks for all that is missing',
    leases: 'p:b q:b r:b s:b t:b u:b v:c w:c x:c',
    askOf: 'b b b',
    hurry: true,
  },
  {
    name: 'asks members in proportion to what they can spare',
    leases: 'p:b q:b r:b s:b t:c u:c v:c w:c x:e y:e z:e',
    askOf: 'b c',
    hurry: true,
  },
  { name: 'takes a free lease rather than ask', leases: 'p:b q:b r:b s', take: 's', askOf: 'b', hurry: true },
  { name: 'asks for one lease at a time', leases: 'p:b>a q:b r:b s:b', hurry: true },
  { name: 'does not ask a member that may be dead', leases: 'p:s q:s', hurry: true },
  { name: 'asks those who are at work meanwhile', leases: 'p:b q:b r:b s:s t:s u:s', askOf: 'b', hurry: true },
  { name: 'counts a lease as the asker’s', leases: 'p:b>c q:b r:a', held: 'r' },
  { name: 'does not ask for a lease that another asked for', leases: 'p:b>c q:b>c' },
  { name: 'ignores what a dead member asked for', leases: 'p:a>d q:a', held: 'p q' },
  { name: 'takes what was handed to it', leases: 'p:a q:b', take: 'p' },
  { name: 'takes what is stored as its own even beyond its share', leases: 'p:a q:a r:b', take: 'p q' },
  { name: 'passes on what it was asked for and no longer holds', leases: 'p:a>b', passOn: 'p' },
  { name: 'takes an abandoned lease it had asked for', leases: 'p:x>a', take: 'p' },
  { name: 'takes an abandoned lease another had asked for', leases: 'p:x>b', take: 'p' },
  { name: 'leaves children alone until their parent ended', leases: 'p:b c^p d^p', take: '' },
  { name: 'takes children of an ended parent', leases: 'p!:b c^p e^p', take: 2 },
  { name: 'waits for both parents of a merge', leases: 'p! q:b c^p+q', take: '' },
  { name: 'takes children of a parent that is gone from the store', leases: 'c^p', take: 'c' },
  {
    name: 'waits one list for a child that appeared without its parent',
    leases: 'c^p',
    unseen: 'c',
    take: '',
    hurry: true,
  },
  { name: 'does not wait for a child that appeared with its parent', leases: 'p! c^p', unseen: 'p c', take: 'c' },
  { name: 'never takes an ended lease', leases: 'p! q!:a r!:x', take: '' },
]

describe('planScan', () => {
  it.each(cases)(
    '$name',
    ({
      leases: text,
      held = '',
      unseen = '',
      take = '',
      left = 0,

      passOn = '',
      askOf = '',
      hurry = false,
    }) => {
      const leases = text.split(' ').map(parse)
      const heldPartitions = held.split(' ')
      const view: ScanView = {
        member: 'a',
        leases,
        isHeld: (partition) => heldPartitions.includes(partition),
        isAbandoned: ({ owner }) => owner !== undefined && /^[xd]/.test(owner),
        isDead: (member) => member.startsWith('d'),
        isAtWork: (member) => !member.startsWith('s'),
        seenBefore: new Set(
          leases.map(({ partition }) => partition).filter((partition) => !unseen.split(' ').includes(partition)),
        ),
        random: () => 0.5,
      }
      const plan = planScan(view)
      const taken = plan.take.map(({ partition }) => partition)
      expect(typeof take === 'number' ? taken.length : taken.toSorted().join(' ')).toEqual(take)
      expect(plan.left.length).toBe(left)
      expect(plan.passOn.map(({ partition }) => partition).join(' ')).toBe(passOn)
      expect(
        plan.ask
          .map(({ owner }) => owner ?? '')
          .toSorted()
          .join(' '),
      ).toMatch(new RegExp(`^(${askOf})$`))
      expect(plan.hurry).toBe(hurry)
    },
  )
})

function listed(id: string, ...parents: string[]): { readonly id: string; readonly parents: string[] } {
  return { id, parents }
}

describe('generations', () => {
  it.each([
    ['nothing', [], []],
    ['partitions without parents', [listed('a'), listed('b')], [['a', 'b']]],
    ['children listed before their parents', [listed('c', 'b'), listed('b', 'a'), listed('a')], [['a'], ['b'], ['c']]],
    ['parents that are not listed', [listed('c', 'gone')], [['c']]],
    ['a cycle', [listed('a'), listed('b', 'c'), listed('c', 'b')], [['a'], ['b', 'c']]],
  ])('groups %s', (_, partitions, expected) => {
    expect(generations(partitions).map((group) => group.map(({ id }) => id))).toEqual(expected)
  })
})
