import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const root = join(import.meta.dirname, '../..')

/** Who may import what. Each `breach` must be reported and each `allowed` import must not. */
const floors: readonly {
  readonly file: string
  readonly allowed: readonly string[]
  readonly breach: readonly string[]
}[] = [
  {
    file: 'packages/driver/src/seeded.ts',
    allowed: ['./errors.ts'],
    breach: ['@sluice/core', 'inversify', 'node:fs', 'nats'],
  },
  {
    file: 'packages/lease/src/seeded.ts',
    allowed: ['./lease.ts', 'node:crypto', '@sluice/driver'],
    breach: ['@sluice/core', '@sluice/local', 'inversify'],
  },
  {
    file: 'packages/emulators/src/seeded.ts',
    allowed: ['./command.ts', 'node:net', '@sluice/driver'],
    breach: ['@sluice/core', '@sluice/nats', '@sluice/conformance'],
  },
  {
    file: 'packages/core/src/producer/seeded.ts',
    allowed: ['../api.ts', 'node:crypto', '@sluice/driver', 'inversify', '@opentelemetry/api'],
    breach: [
      '@sluice/local',
      '@sluice/lease',
      '@sluice/runtime',
      'sluice',
      'yaml',
      '@aws-sdk/client-kinesis',
      'inversify/x',
    ],
  },
  {
    file: 'adapters/local/src/seeded.ts',
    allowed: ['./codec.ts', 'node:sqlite', '@sluice/driver', '@sluice/lease', 'inversify', '@aws-sdk/client-kinesis'],
    breach: ['@sluice/core', '@sluice/runtime', '@sluice/nats', '@sluice/conformance', 'sluice'],
  },
  {
    file: 'packages/runtime/src/seeded.ts',
    allowed: ['./pipeline.ts', 'node:fs/promises', '@sluice/driver', '@sluice/core', 'yaml'],
    breach: ['@sluice/local', 'sluice', 'commander', '@sluice/conformance'],
  },
  {
    file: 'conformance/src/cases/seeded.ts',
    allowed: ['../case.ts', 'node:net', '@sluice/driver', '@sluice/driver/testing', '@sluice/core', 'inversify'],
    breach: ['@sluice/local', 'vitest', '@sluice/runtime', 'nats'],
  },
  { file: 'conformance/src/vitest.ts', allowed: ['./suite.ts', 'vitest', '@sluice/core'], breach: ['@sluice/local'] },
]

describe('import directions of the house', () => {
  let folder = ''
  let reported: ReadonlyMap<string, readonly number[]> = new Map()

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'sluice-boundaries-'))
    cpSync(join(root, '.oxlintrc.json'), join(folder, '.oxlintrc.json'))
    for (const { file, allowed, breach } of floors) seed(join(folder, file), [...allowed, ...breach])
    reported = lint(folder)
  })

  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  it.each(floors)('$file reports every breach and no allowed import', ({ file, allowed, breach }) => {
    const breachLines = breach.map((_, index) => allowed.length + index + 1)
    expect(reported.get(file) ?? []).toEqual(breachLines)
  })
})

/** One import a line, so that line numbers tell which was reported. */
function seed(path: string, specifiers: readonly string[]): void {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, specifiers.map((specifier) => `import '${specifier}'\n`).join(''))
}

interface Report {
  readonly diagnostics: readonly {
    readonly code: string
    readonly filename: string
    readonly labels: readonly { readonly span: { readonly line: number } }[]
  }[]
}

function lint(folder: string): Map<string, number[]> {
  const lines = new Map<string, number[]>()
  for (const { code, filename, labels } of runOxlint(folder).diagnostics) {
    if (!code.includes('no-restricted-imports')) continue
    const line = labels[0]?.span.line ?? 0
    lines.set(
      filename,
      [...(lines.get(filename) ?? []), line].toSorted((a, b) => a - b),
    )
  }
  return lines
}

function runOxlint(folder: string): Report {
  const bin = join(root, 'node_modules/oxlint/bin/oxlint')
  try {
    return JSON.parse(
      execFileSync(process.execPath, [bin, '--format', 'json'], { cwd: folder, encoding: 'utf8' }),
    ) as Report
  } catch (error) {
    // Exit code 1 says that something was reported; the report is on stdout all the same.
    return JSON.parse((error as { stdout: string }).stdout) as Report
  }
}
