import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** The folder of the repository. */
export const root: string = join(import.meta.dirname, '..')

/** What tools read of a package.json. */
export interface Manifest {
  readonly name: string
  readonly version: string
  readonly private?: boolean
  readonly workspaces?: readonly string[]
  readonly dependencies?: Readonly<Record<string, string>>
  readonly exports?: Readonly<Record<string, string | { readonly types?: string }>>
}

/** A workspace of the repository. */
export interface Workspace {
  /** From the root: `packages/core`. */
  readonly folder: string
  readonly path: string
  readonly manifest: Manifest
}

/** Every workspace, sorted by folder. */
export function workspaces(): readonly Workspace[] {
  const { workspaces: patterns = [] } = readManifest(root)
  return patterns
    .flatMap((pattern) => globSync(`${pattern}/package.json`, { cwd: root }))
    .map((file) => file.replace(/\/package\.json$/, ''))
    .toSorted()
    .map((folder) => ({ folder, path: join(root, folder), manifest: readManifest(join(root, folder)) }))
}

/** The workspaces that are published. */
export function publishable(): readonly Workspace[] {
  return workspaces().filter(({ manifest }) => manifest.private !== true)
}

function readManifest(folder: string): Manifest {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest
}
