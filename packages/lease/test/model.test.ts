import { settle } from '@sluice/driver/testing'
import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { failoverMs, scope, World } from './world.ts'
import type { Drain, Fault, Member } from './world.ts'

type OnMember =
  | { readonly kind: 'leave' | 'kill' | 'pause' | 'resume'; readonly who: number }
  | { readonly kind: 'fault'; readonly who: number; readonly fault: Fault }
  | { readonly kind: 'drain'; readonly who: number; readonly drain: Drain }

type Action =
  | { readonly kind: 'join'; readonly seed: number }
  | OnMember
  | { readonly kind: 'advance'; readonly tenths: number }
  | { readonly kind: 'outage'; readonly fault: Fault }
  | { readonly kind: 'checkpoint'; readonly which: number; readonly count: number }
  | { readonly kind: 'end'; readonly which: number }
  | { readonly kind: 'reshard'; readonly which: number; readonly parents: number; readonly children: number }
  | { readonly kind: 'grow' | 'refresh' }
  | { readonly kind: 'jump'; readonly ms: number }

const index = fc.nat({ max: 30 })
const fault = fc.constantFrom<Fault>('none', 'fail', 'hang', 'lost-reply', 'late', 'slow', 'mixed')

function of<K extends Action['kind']>(kind: K): fc.Arbitrary<K> {
  return fc.constant(kind)
}

const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: of('join'), seed: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ kind: of('leave'), who: index }) },
  { weight: 1, arbitrary: fc.record({ kind: of('kill'), who: index }) },
  { weight: 3, arbitrary: fc.record({ kind: of('pause'), who: index }) },
  { weight: 3, arbitrary: fc.record({ kind: of('resume'), who: index }) },
  { weight: 12, arbitrary: fc.record({ kind: of('advance'), tenths: fc.integer({ min: 1, max: 40 }) }) },
  { weight: 3, arbitrary: fc.record({ kind: of('fault'), who: index, fault }) },
  { weight: 1, arbitrary: fc.record({ kind: of('outage'), fault }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: of('drain'),
      who: index,
      drain: fc.constantFrom<Drain>('at-once', 'slowly', 'never', 'throws'),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: of('checkpoint'),
      which: index,
      count: fc.integer({ min: 0, max: 9 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: of('end'), which: index }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: of('reshard'),
      which: index,
      parents: fc.integer({ min: 1, max: 2 }),
      children: fc.integer({ min: 1, max: 2 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: of('grow') }) },
  { weight: 1, arbitrary: fc.record({ kind: of('refresh') }) },
  { weight: 1, arbitrary: fc.record({ kind: of('jump'), ms: fc.integer({ min: -100_000, max: 100_000 }) }) },
)

async function perform(world: World, step: Action): Promise<void> {
  switch (step.kind) {
    case 'join':
      if (world.members.filter(({ alive }) => alive).length < 5) await world.join(step.seed)
      return
    case 'advance':
      return world.advance((step.tenths * failoverMs) / 10)
    case 'outage':
      for (const member of world.members) member.fault = step.fault
      return
    case 'grow':
      if (world.partitions.length < 12) world.grow(1)
      return
    case 'refresh':
      for (const member of world.members.filter(({ awake }) => awake)) void member.coordinator.refresh()
      return
    case 'jump':
      return world.clock.jump(step.ms)
    case 'reshard':
      return reshard(world, step.which, step.parents, step.children)
    case 'checkpoint':
      return checkpointOne(world, step.which, step.count, false)
    case 'end':
      return checkpointOne(world, step.which, 1, true)
    default:
      return performOnMember(
        pick(
          world.members.filter(({ alive }) => alive),
          step.who,
        ),
        step,
      )
  }
}

function performOnMember(member: Member | undefined, step: OnMember): void {
  if (member === undefined) return
  switch (step.kind) {
    case 'leave':
      if (member.awake) void member.close()
      return
    case 'kill':
      return member.kill()
    case 'pause':
      return member.clock.pause()
    case 'resume':
      // A zombie stores progress before it learns how long it slept.
      return member.clock.resume(() => {
        for (const partition of member.reading.keys()) void member.checkpoint(partition, 1, false)
      })
    case 'fault':
      member.fault = step.fault
      return
    case 'drain':
      member.drain = step.drain
  }
}

function reshard(world: World, which: number, parents: number, children: number): void {
  const open = world.partitions.filter(({ closed }) => !closed)
  const first = which % Math.max(1, open.length)
  const chosen = open.slice(first, first + parents).map(({ id }) => id)
  if (world.partitions.length < 12) world.reshard(chosen, children)
}

/** A reader of an awake member stores progress. */
function checkpointOne(world: World, which: number, count: number, ended: boolean): void {
  const readings = world.members
    .filter(({ awake }) => awake)
    .flatMap((member) => [...member.reading.keys()].map((partition) => ({ member, partition })))
    .filter(({ partition }) => !ended || world.partitions.some(({ id, closed }) => id === partition && closed))
  const chosen = pick(readings, which)
  if (chosen !== undefined) void chosen.member.checkpoint(chosen.partition, count, ended)
}

function pick<T>(items: readonly T[], which: number): T | undefined {
  return items[which % Math.max(1, items.length)]
}

function check(world: World): void {
  world.checkBeliefs()
  expect(world.violations).toEqual([])
}

/** No faults any more, everybody awake, closed partitions read to their end. */
async function quieten(world: World): Promise<void> {
  for (const member of world.members) {
    member.fault = 'none'
    member.drain = 'at-once'
    if (member.alive) member.clock.resume()
  }
  if (!world.members.some(({ alive }) => alive)) await world.join(1)
  for (let round = 0; round < 40; round++) {
    await world.advance(failoverMs)
    for (const { member, partition } of closedReadings(world)) void member.checkpoint(partition, 1, true)
  }
}

function closedReadings(world: World): readonly { readonly member: Member; readonly partition: string }[] {
  const closed = new Set(world.partitions.filter((partition) => partition.closed).map(({ id }) => id))
  return world.members
    .filter(({ awake }) => awake)
    .flatMap((member) => [...member.reading.keys()].map((partition) => ({ member, partition })))
    .filter(({ partition }) => closed.has(partition))
}

async function checkBalanced(world: World): Promise<void> {
  const living = world.members.filter(({ alive }) => alive)
  const held = living.flatMap((member) => member.coordinator.held().map(({ partition }) => partition))
  const open = world.partitions.filter(({ closed }) => !closed).map(({ id }) => id)
  expect(held.toSorted()).toEqual(open.toSorted())
  const counts = living.map((member) => member.coordinator.held().length)
  expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1)
  for (const member of living) {
    expect([...member.reading.keys()].toSorted()).toEqual(
      member.coordinator
        .held()
        .map((lease) => lease.partition)
        .toSorted(),
    )
  }
  expect((await world.store.list(scope)).filter((lease) => !lease.ended && lease.handoffTo !== undefined)).toEqual([])
}

async function closeAll(world: World): Promise<void> {
  const closed = Promise.all(world.members.filter(({ killed }) => !killed).map((member) => member.close()))
  await world.advance(failoverMs)
  await closed
  for (const member of world.members) expect(member.clock.pending).toBe(0)
  expect((await world.store.list(scope)).filter((lease) => !lease.ended && lease.owner !== undefined)).toEqual([])
}

const runs = Number(process.env['SLUICE_MODEL_RUNS'] ?? 250)

it(
  'keeps its promises under random faults, and shares evenly once they stop',
  { timeout: 20_000 + runs * 200 },
  async () => {
    const schedule = fc.record({
      partitions: fc.integer({ min: 1, max: 6 }),
      revealsDeaths: fc.boolean(),
      seed: fc.nat(),
      actions: fc.array(action, { minLength: 5, maxLength: 60 }),
    })
    const property = fc.asyncProperty(schedule, async ({ partitions, revealsDeaths, seed, actions }) => {
      const world = new World(partitions)
      world.revealsDeaths = revealsDeaths
      await world.join(seed)
      for (const step of actions) {
        await perform(world, step)
        await settle()
        check(world)
      }
      await quieten(world)
      check(world)
      await checkBalanced(world)
      await closeAll(world)
      world.checkBeliefs()
      expect(world.violations).toEqual([])
    })
    await fc.assert(property, { numRuns: runs })
  },
)
