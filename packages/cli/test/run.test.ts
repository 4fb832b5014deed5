import { execFileSync } from 'node:child_process'
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { firstRun } from '../src/first-run.ts'
import { Workplace } from './sluice.ts'

const numbers = `
backend: local:./log
topics: { in: { partitions: 2 }, out: {} }
sources: { count: { to: in, use: ./code.ts } }
functions: { double: { from: in, to: out, use: ./code.ts, retry: { maxAttempts: 2, base: 1ms, max: 2ms } } }
clients: { print: { from: out, use: ./code.ts } }
`

/** Numbers 0 to 9, doubled; 7 cannot be. */
const code = `
export function* count() {
  for (let n = 0; n < 10; n++) yield { id: 'n' + n, key: 'k' + (n % 3), value: n }
}
export const double = {
  name: 'double',
  handle(message: { value: number; key: string; headers: Record<string, string> }) {
    if (message.value === 7 && process.env['SEVEN'] !== 'fine') throw new Error('seven is not for doubling')
    return { key: message.key, value: message.value * 2 }
  },
}
export function print(message: { value: number }) {
  console.log('doubled ' + message.value)
}
`

const endless = `
topics: { in: {} }
sources: { count: { to: in, use: ./code.ts } }
sinks: { hold: { from: in, use: ./code.ts } }
`

describe('sluice run', () => {
  it('runs a pipeline until it is idle, and says what came of it', async () => {
    using here = new Workplace({ 'sluice.yaml': numbers, 'code.ts': code })
    const { code: exit, stdout, stderr } = await here.sluice(['run', '--until-idle'])
    const doubled = stdout.trim().split('\n').toSorted()
    expect(doubled).toEqual([0, 2, 4, 6, 8, 10, 12, 16, 18].map((n) => `doubled ${n}`).toSorted())
    expect(stderr).toMatch(/source count: 10 out/)
    expect(stderr).toMatch(/function double: .*, 1 dead letter$/m)
    expect(exit).toBe(0)
  })

  it('drains and ends with 0 on Ctrl-C', async () => {
    const source = `
      export async function* count({ signal }) { for (let n = 0; !signal.aborted; n++) { yield { value: n }; await new Promise((resolve) => setTimeout(resolve, 5)) } }
      export function hold(message) { console.log('got ' + message.value) }
    `
    using here = new Workplace({
      'sluice.yaml': endless,
      'code.ts': source.replaceAll(/\((\{ signal \}|message)\)/g, '($1: any)'),
    })
    const running = here.start(['run'])
    await running.printed('got 3')
    running.interrupt()
    const { code: exit, stderr } = await running.ended
    expect(stderr).toMatch(/draining/)
    expect(stderr).toMatch(/sink hold: \d+ in/)
    expect(exit).toBe(0)
  })

  it('ends at once with 130 on a second Ctrl-C', async () => {
    const stuck = `
      export function* count() { yield { value: 1 } }
      export function hold() { console.log('stuck'); return new Promise(() => setInterval(() => undefined, 1_000)) }
    `
    using here = new Workplace({ 'sluice.yaml': endless, 'code.ts': stuck })
    const running = here.start(['run'])
    await running.printed('stuck')
    running.interrupt()
    await running.printed('draining')
    running.interrupt()
    expect(await running.ended).toMatchObject({ code: 130 })
  })

  it('ends with 1 after Ctrl-C where a part had failed, whose handlers were still waited for', async () => {
    const failing = `
      const begun = Promise.withResolvers()
      export async function* count() {
        yield { value: 1 }
        await begun.promise
        console.log('failing')
        throw new Error('the feed is gone')
      }
      export async function hold() {
        begun.resolve()
        await new Promise((resolve) => process.once('SIGINT', resolve))
      }
    `
    using here = new Workplace({ 'sluice.yaml': endless, 'code.ts': failing })
    const running = here.start(['run'])
    await running.printed('failing')
    running.interrupt()
    const { code: exit, stderr } = await running.ended
    expect(stderr).toMatch(/what: {2}source "count": the feed is gone/)
    expect(exit).toBe(1)
  })

  it('ends when all was done, whatever the code of the pipeline left running', async () => {
    const lingering = `
      setInterval(() => undefined, 1_000)
      export function* count() { yield { value: 1 } }
      export function hold() {}
    `
    using here = new Workplace({ 'sluice.yaml': endless, 'code.ts': lingering })
    expect(await here.sluice(['run', '--until-idle'])).toMatchObject({ code: 0 })
  })

  it('ends with 1 and names the part when one fails for good', async () => {
    using here = new Workplace({
      'sluice.yaml': endless,
      'code.ts': `
        export async function* count() { yield { value: 1 }; throw new Error('the feed is gone') }
        export function hold() {}
      `,
    })
    const { code: exit, stderr } = await here.sluice(['run'])
    expect(stderr).toMatch(/^error: invalid-argument\n {2}what: {2}source "count": the feed is gone\n/m)
    expect(stderr).toMatch(/^ {2}where: local:\.\/data, part count, code\.ts:2:\d+$/m)
    expect(stderr).toMatch(/^ {2}help: {2}\.\/code\.ts threw it: mend what it met, or catch it there$/m)
    expect(stderr).not.toMatch(/report/)
    expect(exit).toBe(1)
  })

  it.each([
    ['cannot be parsed', 'code.ts', 'const one = 1\n\nretrun one', /^ {2}where: local:\.\/data, code\.ts:3$/m],
    ['throws', 'code.ts', 'const one = 1\n\nthrow new Error("no")', /^ {2}where: local:\.\/data, code\.ts:3:\d+$/m],
    [
      'cannot be parsed and is JavaScript',
      'code.mjs',
      'retrun 1',
      /^ {2}help: {2}see where with: node --check .*code\.mjs$/m,
    ],
  ])('says where in the code it is when that %s', async (_, name, text, expected) => {
    using here = new Workplace({ 'sluice.yaml': endless.replaceAll('code.ts', name), [name]: text })
    const { code: exit, stderr } = await here.sluice(['run'])
    expect(stderr).toMatch(/^ {2}what: {2}sluice\.yaml:3:34: \.\/code\.\w+ cannot be loaded: /m)
    expect(stderr).toMatch(expected)
    expect(exit).toBe(1)
  })

  it('names the place of what is wrong in the file', async () => {
    using here = new Workplace({ 'sluice.yaml': 'topics: { a: {} }\nfunctoins: {}' })
    const { code: exit, stderr } = await here.sluice(['run'])
    expect(stderr).toMatch(
      /sluice\.yaml:2:1: unknown key "functoins" in the pipeline\n {2}help: {2}did you mean "functions"/,
    )
    expect(exit).toBe(1)
  })
})

describe('sluice init', () => {
  it('writes a pipeline that runs as it is', async () => {
    using here = new Workplace()
    const written = await here.sluice(['init', 'starter', '--quiet'])
    expect(written).toMatchObject({ code: 0, stderr: '' })
    expect(JSON.parse(readFileSync(join(here.path, 'starter/package.json'), 'utf8'))).toMatchObject({ name: 'starter' })
    const { code: exit, stdout } = await here.sluice(['run', 'starter', '--until-idle'])
    expect(stdout.trim().split('\n')).toHaveLength(6)
    expect(stdout).toMatch(/^room-\d is at 2\d °C$/m)
    expect(exit).toBe(0)
  })

  it('names the line that runs it, which works where its packages are found', async () => {
    using here = new Workplace()
    const { stderr } = await here.sluice(['init', "a b/it's"])
    const line = /^next: (.+)$/m.exec(stderr)?.[1] ?? ''
    expect(line).not.toContain('npm install')
    const printed = execFileSync('sh', ['-c', line], { cwd: here.path, encoding: 'utf8', stdio: 'pipe' })
    expect(printed).toMatch(/^room-\d is at 2\d °C$/m)
  })

  it.each([
    ['.', 'npm install && npx sluice run --until-idle'],
    ['./a', 'cd ./a && npm install && npx sluice run --until-idle'],
  ])('has what it needs installed where its packages are not found: in %s', async (folder, line) => {
    using here = new Workplace()
    rmSync(join(here.path, 'node_modules'))
    const { code, stderr } = await here.sluice(['init', folder])
    expect(stderr).toBe(`\nnext: ${line}\n`)
    expect(code).toBe(0)
  })

  it('names the command as it is installed, where it was started by that name', () => {
    const folder = import.meta.dirname
    expect(firstRun(folder, ['/usr/bin/node', '/home/me/node_modules/.bin/sluice'])).toBe(
      `cd ${folder} && npx sluice run --until-idle`,
    )
  })

  it('overwrites nothing', async () => {
    using here = new Workplace({ 'sluice.yaml': '# mine' })
    const { code: exit, stderr } = await here.sluice(['init'])
    expect(stderr).toMatch(/error: already-exists\n {2}what: {2}sluice\.yaml is in/)
    expect(readFileSync(join(here.path, 'sluice.yaml'), 'utf8')).toBe('# mine')
    expect(exit).toBe(1)
  })
})

it('runs the conformance suite and writes its report', async () => {
  using here = new Workplace()
  const args = ['conformance', 'local:./log', '--filter', 'roundtrip/', '--report', 'report', '--json']
  const { code: exit, stdout } = await here.sluice(args)
  const results = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { name: string; status: string })
  expect(results.length).toBeGreaterThan(3)
  expect(results.filter(({ status }) => status === 'failed')).toEqual([])
  expect(readFileSync(join(here.path, 'report/conformance.md'), 'utf8')).toMatch(/roundtrip/)
  expect(exit).toBe(0)
})
