import { afterAll, beforeAll, expect, it } from 'vitest'
import { StreamError } from '@sluice/driver'
import { that } from '../src/expect.ts'
import type { World } from '../src/harness.ts'
import { runCase } from '../src/runner.ts'
import { runSuite } from '../src/suite.ts'
import { memoryHarness } from '../src/embedded.ts'
import { caseOf, memoryWorld } from './fixtures.ts'

let world: World
let close: () => Promise<void>
beforeAll(async () => {
  ;({ world, close } = await memoryWorld())
})
afterAll(() => close())

const entry = { backend: 'memory', case: 'test/case', reason: 'the emulator forgets', link: 'https://example.org/1' }
const unmet = caseOf(async () => that(false, 'it should be otherwise'))
const well = caseOf(async () => undefined)

it('passes a case that holds', async () => {
  expect(await runCase(well, world)).toMatchObject({ status: 'passed', failure: undefined })
})

it('fails a case by its expectation, with the sentence', async () => {
  expect(await runCase(unmet, world)).toMatchObject({
    status: 'failed',
    failure: 'unmet',
    message: 'it should be otherwise',
  })
})

it('says that the process stood still while a case failed', async () => {
  const stalled = caseOf(async () => {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 150)
    that(false, 'it should be sooner')
  })
  const { message } = await runCase(stalled, world)
  expect(message).toMatch(/^it should be sooner \(meanwhile: this process stood still for \d{3,} ms\)$/)
})

it('says which partitions members lost while a case failed', async () => {
  const lost = caseOf(async (context) => {
    const { shim } = await context.shimmed()
    const event = { member: 'one', group: 'g', topic: 't', epoch: 1, atMs: 0 }
    const error = new StreamError('fenced', 'somebody took it')
    shim.events.push({ ...event, kind: 'assigned', partitions: ['p0', 'p1'] })
    shim.events.push({ ...event, kind: 'lost', partitions: ['p1'], error })
    that(false, 'it should be kept')
  })
  const { message } = await runCase(lost, world)
  expect(message).toMatch(/^it should be kept \(meanwhile: (.*; )?one lost p1: somebody took it\)$/)
})

it('tells a crash of the case from an expectation that was not met', async () => {
  const crash = caseOf(() => Promise.reject(new TypeError('undefined is not a function')))
  expect(await runCase(crash, world)).toMatchObject({ status: 'failed', failure: 'crash' })
})

it('fails a case that hangs, by its name', async () => {
  const hang = caseOf(() => new Promise(() => undefined), { deadlineMs: 50 })
  const result = await runCase(hang, world)
  expect(result).toMatchObject({ status: 'failed', failure: 'hang' })
  expect(result.message).toContain('test/case hangs')
})

it('reports handles that a case leaves open', async () => {
  // Several, because vitest's own timers come and go: handles are told apart by kind and number only.
  const timers: NodeJS.Timeout[] = []
  const leak = caseOf(async () => {
    for (let count = 0; count < 5; count++) timers.push(setTimeout(() => undefined, 60_000))
  })
  const result = await runCase(leak, world)
  for (const timer of timers) clearTimeout(timer)
  expect(result).toMatchObject({ status: 'failed', failure: 'leak' })
  expect(result.message).toContain('Timeout')
})

it('reports rejections that nobody handled', async () => {
  const stray = caseOf(async (context) => {
    void Promise.reject(new Error('nobody waits for me'))
    await context.pause(10)
  })
  expect((await runCase(stray, world)).message).toContain('nobody waits for me')
})

it('runs the refusal where the capability is missing, and counts it as refused', async () => {
  let refused = false
  const one = caseOf(() => Promise.reject(new Error('must not run')), {
    needs: () => 'the capability flight is false',
    refusal: async () => void (refused = true),
  })
  expect(await runCase(one, world)).toMatchObject({ status: 'refused', reason: 'the capability flight is false' })
  expect(refused).toBe(true)
})

it('fails when the refusal does not hold', async () => {
  const one = caseOf(async () => undefined, {
    needs: () => 'no',
    refusal: async () => that(false, 'it did it all the same'),
  })
  expect(await runCase(one, world)).toMatchObject({ status: 'failed', message: 'it did it all the same' })
})

it('does not run what the harness lacks something for, and says what', async () => {
  const one = caseOf(async () => undefined, { needs: () => 'needs harness.broker' })
  expect(await runCase(one, world)).toMatchObject({ status: 'not-run', reason: 'needs harness.broker' })
  const meaningless = caseOf(async () => undefined, {
    needs: () => ({ notRun: 'no order here' }),
    refusal: async () => undefined,
  })
  expect(await runCase(meaningless, world)).toMatchObject({ status: 'not-run', reason: 'no order here' })
})

it('counts a registered divergence, with its reason and link', async () => {
  const result = await runCase(unmet, world, { divergence: entry })
  expect(result).toMatchObject({ status: 'diverged', reason: 'the emulator forgets (https://example.org/1)' })
})

it('fails when a registered divergence no longer diverges', async () => {
  const result = await runCase(well, world, { divergence: entry })
  expect(result.status).toBe('failed')
  expect(result.message).toContain('no longer diverges')
})

it('takes divergences from the register, and fails entries that name no case', async () => {
  const register = [entry, { ...entry, case: 'test/renamed' }, { ...entry, backend: 'other' }]
  const report = await runSuite(memoryHarness(), { cases: [unmet], divergences: register })
  const results = report.backends[0]?.results ?? []
  expect(results.map((result) => [result.name, result.status])).toEqual([
    ['test/case', 'diverged'],
    ['test/renamed', 'failed'],
  ])
})
