import { pathToFileURL } from 'node:url'
import type { SluiceFunction } from '@sluice/core'
import { StreamError } from '@sluice/driver'
import { placeIn } from './code-failed.ts'
import { resolveModule } from './load-pipeline.ts'
import type { SinkDefinition, SinkHandler, Source } from './module-types.ts'
import type { ModuleReference, Pipeline } from './pipeline.ts'
import { formatPlace } from './source-file.ts'

/** The code of a pipeline, by entry name. */
export interface LoadedModules {
  readonly sources: ReadonlyMap<string, Source>
  readonly functions: ReadonlyMap<string, SluiceFunction<unknown, unknown>>
  readonly sinks: ReadonlyMap<string, SinkDefinition | SinkHandler>
}

/** Imports everything the pipeline uses. Rejects with `invalid-argument`, naming the line of `use`, when it does not fit. */
export async function loadModules(pipeline: Pipeline): Promise<LoadedModules> {
  const load = async <T>(entries: readonly Entry[], wanted: Wanted<T>): Promise<Map<string, T>> => {
    const loaded = new Map<string, T>()
    for (const { name, module } of entries) loaded.set(name, await loadExport(pipeline, name, module, wanted))
    return loaded
  }
  return {
    sources: await load(pipeline.sources, wantedSource),
    functions: await load(pipeline.functions, wantedFunction),
    sinks: await load(pipeline.sinks, wantedSink),
  }
}

interface Entry {
  readonly name: string
  readonly module: ModuleReference
}

/** A kind of export, and how to tell that a value is one. */
interface Wanted<T> {
  readonly what: string
  readonly fits: (value: unknown) => value is T
}

const wantedSource: Wanted<Source> = {
  what: 'a source: an (async) generator function of messages',
  fits: (value): value is Source => typeof value === 'function',
}

const wantedFunction: Wanted<SluiceFunction<unknown, unknown>> = {
  what: 'a function made with defineFunction({ name, handle })',
  fits: (value): value is SluiceFunction<unknown, unknown> => hasMethod(value, 'handle'),
}

const wantedSink: Wanted<SinkDefinition | SinkHandler> = {
  what: 'a sink: a handler of messages, or defineSink({ open })',
  fits: (value): value is SinkDefinition | SinkHandler => typeof value === 'function' || hasMethod(value, 'open'),
}

function hasMethod(value: unknown, name: string): boolean {
  return typeof value === 'object' && value !== null && name in value && typeof value[name as never] === 'function'
}

async function loadExport<T>(pipeline: Pipeline, name: string, from: ModuleReference, wanted: Wanted<T>): Promise<T> {
  const exports = await importModule(pipeline, from)
  const candidates = Object.entries(exports).filter(([, value]) => wanted.fits(value))
  const exportName = from.exportName ?? (candidates.some(([key]) => key === name) ? name : onlyName(candidates))
  const value = exportName === undefined ? undefined : exports[exportName]
  if (wanted.fits(value)) return value
  const listed = Object.keys(exports).join(', ') || 'nothing'
  const problem = explainMismatch(from, candidates.length, wanted.what)
  throw new StreamError('invalid-argument', `${formatPlace(from.place)}: ${from.use} ${problem} (it exports ${listed})`)
}

function explainMismatch(from: ModuleReference, candidates: number, what: string): string {
  if (from.exportName !== undefined) return `has no export "${from.exportName}" that is ${what}`
  if (candidates > 1) return `has several exports that could be ${what}; say which with "export:"`
  return `has no export that is ${what}`
}

function onlyName(candidates: readonly (readonly [string, unknown])[]): string | undefined {
  return candidates.length === 1 ? candidates[0]?.[0] : undefined
}

async function importModule(pipeline: Pipeline, from: ModuleReference): Promise<Readonly<Record<string, unknown>>> {
  const path = resolveModule(pipeline, from)
  const place = formatPlace(from.place)
  if (path === undefined) throw new StreamError('invalid-argument', `${place}: there is no module ${from.use}`)
  if (/\.[mc]?ts$/.test(path) && !stripsTypes()) {
    const help = `Node ${process.versions.node} does not run TypeScript files; use Node 24, or compile ${from.use} and name the .js file`
    throw new StreamError('invalid-argument', `${place}: ${help}`)
  }
  try {
    return (await import(pathToFileURL(path).href)) as Readonly<Record<string, unknown>>
  } catch (cause) {
    const reason = cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause)
    const file = placeIn(pipeline.folder, cause)
    const help = helpFor(cause, path, file)
    const message = `${place}: ${from.use} cannot be loaded: ${reason}${help === undefined ? '' : `; ${help}`}`
    throw new StreamError('invalid-argument', message, { cause, details: file === undefined ? {} : { file } })
  }
}

function helpFor(cause: unknown, path: string, file: string | undefined): string | undefined {
  const missing = /^Cannot find package '([^']+)'/.exec((cause as Error | undefined)?.message ?? '')?.[1]
  if (missing !== undefined) return `install it beside the pipeline: npm install ${missing}`
  // Of these Node tells the place to nobody but who starts it.
  return cause instanceof SyntaxError && file === undefined ? `see where with: node --check ${path}` : undefined
}

function stripsTypes(): boolean {
  return Boolean(process.features.typescript)
}
