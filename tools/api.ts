import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Extractor, ExtractorConfig, ExtractorLogLevel, ExtractorMessageCategory } from '@microsoft/api-extractor'
import type { ExtractorMessage, IConfigFile } from '@microsoft/api-extractor'
import { command, runSteps } from './steps.ts'
import type { Step } from './steps.ts'
import { publishable, root } from './workspace.ts'
import type { Workspace } from './workspace.ts'

/**
 * `npm run api:check`: compares the public API of every package with `api/*.api.md`, and asks for a doc comment on every
 * exported name. `npm run api` writes the reports; their diff is what a reviewer looks at.
 */
const write = process.argv.includes('--write')

const compilerOptions = {
  target: 'ES2024',
  lib: ['ES2024', 'ESNext.Disposable'],
  module: 'nodenext',
  types: ['node'],
  strict: true,
  skipLibCheck: true,
}

const messages = {
  compilerMessageReporting: { default: { logLevel: ExtractorLogLevel.Error } },
  extractorMessageReporting: { default: { logLevel: ExtractorLogLevel.None } },
  tsdocMessageReporting: { default: { logLevel: ExtractorLogLevel.None } },
}

const scratch = mkdtempSync(join(tmpdir(), 'sluice-api-'))
mkdirSync(join(root, 'api'), { recursive: true })
const build: Step = { name: 'build', run: async () => void (await command('npm', ['run', 'build'])) }
try {
  process.exitCode = await runSteps([build, ...publishable().flatMap(entryPoints)])
} finally {
  rmSync(scratch, { recursive: true, force: true })
}

/** One report per entry point: `core`, `driver-testing`. */
function entryPoints({ path, manifest }: Workspace): Step[] {
  return Object.entries(manifest.exports ?? {}).flatMap(([subpath, target]) => {
    if (typeof target === 'string' || target.types === undefined) return []
    const name = `${manifest.name.replace('@sluice/', '')}${subpath.slice(1).replaceAll('/', '-')}`
    const types = join(path, target.types)
    return [{ name: `api of ${name}`, run: async () => check(name, path, types) }]
  })
}

function check(name: string, path: string, types: string): string {
  const complaints: string[] = []
  const config = ExtractorConfig.prepare({
    configObject: configOf(name, path, types),
    configObjectFullPath: undefined,
    packageJsonFullPath: join(path, 'package.json'),
  })
  const result = Extractor.invoke(config, {
    localBuild: write,
    messageCallback(message) {
      message.handled = true
      if (isComplaint(message))
        complaints.push(`${message.sourceFilePath ?? ''}:${message.sourceFileLine ?? 0} ${message.text}`)
    },
  })
  complaints.push(...undocumented(readFileSync(join(scratch, `${name}.api.md`), 'utf8')))
  if (complaints.length > 0) throw new Error(`\n  ${complaints.join('\n  ')}`)
  if (result.apiReportChanged && !write)
    throw new Error(`api/${name}.api.md differs; run \`npm run api\` and review the diff`)
  return result.apiReportChanged ? 'written' : ''
}

function isComplaint(message: ExtractorMessage): boolean {
  return message.category === ExtractorMessageCategory.Compiler || message.logLevel === ExtractorLogLevel.Error
}

/** Exported names without a doc comment. Members need one only where the name does not say it all: that is for review. */
function undocumented(report: string): string[] {
  return [...report.matchAll(/^\/\/ @public.*\(undocumented\)\n(.*)$/gm)].map(
    ([, line = '']) => `no doc comment: ${line}`,
  )
}

function configOf(name: string, path: string, types: string): IConfigFile {
  return {
    projectFolder: path,
    mainEntryPointFilePath: types,
    compiler: { overrideTsconfig: { compilerOptions, files: [types] } },
    apiReport: {
      enabled: true,
      reportFileName: `${name}.api.md`,
      reportFolder: join(root, 'api'),
      reportTempFolder: scratch,
    },
    docModel: { enabled: false },
    dtsRollup: { enabled: false },
    tsdocMetadata: { enabled: false },
    messages,
  }
}
