import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { adapterFiles } from './adapter-skeleton/files.ts'
import type { Manifest } from './workspace.ts'

/**
 * `npm run new:adapter NAME [ROOT]`: writes the skeleton of an adapter. It type-checks, and its conformance test runs:
 * every case that needs what is not written yet fails and says so.
 */
const [name = '', root = join(import.meta.dirname, '..')] = process.argv.slice(2)
const folder = join(root, 'adapters', name)
if (!/^[a-z][a-z0-9]*$/.test(name)) {
  fail('usage: npm run new:adapter NAME, where NAME is the scheme of its addresses: lower-case letters and digits')
} else if (existsSync(folder)) {
  fail(`adapters/${name} exists already`)
} else {
  writeSkeleton()
  console.log(`wrote adapters/${name}; next:`)
  console.log('  npm install                                    links the workspace')
  console.log(`  npx vitest run --project adapters/${name}      shows what is left to write`)
}

function writeSkeleton(): void {
  const model = JSON.parse(readFileSync(join(root, 'adapters/local/package.json'), 'utf8')) as Manifest
  for (const [path, text] of Object.entries(adapterFiles(name, model))) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), text)
  }
  addReference()
}

/** \`tsc -b\` builds what the root tsconfig.json refers to. */
function addReference(): void {
  const path = join(root, 'tsconfig.json')
  const config = JSON.parse(readFileSync(path, 'utf8')) as { references: { path: string }[] }
  config.references.splice(-1, 0, { path: `adapters/${name}` })
  writeFileSync(path, `${JSON.stringify(config, undefined, 2)}\n`)
}

function fail(text: string): void {
  console.error(text)
  process.exitCode = 2
}
