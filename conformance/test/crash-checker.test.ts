import { describe, expect, it } from 'vitest'
import { parseCrashArguments, UsageError } from '../src/crash/arguments.ts'
import { checkOutputs } from '../src/crash/check-outputs.ts'
import { checkHistory } from '../src/crash/check.ts'
import { duplicateBound } from '../src/crash/duplicates.ts'
import { attemptedOf, deliveredOf, inOrder } from '../src/crash/history.ts'
import type { Attempted, Delivered, History, MemberEnd, Stored } from '../src/crash/history.ts'
import { planRound } from '../src/crash/plan.ts'

const settings = { maxUncommitted: 4, maxBufferedRecords: 2 }

const sent = (seq: number, key: string | undefined = 'a', acked = true): Attempted => ({
  slot: 0,
  seq,
  key,
  id: `0-${seq}`,
  bytes: 10,
  acked,
})

const stored = (seq: number, key: string | undefined = 'a'): Stored => ({ slot: 0, seq, key })

/** A delivery of record `seq` to `member` that begins at `at` and takes one microsecond. */
const handled = (member: string, seq: number, at: number, changes: Partial<Delivered> = {}): Delivered => ({
  member,
  n: at,
  slot: 0,
  seq,
  key: 'a',
  id: `0-${seq}`,
  bytes: 10,
  partition: '0',
  attempt: 1,
  beganAt: at,
  outcome: 'done',
  endedAt: at + 1,
  lost: false,
  tenure: 1,
  tenureLost: false,
  ...changes,
})

const closed = (member: string): MemberEnd => ({ member, killedAt: undefined })

const history = (seqs: readonly number[], delivered: readonly Delivered[], members: readonly MemberEnd[]): History => ({
  attempted: seqs.map((seq) => sent(seq)),
  stored: seqs.map((seq) => stored(seq)),
  delivered: inOrder(delivered),
  members,
  settings,
  backendFails: false,
  mayRepeat: false,
})

const problemsOf = (of: History): readonly string[] => checkHistory(of).problems

describe('the checker of group rounds', () => {
  it('finds nothing wrong with records that are handled once, in order, also after a failed attempt', () => {
    const failed = handled('m0', 1, 20, { outcome: 'failed' })
    const delivered = [handled('m0', 0, 10), failed, handled('m0', 1, 30, { attempt: 2 }), handled('m0', 2, 40)]
    expect(checkHistory(history([0, 1, 2], delivered, [closed('m0')]))).toEqual({
      problems: [],
      duplicates: { count: 0, bound: 0, problems: [] },
    })
  })

  it('finds an acknowledged record that nobody handled to the end', () => {
    const killed = { member: 'm0', killedAt: 25 }
    const open = handled('m0', 1, 20, { outcome: 'open', endedAt: 25 })
    const problems = problemsOf(history([0, 1], [handled('m0', 0, 10), open], [killed]))
    expect(problems).toEqual([expect.stringMatching(/^lost: 1 stored records were never handled to the end.*0-1/)])
  })

  it('finds a record that is stored twice, unless the backend knows no repeated ids; then it comes twice, and back in its key', () => {
    const delivered = [handled('m0', 0, 10), handled('m0', 1, 20), handled('m0', 0, 30), handled('m0', 1, 40)]
    const round = { ...history([0, 1], delivered, [closed('m0')]), stored: [0, 1, 0, 1].map((seq) => stored(seq)) }
    expect(problemsOf(round)).toContain('stored twice: 2 records')
    expect(problemsOf({ ...round, mayRepeat: true }).filter((problem) => !problem.startsWith('duplicates'))).toEqual([])
    const once = { ...round, stored: [0, 1].map((seq) => stored(seq)), mayRepeat: true }
    expect(problemsOf(once)).toContainEqual(expect.stringMatching(/^step back/))
  })

  it('finds an acknowledged record that was never stored, but expects nothing of one without a receipt', () => {
    const round = history([0], [handled('m0', 0, 10)], [closed('m0')])
    const problems = problemsOf({ ...round, attempted: [sent(0), sent(1), sent(2, 'a', false)] })
    expect(problems).toEqual([expect.stringMatching(/^lost: 1 acknowledged records are not stored.*0-1/)])
  })

  it('finds a record stored twice, one never sent, and one that changed on its way', () => {
    const strange = [handled('m0', 0, 10, { bytes: 9 }), handled('m0', 7, 20, { key: 'b' })]
    const round = { ...history([0], strange, [closed('m0')]), stored: [stored(0), stored(0)] }
    expect(problemsOf(round)).toEqual([
      expect.stringMatching(/^stored twice: 1/),
      expect.stringMatching(/^changed: record 0-0/),
      expect.stringMatching(/^stranger: record 0-7/),
    ])
  })

  it('finds first deliveries that are not in send order', () => {
    const delivered = [handled('m0', 0, 10), handled('m0', 2, 20), handled('m1', 1, 30)]
    const problems = problemsOf(history([0, 1, 2], delivered, [closed('m0'), closed('m1')]))
    expect(problems).toEqual([expect.stringMatching(/^order: record 0-1 .* first handled after record 0-2/)])
  })

  it('accepts an unacknowledged record that is missing, and finds one that comes out of order', () => {
    const delivered = [handled('m0', 0, 10), handled('m0', 2, 20)]
    const round = { ...history([0, 2], delivered, [closed('m0')]), attempted: [sent(0), sent(1, 'a', false), sent(2)] }
    expect(problemsOf(round)).toEqual([])
    const late = { ...round, delivered: [...delivered, handled('m1', 1, 30)], members: [closed('m0'), closed('m1')] }
    expect(problemsOf(late)).toEqual([expect.stringMatching(/^order: record 0-1/)])
  })

  it('finds a record that is handled while the one before it of its key has only failed', () => {
    const delivered = [
      handled('m0', 0, 10, { outcome: 'failed' }),
      handled('m0', 1, 20),
      handled('m1', 0, 30, { attempt: 2 }),
    ]
    const problems = problemsOf(history([0, 1], delivered, [closed('m0'), closed('m1')]))
    expect(problems).toContainEqual(expect.stringMatching(/^order: record 0-1 .* before record 0-0 .* was done/))
  })

  it('finds a member that goes back in a key, and one that repeats what it had done', () => {
    const back = [handled('m0', 0, 10), handled('m0', 1, 20), handled('m0', 0, 30)]
    expect(problemsOf(history([0, 1], back, [closed('m0')]))).toEqual([expect.stringMatching(/^step back: m0/)])
    const again = [handled('m0', 0, 10), handled('m0', 0, 20, { attempt: 2 })]
    expect(problemsOf(history([0], again, [closed('m0')]))).toEqual([expect.stringMatching(/^step back: m0/)])
  })

  it('accepts what a member reads again of a partition it gave away and got back, behind what it had not done', () => {
    const first = handled('m0', 0, 10, { outcome: 'failed', key: 'b' })
    const done = [handled('m0', 1, 12), handled('m0', 2, 14)]
    const again = [handled('m0', 0, 30, { key: 'b' }), handled('m0', 1, 32), handled('m0', 2, 34)]
    const anew = again.map((one) => ({ ...one, tenure: 2 }))
    const round = { ...history([0, 1, 2], [], [closed('m0')]), attempted: [sent(0, 'b'), sent(1), sent(2)] }
    expect(problemsOf({ ...round, delivered: inOrder([first, ...done, ...anew]) })).toEqual([])
    expect(problemsOf({ ...round, delivered: inOrder([first, ...done, ...again]) })).toContainEqual(
      expect.stringMatching(/^step back: m0/),
    )
    const nothingUndone = [{ ...first, outcome: 'done' as const }, ...done, ...anew]
    expect(problemsOf({ ...round, delivered: inOrder(nothingUndone) })).toEqual([
      expect.stringMatching(/^duplicates: m0 handed .* left 3/),
    ])
  })

  it('finds a key in two handlers at once, and knows that a killed handler ended', () => {
    const first = handled('m0', 0, 10, { endedAt: 50 })
    const overlapping = handled('m1', 1, 40, { partition: '1' })
    const twice = history([0, 1], [first, overlapping], [closed('m0'), closed('m1')])
    expect(problemsOf(twice)).toContainEqual(expect.stringMatching(/^overlap: key a/))
    const killed = { ...first, outcome: 'open', endedAt: 35 } as const
    const after = [killed, handled('m1', 0, 40), handled('m1', 1, 42)]
    expect(problemsOf(history([0, 1], after, [{ member: 'm0', killedAt: 35 }, closed('m1')]))).toEqual([])
  })

  it('accepts an overlap with a handler that was told it had lost the message', () => {
    const lost = handled('m0', 0, 10, { endedAt: 50, lost: true })
    const delivered = [lost, handled('m1', 0, 40)]
    expect(problemsOf(history([0], delivered, [closed('m0'), closed('m1')]))).toEqual([])
  })
})

describe('the bound on duplicates', () => {
  /** `m0` handles records of different keys and is killed at 99; `m1` handles all of them again. */
  const afterKill = (count: number, killedAt: number | undefined = 99): History => {
    const seqs = Array.from({ length: count }, (_, seq) => seq)
    const ofKey = (member: string, seq: number, at: number): Delivered => handled(member, seq, at, { key: `k${seq}` })
    return {
      attempted: seqs.map((seq) => sent(seq, `k${seq}`)),
      stored: seqs.map((seq) => stored(seq, `k${seq}`)),
      delivered: [...seqs.map((seq) => ofKey('m0', seq, seq)), ...seqs.map((seq) => ofKey('m1', seq, 100 + seq))],
      members: [{ member: 'm0', killedAt }, closed('m1')],
      settings,
      backendFails: false,
      mayRepeat: false,
    }
  }

  it('allows a killed member what it had read ahead of its commit in each partition, and no more', () => {
    expect(duplicateBound(settings)).toBe(5)
    expect(checkHistory(afterKill(5))).toMatchObject({ problems: [], duplicates: { count: 5, bound: 5 } })
    expect(problemsOf(afterKill(6))).toEqual([
      expect.stringMatching(/^duplicates: m0 was killed.* left 6 .* at most 5/),
    ])
  })

  it('allows nothing behind a member that closed in good order with everything done', () => {
    const round = { ...afterKill(2), members: [closed('m0'), closed('m1')] }
    expect(problemsOf(round)).toEqual([expect.stringMatching(/^duplicates: m0 handed .* left 2 .* at most 0/)])
  })

  it('allows who closed in good order as much as who was killed where the backend was made to fail', () => {
    const members = [closed('m0'), closed('m1')]
    expect(problemsOf({ ...afterKill(5), members, backendFails: true })).toEqual([])
    expect(problemsOf({ ...afterKill(6), members, backendFails: true })).toEqual([
      expect.stringMatching(/^duplicates: .* left 6 .* at most 5/),
    ])
  })

  it('allows records to come again that stand behind one which was not done when the partition was handed over', () => {
    const round = { ...afterKill(3), members: [closed('m0'), closed('m1')] }
    const firstFailed = round.delivered.map((one, index): Delivered =>
      index === 0 ? { ...one, outcome: 'failed' } : one,
    )
    expect(checkHistory({ ...round, delivered: firstFailed })).toMatchObject({ problems: [], duplicates: { count: 2 } })
    const lastFailed = round.delivered.map((one, index): Delivered =>
      index === 2 ? { ...one, outcome: 'failed' } : one,
    )
    expect(problemsOf({ ...round, delivered: lastFailed })).toEqual([expect.stringMatching(/^duplicates: m0 handed/)])
  })

  it('looks at what the member itself had done, whatever others did before it or after', () => {
    const ofKey = (member: string, seq: number, at: number, changes: Partial<Delivered> = {}): Delivered =>
      handled(member, seq, at, { key: `k${seq}`, ...changes })
    const round = (delivered: readonly Delivered[], members: readonly MemberEnd[]): History => ({
      ...afterKill(2),
      delivered: inOrder(delivered),
      members,
    })
    const middleKilled = [closed('m0'), { member: 'm1', killedAt: 25 }, closed('m2')]
    const before = [ofKey('m0', 1, 10), ofKey('m1', 0, 20)]
    expect(problemsOf(round([...before, ofKey('m2', 0, 30), ofKey('m2', 1, 40)], middleKilled))).toEqual([])
    const firstKilled = [{ member: 'm0', killedAt: 15 }, closed('m1'), closed('m2')]
    const failedAgain = [ofKey('m0', 0, 10), ofKey('m1', 0, 20, { outcome: 'failed' }), ofKey('m1', 1, 22)]
    expect(problemsOf(round([...failedAgain, ofKey('m2', 0, 30), ofKey('m2', 1, 40)], firstKilled))).toEqual([])
  })

  it('allows a killed member nothing in a partition that somebody else had begun to read before', () => {
    const round = { ...afterKill(2), members: [{ member: 'm0', killedAt: 200 }, closed('m1')] }
    expect(problemsOf(round)).toEqual([expect.stringMatching(/^duplicates: m0 handed .* left 2/)])
  })
})

describe('journals', () => {
  it('count a record as acknowledged once that is written, and a handler without an end as open until the kill', () => {
    const id = '0-0'
    const tried = { kind: 'try', seq: 0, key: 'a', id, bytes: 1 } as const
    expect(attemptedOf(0, [tried])).toMatchObject([{ acked: false }])
    expect(attemptedOf(0, [tried, { kind: 'ack', seq: 0, id }])).toMatchObject([{ acked: true }])
    const where = { partition: '0', position: '0', attempt: 1, slot: 0, seq: 0, key: 'a', id, bytes: 1 }
    const begun = [1, 2].map((n) => ({ kind: 'begin', n, at: n, ...where }) as const)
    const lines = [...begun, { kind: 'fail', n: 1, at: 3 } as const]
    expect(deliveredOf({ member: 'm0', killedAt: 9 }, lines)).toMatchObject([
      { n: 1, outcome: 'failed', endedAt: 3 },
      { n: 2, outcome: 'open', endedAt: 9 },
    ])
  })
})

describe('the checker of function rounds', () => {
  const unkeyed = { ...stored(3), key: undefined }
  const inputs = [stored(0), stored(1), stored(2, 'b'), unkeyed]
  const attempted = [sent(0), sent(1), sent(2, 'b'), { ...sent(3), key: undefined }]

  it('accepts one output of each input, keys in order, other orders free', () => {
    const outputs = [unkeyed, stored(2, 'b'), stored(0), stored(1)]
    expect(checkOutputs({ attempted, inputs, outputs })).toEqual([])
  })

  it.each([
    ['an input without output', inputs, [stored(0), stored(1), stored(2, 'b')], /^no output: 1/],
    ['an output that is there twice', inputs, [...inputs, stored(1)], /^output twice: 1/],
    ['an output without input', inputs, [...inputs, stored(9, 'c')], /^stranger: 1/],
    [
      'outputs of a key in another order',
      inputs,
      [stored(1), stored(0), ...inputs.slice(2)],
      /^order: outputs of key a/,
    ],
    ['an output under another key', inputs, [stored(0), stored(1, 'b'), ...inputs.slice(2)], /^order: outputs of key/],
    ['an acknowledged record that is not in the input', inputs.slice(1), inputs.slice(1), /^lost: 1/],
    ['an input stored twice', [...inputs, stored(2, 'b')], inputs, /^stored twice: /],
  ])('finds %s', (_, present, outputs, expected) => {
    const problems = checkOutputs({ attempted, inputs: present, outputs })
    expect(problems).toContainEqual(expect.stringMatching(expected))
  })
})

describe('the crash runner', () => {
  it('plans the same round for the same seed, and takes turns between modes', () => {
    expect(planRound(7)).toEqual(planRound(7))
    expect([planRound(7).mode, planRound(8).mode, planRound(8, 'group').mode]).toEqual(['group', 'function', 'group'])
  })

  it('reads its arguments', () => {
    const args = ['--rounds', '3', '--seed', '9', '--backend', 'local:./x', '--mode', 'group', '--keep']
    const expected = { rounds: 3, seed: 9, backend: 'local:./x', mode: 'group', keep: true, bug: undefined }
    expect(parseCrashArguments(args, 0)).toEqual(expected)
  })

  it.each([
    [['--rounds', '0'], /--rounds 0 is not a whole number from 1/],
    [['--seed', 'x'], /--seed x is not/],
    [['--backend', 'data'], /--backend data is no address/],
    [['--backend', 'memory:x'], /lives in one process/],
    [['--mode', 'both'], /--mode both is not known; known are group, function/],
    [['--round', '1'], /--round/],
    [['1'], /1/],
  ])('refuses %j', (args, expected) => {
    expect(() => parseCrashArguments(args, 0)).toThrow(UsageError)
    expect(() => parseCrashArguments(args, 0)).toThrow(expected)
  })
})
