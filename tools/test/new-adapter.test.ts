import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { spawnSync } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const root = join(import.meta.dirname, '../..')

describe('npm run new:adapter', () => {
  let copy = ''

  beforeAll(() => {
    // A repository of its own, as far as an adapter can tell.
    copy = mkdtempSync(join(tmpdir(), 'sluice-new-adapter-'))
    for (const file of ['package.json', 'tsconfig.base.json', 'tsconfig.check.json', 'vitest.config.ts']) {
      cpSync(join(root, file), join(copy, file))
    }
    writeFileSync(
      join(copy, 'tsconfig.json'),
      JSON.stringify({ files: [], references: [{ path: 'tsconfig.check.json' }] }),
    )
    mkdirSync(join(copy, 'tools'))
    for (const tool of ['count-reporter.ts', 'longest-first.ts'])
      cpSync(join(root, 'tools', tool), join(copy, 'tools', tool))
    mkdirSync(join(copy, 'adapters/local'), { recursive: true })
    cpSync(join(root, 'adapters/local/package.json'), join(copy, 'adapters/local/package.json'))
    mkdirSync(join(copy, 'packages'))
    for (const folder of ['node_modules', 'packages/driver']) symlinkSync(join(root, folder), join(copy, folder))
    run(['tools/new-adapter.ts', 'redis', copy])
  })

  afterAll(() => rmSync(copy, { recursive: true, force: true }))

  it('writes an adapter that type-checks, its tests included', () => {
    const config = ['--noEmit', '--composite', 'false', '--incremental', 'false', '--declaration', 'false']
    const loosened = [
      '--declarationMap',
      'false',
      '--isolatedDeclarations',
      'false',
      '--rootDir',
      '/',
      '--tsBuildInfoFile',
      'null',
    ]
    const checked = run(['node_modules/typescript/bin/tsc', '-p', join(copy, 'adapters/redis'), ...config, ...loosened])
    expect(checked.output).toBe('')
    const tests = run(['node_modules/typescript/bin/tsc', '-p', join(copy, 'tsconfig.check.json'), '--rootDir', '/'])
    expect(tests.output).toBe('')
  })

  it('is built with the rest', () => {
    const { references } = JSON.parse(readFileSync(join(copy, 'tsconfig.json'), 'utf8')) as { references: unknown[] }
    expect(references).toContainEqual({ path: 'adapters/redis' })
  })

  it('has a conformance test that runs and fails case by case', () => {
    const vitest = ['node_modules/vitest/vitest.mjs', 'run', '--root', copy, '--project', 'adapters/redis']
    const args = [...vitest, '-t', 'roundtrip|admin/create-is-idempotent|reads host']
    const { output } = run(args, copy)
    expect(output).toMatch(/roundtrip\/bytes.*is not written yet/s)
    const [, passed, failed] = /^(\d+) passed, (\d+) failed/m.exec(output) ?? []
    expect(Number(passed)).toBeGreaterThan(0)
    expect(Number(failed)).toBeGreaterThan(3)
  })

  it.each(['Redis', '../x', ''])('refuses the name "%s"', (name) => {
    expect(run(['tools/new-adapter.ts', name, copy])).toMatchObject({ status: 2 })
  })

  it('leaves an adapter alone that is there', () => {
    expect(run(['tools/new-adapter.ts', 'local', copy]).output).toMatch(/exists already/)
  })
})

function run(args: readonly string[], cwd: string = root): { readonly status: number | null; readonly output: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd, encoding: 'utf8' })
  return { status, output: stdout + stderr }
}
