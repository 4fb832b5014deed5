import { rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { lastLine, runCommand } from '../command.ts'
import type { CommandResult } from '../command.ts'
import { Search } from '../search.ts'
import type { NotFound, SearchOptions } from '../search.ts'
import { askHealth } from './health.ts'
import { install } from './install.ts'
import { findTools, newestLocalStack } from './tools.ts'

/** Where a LocalStack was found. */
export interface LocalStack {
  /** `given`: the address at which it runs. `docker`: the image. Else the folder that it was installed into. */
  readonly path: string
  readonly how: 'given' | 'cache' | 'pip' | 'docker'
  readonly version: string
}

/**
 * Finds a LocalStack: the one that runs at `LOCALSTACK_ENDPOINT`, or one that was installed before. With `provide`, installs
 * one that needs no Docker, from PyPI, npm and Maven Central (about a minute, 500 MB), else pulls the Docker image. Never
 * rejects for what is not there.
 */
export async function findLocalStack(options: SearchOptions): Promise<LocalStack | NotFound> {
  const search = new Search(options)
  const looks = [given, cached]
  const all = options.provide === true ? [...looks, installed, pulled] : looks
  return search.first(all.map((look) => () => look(search)))
}

async function given(search: Search): Promise<LocalStack | undefined> {
  const path = search.env['LOCALSTACK_ENDPOINT']
  if (path === undefined || path === '') return search.missed('LOCALSTACK_ENDPOINT is not set')
  const health = await askHealth(path, 5_000)
  if (health === undefined) return search.missed(`no LocalStack answers at ${path}`)
  return { path, how: 'given', version: health.version }
}

async function cached(search: Search): Promise<LocalStack | undefined> {
  for (const path of await search.kept('localstack-')) {
    const found = await checked(search, path, 'cache')
    if (found !== undefined) return found
  }
  return search.missed(`none was installed into ${search.cache} before`)
}

async function installed(search: Search): Promise<LocalStack | undefined> {
  const tools = await findTools(search)
  if (tools === undefined) return undefined
  return search.inFolder(async (folder) => {
    try {
      await install(folder, tools, search.env)
    } catch (error) {
      return search.missed((error as Error).message)
    }
    const path = join(search.cache, `localstack-${tools.python.localStack}`)
    // Another process may have been faster; what is there otherwise is broken.
    if ((await askVersion(search, path)).exitCode !== 0) {
      await rm(path, { recursive: true, force: true })
      await rename(folder, path)
    }
    return checked(search, path, 'pip')
  })
}

async function pulled(search: Search): Promise<LocalStack | undefined> {
  const image = `localstack/localstack:${newestLocalStack}`
  return (await search.pull(image)) ? { path: image, how: 'docker', version: newestLocalStack } : undefined
}

async function checked(search: Search, path: string, how: LocalStack['how']): Promise<LocalStack | undefined> {
  const { exitCode, output } = await askVersion(search, path)
  if (exitCode !== 0) return search.missed(`${path} holds no LocalStack: ${lastLine(output)}`)
  return { path, how, version: output.trim() }
}

/** An installation can break: when its Python goes, for example. */
function askVersion(search: Search, path: string): Promise<CommandResult> {
  const ask = ['-I', '-c', 'from localstack.version import __version__; print(__version__)']
  return runCommand(join(path, 'venv', 'bin', 'python'), ask, { env: search.env, timeoutMs: 20_000 })
}
