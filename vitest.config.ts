import { existsSync, globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { defineConfig } from 'vitest/config'
import type { TestProjectConfiguration } from 'vitest/config'
import { CountReporter } from './tools/count-reporter.ts'
import { LongestFirst } from './tools/longest-first.ts'

/** Sources import each other's sources: no build is needed to test. */
const conditions = ['@sluice/source']

/** Every workspace folder, and `tools`, that has a `test` folder is a project, named after its folder. */
function projects(): TestProjectConfiguration[] {
  const { workspaces } = JSON.parse(readFileSync('package.json', 'utf8')) as { workspaces: string[] }
  return [...workspaces, 'tools']
    .flatMap((pattern) => globSync(pattern))
    .filter((folder) => existsSync(join(folder, 'test')))
    .toSorted()
    .map(project)
}

/**
 * The stores of `local` are threads that Node itself strips of types here, with WebAssembly shared by all threads of the
 * process. V8 13.6 frees that code twice now and then when such threads start and end at the same time, and the process
 * dies of it (SIGSEGV in NativeModule::FreeCode): each thread gets its own, and keeps it. What is published is JavaScript.
 */
const execArgv = ['--no-wasm-native-module-cache', '--no-wasm-code-gc']

/** Their tests start processes: the command, members that are killed. On a busy machine a start takes seconds. */
const processFolders = new Set(['packages/cli', 'adapters/local', 'adapters/nats', 'adapters/kinesis'])

/**
 * Child processes and threads run from the sources too: what Node has stripped of types and compiled once, it finds again.
 * Without it a third of the time of a run on two cores goes into that.
 */
// oxlint-disable-next-line node/no-process-env -- Node looks there when a process or a thread starts
process.env['NODE_COMPILE_CACHE'] ??= join(import.meta.dirname, 'node_modules', '.cache', 'sluice-compile')

function project(folder: string): TestProjectConfiguration {
  const timeoutMs = processFolders.has(folder) ? 120_000 : 20_000
  return {
    resolve: { conditions },
    ssr: { resolve: { conditions, externalConditions: conditions } },
    test: {
      name: folder,
      root: folder,
      include: ['test/**/*.test.ts'],
      execArgv,
      testTimeout: timeoutMs,
      hookTimeout: timeoutMs,
    },
  }
}

export default defineConfig({
  test: {
    projects: projects(),
    // Most of the time goes into waiting: for leases to run out, for what must not come.
    maxWorkers: 4,
    sequence: { sequencer: LongestFirst },
    reporters: ['default', new CountReporter()],
    coverage: { include: ['packages/*/src/**', 'adapters/*/src/**'], reportsDirectory: 'coverage' },
  },
})
