import { expect, it } from 'vitest'
import { adapter } from '@sluice/local'
import { connect } from '@sluice/core'
import { loadPipeline, runPipeline } from '@sluice/runtime'
import type { PartProgress, RunPipelineOptions } from '@sluice/runtime'
import { eventually } from '@sluice/driver/testing'
import { Folder } from './folder.ts'

const yaml = `
topics: { in: { partitions: 2 }, middle: {}, out: {} }
functions:
  second: { from: middle, to: out, use: ./code.mjs }
  first: { from: in, to: middle, use: ./code.mjs }
sources: { count: { to: in, use: ./code.mjs, options: { upTo: 20 } } }
sinks: { keep: { from: out, use: ./code.mjs, batch: { max: 5 } } }
`

const code = `
export function* count({ options }) {
  for (let n = 0; n < options.upTo; n++) yield { key: 'k' + (n % 4), value: n }
}
export const first = { name: 'first', handle: ({ key, value }) => ({ key, value: value + 100 }) }
export const second = { name: 'second', handle: ({ key, value }) => (value % 2 ? undefined : { key, value: value + 1000 }) }
export const kept = []
export const log = []
export const keep = {
  open({ name }) {
    log.push('open ' + name)
    return {
      async write(messages) { kept.push(...messages.map(({ value }) => value)) },
      async close() { log.push('close ' + name) },
    }
  },
}
`

interface Code {
  readonly kept: number[]
  readonly log: string[]
}

const connectOptions = { adapters: [adapter] }

async function run(folder: Folder, options: RunPipelineOptions = {}): Promise<readonly PartProgress[]> {
  const pipeline = await loadPipeline(folder.path)
  return runPipeline(pipeline, { connect: connectOptions, backend: `local:${folder.path}/log`, ...options })
}

it('moves everything from source to sink, then ends by itself', async () => {
  using folder = new Folder({ 'sluice.yaml': yaml, 'code.mjs': code })
  const progress = await run(folder, { untilIdle: true })
  const { kept, log } = (await import(`${folder.path}/code.mjs`)) as Code
  expect(kept.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 10 }, (_, n) => 1100 + 2 * n))
  expect(log).toEqual(['open keep', 'close keep'])
  expect(progress.map(({ name, received, produced, state }) => ({ name, received, produced, state }))).toEqual([
    { name: 'count', received: 0, produced: 20, state: 'done' },
    { name: 'first', received: 20, produced: 20, state: 'done' },
    { name: 'second', received: 20, produced: 10, state: 'done' },
    { name: 'keep', received: 10, produced: 0, state: 'done' },
  ])
})

it('keeps the order of each key the whole way', async () => {
  using folder = new Folder({ 'sluice.yaml': yaml, 'code.mjs': code })
  await run(folder, { untilIdle: true })
  const { kept } = (await import(`${folder.path}/code.mjs`)) as Code
  for (const key of [0, 2]) {
    const ofKey = kept.filter((value) => (value - 1100) % 4 === key)
    expect(ofKey).toEqual(ofKey.toSorted((a, b) => a - b))
  }
})

it('drains when it is aborted: what a source gave is stored, and the next run goes on from there', async () => {
  const endless = `
    export async function* count({ signal }) {
      for (let n = 0; ; n++) { yield { value: n }; await new Promise((resolve) => setImmediate(resolve)) }
    }
    export const seen = []
    export const keep = (message) => void seen.push(message.value)
  `
  const pipelineYaml =
    'topics: { in: { partitions: 1 } }\nsources: { count: { to: in, use: ./code.mjs } }\nsinks: { keep: { from: in, use: ./code.mjs } }'
  using folder = new Folder({ 'sluice.yaml': pipelineYaml, 'code.mjs': endless })
  const abort = new AbortController()
  const { seen } = (await import(`${folder.path}/code.mjs`)) as { seen: number[] }
  const running = run(folder, { signal: abort.signal })
  await eventually(() => expect(seen.length).toBeGreaterThan(10))
  abort.abort()
  const [source] = await running
  await using cloud = await connect(`local:${folder.path}/log`, connectOptions)
  const { partitions } = await cloud.admin.describeTopic('in')
  expect(partitions[0]?.records).toBe(source?.produced)
  const [lag] = await cloud.admin.lag('in', 'keep')
  expect(lag?.messages).toBe((source?.produced ?? 0) - new Set(seen).size)
})

it('rejects with the first fatal error, naming the part, after closing the sinks', async () => {
  const broken = `${code}\nexport async function* breaks() { yield { value: 1 }; throw new RangeError('out of data') }`
  const withBreak = yaml.replace('use: ./code.mjs, options: { upTo: 20 }', 'use: ./code.mjs, export: breaks')
  using folder = new Folder({ 'sluice.yaml': withBreak, 'code.mjs': broken })
  await expect(run(folder)).rejects.toMatchObject({
    code: 'invalid-argument',
    message: expect.stringMatching(/^source "count": out of data; \.\/code\.mjs threw it/) as string,
    details: { part: 'count', file: expect.stringMatching(/^code\.mjs:\d+:\d+$/) as string },
  })
  const { log } = (await import(`${folder.path}/code.mjs`)) as Code
  expect(log).toEqual(['open keep', 'close keep'])
})

it('tells the line of use when the code does not fit, before it connects', async () => {
  using folder = new Folder({ 'sluice.yaml': yaml, 'code.mjs': 'export const nothing = 1' })
  await expect(run(folder, { backend: 'nowhere:' })).rejects.toMatchObject({
    code: 'invalid-argument',
    message: expect.stringMatching(/sluice\.yaml:6:34: \.\/code\.mjs has no export that is a source/) as string,
  })
})

const circle = `
topics: { a: {}, b: {}, c: {} }
functions:
  out: { from: b, to: c, use: ./code.mjs }
  into: { from: c, to: a, use: ./code.mjs }
  there: { from: a, to: b, use: ./code.mjs }
  back: { from: b, to: a, use: ./code.mjs }
`

it('refuses to run functions that go round in a circle until they are idle, and names the circle', async () => {
  using folder = new Folder({ 'sluice.yaml': circle, 'code.mjs': code })
  await expect(run(folder, { untilIdle: true })).rejects.toMatchObject({
    code: 'invalid-argument',
    message: expect.stringMatching(
      /sluice\.yaml:4:3: functions that go round in a circle are never idle \(b -> out -> c -> into -> a -> there -> b\); run it without --until-idle/,
    ) as string,
  })
})

it('runs functions that go round in a circle until it is stopped', async () => {
  const handle = `
    export const seen = []
    export const fn = { name: 'fn', handle: ({ value }) => (seen.push(value), { value: value + 1 }) }
    export function* start() { yield { value: 1 } }
  `
  const file = `
backend: "memory:"
topics: { a: {}, b: {} }
sources: { start: { to: a, use: ./code.mjs } }
functions:
  there: { from: a, to: b, use: ./code.mjs }
  back: { from: b, to: a, use: ./code.mjs }
`
  using folder = new Folder({ 'sluice.yaml': file, 'code.mjs': handle })
  const { seen } = (await import(`${folder.path}/code.mjs`)) as { readonly seen: number[] }
  const abort = new AbortController()
  const running = runPipeline(await loadPipeline(folder.path), { connect: connectOptions, signal: abort.signal })
  await eventually(() => expect(seen.slice(0, 4)).toEqual([1, 2, 3, 4]))
  abort.abort()
  await expect(running).resolves.toHaveLength(3)
})

it.each(['', 'topics: { a: {} }'])('refuses to run a file without parts: %j', async (file) => {
  using folder = new Folder({ 'sluice.yaml': file })
  await expect(run(folder)).rejects.toMatchObject({
    code: 'invalid-argument',
    message: expect.stringMatching(
      /sluice\.yaml:1:1: there is nothing to run; add sources, functions, sinks or clients/,
    ) as string,
  })
})

it('tells how it is doing while it runs, and once more at the end', async () => {
  using folder = new Folder({ 'sluice.yaml': yaml, 'code.mjs': code })
  const told: (readonly PartProgress[])[] = []
  const last = await run(folder, { untilIdle: true, progressMs: 1, onProgress: (progress) => told.push(progress) })
  expect(told.length).toBeGreaterThan(1)
  expect(told.at(-1)).toEqual(last)
})

it('sends no faster than the rate limit of the topic', async () => {
  const limited = yaml.replace('in: { partitions: 2 }', 'in: { rateLimit: { messagesPerSecond: 15 } }')
  using folder = new Folder({ 'sluice.yaml': limited, 'code.mjs': code })
  const started = performance.now()
  const [source] = await run(folder, { untilIdle: true })
  // 15 at once, and 5 more at 15 a second.
  expect(source?.produced).toBe(20)
  expect(performance.now() - started).toBeGreaterThan(300)
})

it('ends in good order when it is stopped while a sink opens', async () => {
  const sink = `
    export const opening = []
    export default {
      open: () => new Promise((resolve) => opening.push(() => resolve({ write() {} }))),
    }`
  const file = 'backend: "memory:"\ntopics: { t: {} }\nsinks: { s: { from: t, use: ./sink.mjs } }\n'
  using folder = new Folder({ 'sluice.yaml': file, 'sink.mjs': sink })
  const { opening } = (await import(`${folder.path}/sink.mjs`)) as { readonly opening: (() => void)[] }
  const abort = new AbortController()
  const running = run(folder, { signal: abort.signal })
  await eventually(() => expect(opening).toHaveLength(1))
  abort.abort()
  opening[0]?.()
  await expect(running).resolves.toHaveLength(1)
})
