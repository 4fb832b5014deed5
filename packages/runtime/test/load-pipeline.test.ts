import { join } from 'node:path'
import { expect, it } from 'vitest'
import { loadPipeline } from '@sluice/runtime'
import { loadModules } from '../src/load-modules.ts'
import { Folder } from './folder.ts'

const head = 'topics: { a: {} }\n'

it('reads sluice.yaml of a folder, or a file of any name', async () => {
  using folder = new Folder({ 'sluice.yaml': head, 'other.yaml': 'topics: { b: {} }' })
  expect((await loadPipeline(folder.path)).topics[0]?.name).toBe('a')
  expect((await loadPipeline(join(folder.path, 'other.yaml'))).topics[0]?.name).toBe('b')
})

it('says what to do where there is no pipeline', async () => {
  using folder = new Folder({})
  await expect(loadPipeline(folder.path)).rejects.toMatchObject({
    code: 'not-found',
    message: expect.stringMatching(/sluice init/) as string,
  })
  await expect(loadPipeline(join(folder.path, 'gone'))).rejects.toMatchObject({
    code: 'not-found',
    message: expect.stringMatching(/gone/) as string,
  })
})

it('names the line of a use whose file or package is missing', async () => {
  using folder = new Folder({
    'sluice.yaml': `${head}sources:\n  s: { to: a, use: ./gone.ts }\nsinks:\n  t: { from: a, use: '@nobody/has-this/x' }`,
  })
  await expect(loadPipeline(folder.path)).rejects.toMatchObject({
    code: 'invalid-argument',
    message: expect.stringMatching(
      /sluice\.yaml:3:20: there is no file .*gone\.ts.*\n.*sluice\.yaml:5:22: package .* npm install @nobody\/has-this$/,
    ) as string,
  })
})

async function loadWith(entry: string, code: string, file = 'code.mjs'): Promise<unknown> {
  using folder = new Folder({ 'sluice.yaml': head + entry, [file]: code })
  const modules = await loadModules(await loadPipeline(folder.path))
  return [...modules.sources.keys(), ...modules.functions.keys(), ...modules.sinks.keys()]
}

it.each([
  ['the export named as the entry', 'export const helper = () => 1\nexport function* s() {}'],
  ['the only one that fits', 'export const version = 1\nexport function* anything() {}'],
])('takes %s', async (_, code) => {
  expect(await loadWith('sources: { s: { to: a, use: ./code.mjs } }', code)).toEqual(['s'])
})

it('takes the export that is asked for', async () => {
  const code = 'export const s = () => 1\nexport function* other() {}'
  expect(await loadWith('sources: { s: { to: a, use: ./code.mjs, export: other } }', code)).toEqual(['s'])
})

it('takes definitions for functions and for sinks', async () => {
  const handle = 'export const f = { name: "f", handle() {} }'
  expect(await loadWith('functions: { f: { from: a, use: ./code.mjs } }', handle)).toEqual(['f'])
  expect(await loadWith('sinks: { k: { from: a, use: ./code.mjs } }', 'export const k = { open() {} }')).toEqual(['k'])
})

it.each([
  [
    'several could be meant',
    'export const x = () => 1\nexport const y = () => 2',
    /say which with "export:" \(it exports x, y\)/,
  ],
  ['none fits', 'export const x = 1', /has no export that is a source.*\(it exports x\)/],
  ['nothing is exported', '', /it exports nothing/],
  ['it throws', 'throw new Error("boom")', /cannot be loaded: Error: boom$/],
  [
    'it lacks a package',
    'import "not-there"',
    /Cannot find package 'not-there'.*; install it .*: npm install not-there$/,
  ],
])('names the line of use when %s', async (_, code, message) => {
  await expect(loadWith('sources: { s: { to: a, use: ./code.mjs } }', code)).rejects.toMatchObject({
    code: 'invalid-argument',
    message: expect.stringMatching(message) as string,
  })
  await expect(loadWith('sources: { s: { to: a, use: ./code.mjs } }', code)).rejects.toThrow(/sluice\.yaml:2:29: /)
})
