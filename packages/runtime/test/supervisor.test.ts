import { expect, it } from 'vitest'
import { silentLogger, StreamError } from '@sluice/driver'
import type { Part, PartKind } from '../src/part.ts'
import { Supervisor } from '../src/supervisor.ts'

class FakePart implements Part {
  readonly kind: PartKind
  readonly name: string
  readonly reads = undefined
  closed = 0
  readonly #log: string[]
  readonly #ended = Promise.withResolvers<void>()

  constructor(kind: PartKind, name: string, log: string[] = []) {
    this.kind = kind
    this.name = name
    this.#log = log
  }

  run(): Promise<void> {
    return this.#ended.promise
  }

  end(): void {
    this.#ended.resolve()
  }

  fail(error: unknown): void {
    this.#ended.reject(error)
  }

  async close(): Promise<void> {
    this.closed++
    this.#log.push(this.name)
    this.#ended.resolve()
  }

  progress(): ReturnType<Part['progress']> {
    return { kind: this.kind, name: this.name, received: 0, produced: 0, retried: 0, deadLettered: 0, inHand: 0 }
  }
}

const never = new AbortController().signal

it('drains sources before readers when it is aborted', async () => {
  const log: string[] = []
  const parts = [new FakePart('sink', 'archive', log), new FakePart('source', 'usgs', log)]
  const abort = new AbortController()
  const run = new Supervisor(parts, silentLogger).run(abort.signal, () => undefined)
  abort.abort()
  await run
  expect(log).toEqual(['usgs', 'archive'])
})

it('rejects with the first failure, naming the part, after the others were drained', async () => {
  const [good, bad] = [new FakePart('sink', 'good'), new FakePart('function', 'bad')]
  const supervisor = new Supervisor([good, bad], silentLogger)
  const run = supervisor.run(never, () => undefined)
  bad.fail(new StreamError('corrupt', 'bytes make no sense'))
  await expect(run).rejects.toMatchObject({ code: 'corrupt', message: 'function "bad": bytes make no sense' })
  expect(good.closed).toBe(1)
  expect(supervisor.progress().map(({ state }) => state)).toEqual(['done', 'failed'])
})

it('wraps what is no StreamError as internal and keeps it as the cause', async () => {
  const part = new FakePart('source', 'usgs')
  const run = new Supervisor([part], silentLogger).run(never, () => undefined)
  const cause = new TypeError('x is undefined')
  part.fail(cause)
  await expect(run).rejects.toMatchObject({ code: 'internal', message: 'source "usgs": x is undefined', cause })
})

it('ends when the end condition holds, which is told when all sources have ended', async () => {
  const [source, sink] = [new FakePart('source', 'usgs'), new FakePart('sink', 'archive')]
  const run = new Supervisor([source, sink], silentLogger).run(never, async (sourcesDone) => void (await sourcesDone))
  source.end()
  await run
  expect(sink.closed).toBe(1)
})

it('ends by itself when every part has ended', async () => {
  const source = new FakePart('source', 'usgs')
  const run = new Supervisor([source], silentLogger).run(never, () => undefined)
  source.end()
  await expect(run).resolves.toBeUndefined()
})

it('does not start to wait when the signal is aborted already', async () => {
  const part = new FakePart('sink', 'archive')
  await new Supervisor([part], silentLogger).run(AbortSignal.abort(), () => undefined)
  expect(part.closed).toBe(1)
})
