import { describe, expect, it, onTestFinished } from 'vitest'
import { ManualClock, settle } from '@sluice/driver/testing'
import { RefusedError } from '../src/acks.ts'
import type { Acks, Answer, Message } from '../src/acks.ts'
import { Publishing } from '../src/publishing.ts'
import type { Outcome } from '../src/publishing.ts'
import { SendWindow } from '../src/window.ts'

const signal = new AbortController().signal

/** How a request is sent. */
interface Way {
  readonly together?: boolean
  readonly window?: number
}

describe('a request', () => {
  /** Takes messages, and answers them by hand. A message whose subject is in capitals has no room to grow. */
  function setUp(messages: readonly string[], runs: readonly (readonly number[])[], way: Way) {
    const clock = new ManualClock()
    const asked: { readonly what: string; answer: (answer: Answer) => void }[] = []
    const ask = (what: string): ReturnType<Acks['send']> => {
      const { promise, resolve } = Promise.withResolvers<Answer>()
      asked.push({ what, answer: resolve })
      return { answer: promise, giveUp: (error) => resolve({ kind: 'failed', error }) }
    }
    const heard = { atMs: -Infinity }
    const acks = {
      waiting: 2,
      get heardMs() {
        return heard.atMs
      },
      send: ({ subject }: Message) => ask(subject),
      sendBehind: (previous: string, { subject }: Message) => ask(`${previous}<${subject}`),
      sendTogether: (all: readonly Message[]) => ask(all.map(({ subject }) => subject).join('+')),
    } as Acks
    const underWay: number[] = []
    const weighing = {
      prefersTogether: () => true,
      tookInTurn: (_: number, answers: number) => void underWay.push(answers),
      tookTogether: (_ms: number, _those: unknown, answers: number) => void underWay.push(answers),
    }
    const window = new SendWindow()
    // As if somebody else's messages had come between.
    if (way.window !== undefined) window.took(1_000, way.window)
    const publishing = new Publishing({
      acks,
      clock,
      weighing: way.together === true ? weighing : undefined,
      window: way.together === true ? undefined : window,
      signal,
      what: 'a send',
      timeoutMs: 1_000,
    })
    onTestFinished(() => publishing.end())
    const written = messages.map((subject) => ({
      id: subject,
      idIsNew: !subject.startsWith('given'),
      subject,
      body: Buffer.alloc(0),
      headerBlock: '',
      room: /^[A-Z]$/.test(subject) ? 0 : 1_000,
    }))
    const outcomes = publishing.publish(written, runs)
    return { clock, asked, outcomes, underWay, window, heard }
  }
  const stored = (sequence: number): Answer => ({ kind: 'stored', sequence, duplicate: false })
  const sequences = (outcomes: readonly (Outcome | undefined)[]): unknown =>
    outcomes.map((outcome) => (outcome?.kind === 'stored' ? outcome.sequence : outcome?.kind))

  describe('whose messages are stored together', () => {
    const together = { together: true }

    it('sends what follows one another at once, and the rest for itself', async () => {
      const { asked, outcomes, underWay } = setUp(['a', 'b', 'aa', 'c', 'bb'], [[0, 2], [1, 4], [3]], together)
      expect(asked.map(({ what }) => what)).toEqual(['c', 'a+aa+b+bb'])
      asked[0]?.answer(stored(7))
      asked[1]?.answer(stored(14))
      expect(sequences(await outcomes)).toEqual([11, 13, 12, 7, 14])
      // Two others were waited for when each was sent.
      expect(underWay).toEqual([3, 3])
    })

    it('sends one after another what has no room for it, and stops at the first that fails', async () => {
      const { asked, outcomes, underWay } = setUp(['L', 'b', 'c'], [[0, 1, 2]], together)
      expect(asked.map(({ what }) => what)).toEqual(['L'])
      asked[0]?.answer(stored(1))
      await settle()
      expect(asked.map(({ what }) => what)).toEqual(['L', 'b'])
      asked[1]?.answer({ kind: 'nobody' })
      expect(sequences(await outcomes)).toEqual([1, 'nobody', 'behind'])
      expect(underWay).toEqual([3])
    })

    it('that takes too long in turn leaves the rest behind, to be sent again', async () => {
      const { asked, clock, outcomes } = setUp(['L', 'b', 'c'], [[0, 1, 2]], together)
      await clock.advance(400)
      asked[0]?.answer(stored(1))
      await settle()
      await clock.advance(400)
      asked[1]?.answer(stored(2))
      expect(sequences(await outcomes)).toEqual([1, 2, 'behind'])
    })

    it('without an answer is given up', async () => {
      const { clock, outcomes } = setUp(['a', 'b', 'c'], [[0, 1], [2]], together)
      await clock.advance(1_000)
      const timeout = {
        kind: 'failed',
        error: expect.objectContaining({ code: 'timeout', ambiguous: true }) as unknown,
      }
      expect(await outcomes).toEqual([timeout, timeout, timeout])
    })
  })

  describe('whose messages are stored one behind another', () => {
    const outOfLine = { kind: 'failed', error: new RefusedError({ err_code: 10_070 }) } as const

    it('sends all at once, and each but the first of a run only behind the one before it', async () => {
      const { asked, outcomes } = setUp(['a', 'b', 'aa', 'c', 'bb', 'aaa'], [[0, 2, 5], [1, 4], [3]], {})
      expect(asked.map(({ what }) => what)).toEqual(['c', 'a', 'a<aa', 'aa<aaa', 'b', 'b<bb'])
      for (const [at, { answer }] of asked.entries()) answer(stored(at))
      expect(sequences(await outcomes)).toEqual([1, 4, 2, 0, 5, 3])
    })

    it('sends again what is out of line, from the first of it, fewer at once, and then more again', async () => {
      const messages = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k']
      const { asked, outcomes, window } = setUp(messages, [messages.map((_, at) => at)], {})
      expect(asked).toHaveLength(11)
      for (const [at, { answer }] of asked.splice(0).entries()) answer(at < 2 ? stored(at) : outOfLine)
      await settle()
      expect(window.size).toBe(2)
      expect(asked.map(({ what }) => what)).toEqual(['c', 'c<d'])
      for (const { answer } of asked.splice(0)) answer(stored(10))
      await settle()
      expect(asked.map(({ what }) => what)).toEqual(['e', 'e<f', 'f<g', 'g<h'])
      for (const { answer } of asked.splice(0)) answer(stored(20))
      await settle()
      expect(asked.map(({ what }) => what)).toEqual(['i', 'i<j', 'j<k'])
      for (const { answer } of asked.splice(0)) answer(stored(30))
      expect(sequences(await outcomes)).toEqual([0, 1, 10, 10, 20, 20, 20, 20, 30, 30, 30])
      expect(window.size).toBe(8)
    })

    it('waits for all answers before it sends again', async () => {
      const { asked, outcomes } = setUp(['a', 'b', 'c'], [[0, 1, 2]], {})
      asked[0]?.answer(stored(1))
      asked[1]?.answer(outOfLine)
      await settle()
      expect(asked).toHaveLength(3)
      asked[2]?.answer(outOfLine)
      await settle()
      expect(asked.slice(3).map(({ what }) => what)).toEqual(['b', 'b<c'])
      for (const { answer } of asked.slice(3)) answer(stored(9))
      expect(sequences(await outcomes)).toEqual([1, 9, 9])
    })

    it('leaves behind what follows one that is refused, and sends nothing again', async () => {
      const { asked, outcomes } = setUp(['a', 'b', 'c', 'd'], [[0, 1, 2, 3]], {})
      asked[0]?.answer(stored(1))
      asked[1]?.answer({ kind: 'nobody' })
      asked[2]?.answer(outOfLine)
      asked[3]?.answer(outOfLine)
      expect(sequences(await outcomes)).toEqual([1, 'nobody', 'behind', 'behind'])
      expect(asked).toHaveLength(4)
    })

    it('sends nothing behind one whose id was given: something else may have it', async () => {
      const { asked, outcomes } = setUp(
        ['a', 'given', 'c', 'd', 'given-last'],
        [
          [0, 1, 2],
          [3, 4],
        ],
        {},
      )
      expect(asked.map(({ what }) => what)).toEqual(['d', 'd<given-last', 'a'])
      for (const { answer } of asked.splice(0)) answer(stored(1))
      await settle()
      expect(asked.map(({ what }) => what)).toEqual(['given'])
      asked[0]?.answer(stored(2))
      await settle()
      asked[1]?.answer(stored(3))
      expect(sequences(await outcomes)).toEqual([1, 2, 3, 1, 1])
    })

    it('waits for answers as long as others come to the connection', async () => {
      const { asked, clock, heard, outcomes } = setUp(['a', 'b'], [[0, 1]], {})
      await clock.advance(900)
      heard.atMs = clock.monotonic()
      await clock.advance(900)
      asked[0]?.answer(stored(1))
      heard.atMs = clock.monotonic()
      await clock.advance(999)
      asked[1]?.answer(stored(2))
      expect(sequences(await outcomes)).toEqual([1, 2])
    })

    it('passes over none for one behind it that an earlier try had stored', async () => {
      const { asked, outcomes } = setUp(['a', 'b', 'c'], [[0, 1, 2]], {})
      asked[0]?.answer(stored(1))
      asked[1]?.answer(outOfLine)
      asked[2]?.answer({ kind: 'stored', sequence: 0, duplicate: true })
      await settle()
      expect(asked.slice(3).map(({ what }) => what)).toEqual(['b', 'b<c'])
      asked[3]?.answer(stored(5))
      asked[4]?.answer({ kind: 'stored', sequence: 0, duplicate: true })
      expect(sequences(await outcomes)).toEqual([1, 5, 0])
    })

    it('sends what has no room for it when the one before it is stored', async () => {
      const { asked, outcomes } = setUp(['a', 'L', 'c'], [[0, 1, 2]], {})
      expect(asked.map(({ what }) => what)).toEqual(['a'])
      asked[0]?.answer(stored(1))
      await settle()
      expect(asked.map(({ what }) => what)).toEqual(['a', 'L', 'L<c'])
      asked[1]?.answer(stored(2))
      asked[2]?.answer(stored(3))
      expect(sequences(await outcomes)).toEqual([1, 2, 3])
    })

    it('that takes too long leaves the rest behind, to be sent again', async () => {
      const { asked, clock, outcomes } = setUp(['a', 'b', 'c', 'd'], [[0, 1, 2, 3]], { window: 2 })
      await clock.advance(600)
      expect(asked).toHaveLength(2)
      for (const { answer } of asked) answer(stored(1))
      expect(sequences(await outcomes)).toEqual([1, 1, 'behind', 'behind'])
    })

    it('without an answer is given up', async () => {
      const { asked, clock, outcomes } = setUp(['a', 'b', 'c'], [[0, 1, 2]], {})
      asked[0]?.answer(stored(1))
      await clock.advance(1_000)
      const timeout = {
        kind: 'failed',
        error: expect.objectContaining({ code: 'timeout', ambiguous: true }) as unknown,
      }
      expect(await outcomes).toEqual([expect.objectContaining({ kind: 'stored' }), timeout, timeout])
    })
  })
})
