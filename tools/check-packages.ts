import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { command, runSteps } from './steps.ts'
import type { Step } from './steps.ts'
import { publishable, root } from './workspace.ts'
import type { Workspace } from './workspace.ts'

/**
 * `npm run packages`: packs what would be published, has publint and arethetypeswrong look at it, installs it in an
 * empty folder, and runs the README's quick start there on the oldest and on the pinned Node.
 */

/** The oldest Node that `engines` allows. */
const oldestNode = '22.13.0'

/** Installing core must bring fewer packages than this. */
const packageCeiling = 10

/** A command that is slow to say what it can do is not asked. In milliseconds, the start of Node included. */
const helpCeilingMs = 150

/** What the quick start needs, as its reader installs it. */
const quickStartPackages = ['@sluice/core', '@sluice/local']

const scratch = mkdtempSync(join(tmpdir(), 'sluice-packages-'))
const sluice = join(scratch, 'command/node_modules/sluice/dist/main.js')
const tarballs = new Map<string, string>()

try {
  process.exitCode = await runSteps([
    { name: 'build', run: async () => void (await command('npm', ['run', 'build'])) },
    ...publishable().flatMap(packageSteps),
    { name: `core brings fewer than ${packageCeiling} packages`, run: countPackages },
    { name: 'quick start installs in an empty folder', run: installQuickStart },
    { name: 'quick start type-checks', run: compileQuickStart },
    { name: `quick start runs on Node ${oldestNode}`, run: async () => runQuickStart(await oldestNodePath()) },
    { name: `quick start runs on Node ${process.versions.node}`, run: () => runQuickStart(process.execPath) },
    { name: `sluice --help answers within ${helpCeilingMs} ms`, run: timeHelp },
    { name: 'sluice init writes a pipeline that sluice run runs', run: runStarter },
    { name: 'sluice conformance runs', run: runConformance },
  ])
} finally {
  rmSync(scratch, { recursive: true, force: true })
}

function packageSteps({ path, manifest }: Workspace): Step[] {
  const { name } = manifest
  const tarball = (): string => tarballs.get(name) ?? ''
  return [
    {
      name: `pack ${name}`,
      async run() {
        const packed = await command('npm', ['pack', '--json', '--pack-destination', scratch], path)
        const [{ filename, entryCount }] = JSON.parse(packed) as [{ filename: string; entryCount: number }]
        tarballs.set(name, join(scratch, filename))
        return `${entryCount} files`
      },
    },
    { name: `publint ${name}`, run: async () => void (await command('npx', ['publint', tarball(), '--strict'])) },
    {
      name: `attw ${name}`,
      run: async () => void (await command('npx', ['attw', tarball(), '--profile', 'esm-only', '--no-emoji'])),
    },
  ]
}

async function countPackages(): Promise<string> {
  const folder = await install('count', ['@sluice/core'])
  const lock = JSON.parse(readFileSync(join(folder, 'package-lock.json'), 'utf8')) as { packages: object }
  const names = Object.keys(lock.packages).filter((name) => name !== '' && name !== 'node_modules/@sluice/core')
  if (names.length >= packageCeiling) throw new Error(`it brings ${names.length}: ${names.join(', ')}`)
  return `${names.length}: ${names.map((name) => name.replace('node_modules/', '')).join(', ')}`
}

async function installQuickStart(): Promise<void> {
  await install('quick-start', quickStartPackages)
}

async function compileQuickStart(): Promise<void> {
  const folder = join(scratch, 'quick-start')
  writeFileSync(join(folder, 'main.ts'), quickStart())
  const compilerOptions = {
    // Node 22 does not know `await using`: the compiler spells it out.
    target: 'ES2022',
    lib: ['ES2024', 'ESNext.Disposable'],
    module: 'nodenext',
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    types: ['node'],
    typeRoots: [join(root, 'node_modules/@types')],
  }
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['main.ts'] }))
  await command('npx', ['tsc', '-p', folder])
}

async function runQuickStart(node: string): Promise<string> {
  const folder = join(scratch, 'quick-start')
  rmSync(join(folder, 'data'), { recursive: true, force: true })
  const printed = await command(node, ['main.js'], folder)
  if (!printed.includes('customer-7')) throw new Error(`it printed: ${printed}`)
  return printed.trim()
}

async function timeHelp(): Promise<string> {
  const folder = await install('command', ['sluice'])
  const times: number[] = []
  for (let round = 0; round < 7; round++) {
    const started = performance.now()
    const printed = await command(process.execPath, [sluice, '--help'], folder)
    times.push(performance.now() - started)
    if (!printed.startsWith('Usage: sluice')) throw new Error(`it printed: ${printed}`)
  }
  const median = Math.round(times.toSorted((a, b) => a - b)[3] ?? Infinity)
  if (median > helpCeilingMs) throw new Error(`it took ${median} ms`)
  return `${median} ms`
}

async function runStarter(): Promise<string> {
  const folder = join(scratch, 'command')
  await command(process.execPath, [sluice, 'init', 'starter'], folder)
  const printed = await command(process.execPath, [sluice, 'run', 'starter', '--until-idle'], folder)
  if (!/^room-\d is at \d+ °C$/m.test(printed)) throw new Error(`it printed: ${printed}`)
  return `${printed.trim().split('\n').length} lines`
}

async function runConformance(): Promise<string> {
  const args = [sluice, 'conformance', 'local:./log', '--filter', 'roundtrip/', '--json']
  const printed = await command(process.execPath, args, join(scratch, 'command'))
  return `${printed.trim().split('\n').length} cases`
}

/** Installs packages from their tarballs; what they need of each other comes from tarballs too. */
async function install(name: string, wanted: readonly string[]): Promise<string> {
  const folder = join(scratch, name)
  mkdirSync(folder, { recursive: true })
  const dependencies = Object.fromEntries(
    withSiblings(wanted).map((sibling) => [sibling, `file:${tarballs.get(sibling)}`]),
  )
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name, private: true, type: 'module', dependencies }))
  await command('npm', ['install', '--no-audit', '--no-fund'], folder)
  return folder
}

function withSiblings(wanted: readonly string[]): readonly string[] {
  const all = new Map(publishable().map(({ manifest }) => [manifest.name, manifest]))
  const needed = new Set<string>()
  const visit = (name: string): void => {
    const manifest = all.get(name)
    if (manifest === undefined || needed.has(name)) return
    needed.add(name)
    for (const dependency of Object.keys(manifest.dependencies ?? {})) visit(dependency)
  }
  for (const name of wanted) visit(name)
  return [...needed]
}

/** The TypeScript block that follows the marker in the README. */
function quickStart(): string {
  const readme = readFileSync(join(root, 'README.md'), 'utf8')
  const code = /<!-- quick-start -->\s*```ts\n([\s\S]*?)\n```/.exec(readme)?.[1]
  if (code === undefined) throw new Error('README.md has no ts block after <!-- quick-start -->')
  return code
}

/** Fetched once and kept: only this check needs it. */
async function oldestNodePath(): Promise<string> {
  const folder = join(root, 'node_modules/.cache/sluice', `node-${oldestNode}`)
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true, dependencies: { node: oldestNode } }))
  await command('npm', ['install', '--no-audit', '--no-fund'], folder)
  return join(folder, 'node_modules/node/bin/node')
}
