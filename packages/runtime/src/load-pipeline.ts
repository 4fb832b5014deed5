import { existsSync } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join, relative, resolve } from 'node:path'
import { StreamError, systemErrorCode } from '@sluice/driver'
import { parsePipeline } from './parse-pipeline.ts'
import type { ModuleReference, Pipeline } from './pipeline.ts'
import { formatPlace } from './source-file.ts'

/** What the file of a folder is called. */
export const pipelineFileName = 'sluice.yaml'

/**
 * Reads a pipeline from a `sluice.yaml`, or from the one in a folder. Rejects with `not-found` when there is none and
 * with `invalid-argument`, naming file, line and column, when something in it is wrong or a `use` file is missing. A file
 * that may not be read is `permission-denied`.
 */
export async function loadPipeline(folderOrFile: string): Promise<Pipeline> {
  const path = await pipelineFile(folderOrFile)
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw unreadable(path, cause)
  })
  const pipeline = parsePipeline(text, displayName(path))
  const resolved = { ...pipeline, file: path }
  const missing = references(resolved).filter((reference) => resolveModule(resolved, reference) === undefined)
  if (missing.length > 0) {
    const lines = missing.map((reference) => `${formatPlace(reference.place)}: ${explainMissing(resolved, reference)}`)
    throw new StreamError('invalid-argument', lines.join('\n'))
  }
  return resolved
}

/** The file a module reference means; `undefined` when there is none. */
export function resolveModule(pipeline: Pipeline, reference: ModuleReference): string | undefined {
  if (isPath(reference.use)) {
    const path = resolve(pipeline.folder, reference.use)
    return existsSync(path) ? path : undefined
  }
  try {
    return createRequire(join(pipeline.folder, pipelineFileName)).resolve(reference.use)
  } catch {
    return undefined
  }
}

async function pipelineFile(folderOrFile: string): Promise<string> {
  const path = resolve(folderOrFile)
  const found = await stat(path).catch((cause: unknown) => {
    if (isMissing(cause)) return undefined
    throw unreadable(path, cause)
  })
  if (found?.isFile() === true) return path
  const file = join(path, pipelineFileName)
  if (found !== undefined && existsSync(file)) return file
  const what =
    found === undefined
      ? `there is no file or folder "${folderOrFile}"`
      : `there is no ${pipelineFileName} in "${folderOrFile}"`
  throw new StreamError('not-found', `${what}; \`sluice init\` writes one to start from`)
}

/** Whether nothing is there, rather than something that may not be looked at. */
function isMissing(cause: unknown): boolean {
  return cause instanceof Error && 'code' in cause && (cause.code === 'ENOENT' || cause.code === 'ENOTDIR')
}

function unreadable(path: string, cause: unknown): StreamError {
  const text = cause instanceof Error ? cause.message : String(cause)
  return new StreamError(
    systemErrorCode(cause) ?? 'unavailable',
    `${displayName(path)} cannot be read (${text}); it must be a file, or a folder with a ${pipelineFileName}, that this user may read`,
    { cause, details: { file: path } },
  )
}

/** Short enough to read, still a path that terminals and editors can open. */
function displayName(path: string): string {
  const short = relative(process.cwd(), path)
  return short === '' || short.startsWith('..') ? path : short
}

function references(pipeline: Pipeline): readonly ModuleReference[] {
  return [...pipeline.sources, ...pipeline.functions, ...pipeline.sinks].map(({ module }) => module)
}

function explainMissing(pipeline: Pipeline, reference: ModuleReference): string {
  if (!isPath(reference.use))
    return `package "${reference.use}" is not installed; npm install ${packageName(reference.use)}`
  return `there is no file ${resolve(pipeline.folder, reference.use)}`
}

function packageName(use: string): string {
  return use
    .split('/')
    .slice(0, use.startsWith('@') ? 2 : 1)
    .join('/')
}

function isPath(use: string): boolean {
  return use.startsWith('./') || use.startsWith('../') || use.startsWith('/')
}
