import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { StreamError } from '@sluice/driver'
import { adapter } from '@sluice/local'
import { loadPipeline, runPipeline } from '@sluice/runtime'
import { codeFailed } from '../src/code-failed.ts'
import { Folder } from './folder.ts'

const yaml = `
topics: { in: {} }
sources: { count: { to: in, use: ./count.mjs } }
sinks: { keep: { from: in, use: ./keep.mjs } }
`
const fineSource = 'export function* count() { yield { value: 1 } }'
const fineSink = 'export function keep() {}'

async function failureOf(count: string, keep: string): Promise<unknown> {
  using folder = new Folder({ 'sluice.yaml': yaml, 'count.mjs': count, 'keep.mjs': keep })
  const options = { connect: { adapters: [adapter] }, backend: `local:${folder.path}/log`, untilIdle: true }
  return await runPipeline(await loadPipeline(folder.path), options).catch((error: unknown) => error)
}

describe('code of the user that fails ends the run with what failed, where, and what to do', () => {
  it.each([
    [
      'throws',
      'export function* count() { throw new Error("no feed") }',
      /^source "count": no feed; \.\/count\.mjs threw it/,
    ],
    ['throws before it yields', 'export function count() { throw new Error("no feed") }', /^source "count": no feed; /],
    ['throws what is no error', 'export function* count() { throw "no feed" }', /^source "count": no feed; /],
    [
      'gives nothing',
      'export function count() {}',
      /^source "count": a source gives .* this one gave undefined; write it as/,
    ],
    [
      'gives a promise',
      'export async function count() { return [] }',
      /this one gave a promise; write it as function\*/,
    ],
    [
      'yields no messages',
      'export function* count() { yield 5 }',
      /^source "count": a source yields messages, .* yielded 5; /,
    ],
  ])('a source that %s', async (_, count, message) => {
    expect(await failureOf(count, fineSink)).toMatchObject({
      code: 'invalid-argument',
      message: expect.stringMatching(message) as string,
      details: { part: 'count' },
    })
  })

  it('a source whose file is not there', async () => {
    const count =
      'import { readFile } from "node:fs/promises"\nexport async function* count() {\n  yield { value: await readFile("/nowhere/feed") }\n}'
    expect(await failureOf(count, fineSink)).toMatchObject({
      code: 'not-found',
      message: expect.stringMatching(/^source "count": ENOENT.*'\/nowhere\/feed'; \.\/count\.mjs threw it/) as string,
      details: { file: expect.stringMatching(/^count\.mjs:3:\d+$/) as string },
    })
  })

  it.each([
    [
      'cannot be opened',
      'export const keep = { open() { throw new Error("no room") } }',
      /^sink "keep": no room; \.\/keep\.mjs threw it/,
    ],
    ['is none', 'export const keep = { open() {} }', /^sink "keep": open gave no sink; have \.\/keep\.mjs return/],
    [
      'cannot be closed',
      'export const keep = { open: () => ({ write() {}, close() { throw new Error("torn") } }) }',
      /^sink "keep": torn; /,
    ],
  ])('a sink that %s', async (_, keep, message) => {
    expect(await failureOf(fineSource, keep)).toMatchObject({
      code: 'invalid-argument',
      message: expect.stringMatching(message) as string,
      details: { part: 'keep' },
    })
  })
})

describe('the error for code that failed', () => {
  const code = { use: './a.ts', folder: '/pipe line' }

  it('is a StreamError of the code itself, as it is', () => {
    const own = new StreamError('throttled', 'slow down')
    expect(codeFailed(own, code)).toBe(own)
  })

  it("names the first line of the stack that is the user's own", () => {
    const error = new Error('x')
    error.stack = [
      'Error: x',
      '    at open (node:internal/fs/promises:640:25)',
      '    at helper (file:///pipe%20line/node_modules/lib/index.js:1:1)',
      '    at async read (file:///pipe%20line/lib/feed.ts:7:11)',
      '    at async count (file:///pipe%20line/a.ts:3:5)',
    ].join('\n')
    expect(codeFailed(error, code)).toMatchObject({ details: { file: 'lib/feed.ts:7:11' }, cause: error })
  })

  it('keeps the meaning of errors of the network, also behind fetch', () => {
    const refused = Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:1'), { code: 'ECONNREFUSED' })
    expect(codeFailed(new TypeError('fetch failed', { cause: refused }), code)).toMatchObject({ code: 'unavailable' })
  })
})

it('a sluice.yaml that cannot be read is told with its path', async () => {
  using folder = new Folder({})
  mkdirSync(join(folder.path, 'sluice.yaml'))
  await expect(loadPipeline(folder.path)).rejects.toMatchObject({
    code: 'invalid-argument',
    message: expect.stringMatching(/sluice\.yaml cannot be read \(EISDIR.*\); it must be a file/) as string,
  })
  await expect(loadPipeline('x'.repeat(5_000))).rejects.toMatchObject({
    code: 'invalid-argument',
    message: expect.stringMatching(/ENAMETOOLONG/) as string,
  })
})
