import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { findOnPath, lastLine, runCommand } from './command.ts'

/** That there is none, and what was looked at. */
export interface NotFound {
  readonly tried: readonly string[]
}

/** How to look for a server. */
export interface SearchOptions {
  /** Fetches what is missing. Default false: only looks. */
  readonly provide?: boolean
  /** Where fetched programs are kept. Default: `~/.cache/sluice`. */
  readonly cache?: string
  /** Where a server may be named; `PATH`, and what the programs that fetch take from it. */
  readonly env: Readonly<Record<string, string | undefined>>
}

/** One search for a server: where it looks, and what it has looked at in vain. */
export class Search {
  readonly cache: string
  readonly env: SearchOptions['env']
  readonly #tried: string[] = []

  constructor({ cache = join(homedir(), '.cache', 'sluice'), env }: SearchOptions) {
    this.cache = cache
    this.env = env
  }

  /** What the first look that finds something finds. */
  async first<T>(looks: readonly (() => Promise<T | undefined>)[]): Promise<T | NotFound> {
    for (const look of looks) {
      const found = await look()
      if (found !== undefined) return found
    }
    return { tried: this.#tried }
  }

  /** Notes what was not there. */
  missed(why: string): undefined {
    this.#tried.push(why)
  }

  /** The path of a command. */
  command(name: string): Promise<string | undefined> {
    return findOnPath(name, this.env['PATH'])
  }

  /** What was fetched before under names that begin like that, the newest version first. */
  async kept(prefix: string): Promise<readonly string[]> {
    const names = (await readdir(this.cache).catch(() => [])).filter((name) => name.startsWith(prefix))
    const newest = names.toSorted((a, b) => b.localeCompare(a, 'en', { numeric: true }))
    return newest.map((name) => join(this.cache, name))
  }

  /** A fresh folder in the cache, so that what is fetched can be moved into it in one step; it goes afterwards. */
  async inFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
    await mkdir(this.cache, { recursive: true })
    const folder = await mkdtemp(join(this.cache, 'fetch-'))
    try {
      return await work(folder)
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  }

  /** Pulls a Docker image; says whether it is there. */
  async pull(image: string): Promise<boolean> {
    const docker = await this.command('docker')
    if (docker === undefined) return this.missed('no docker on PATH') ?? false
    const { exitCode, output } = await runCommand(docker, ['pull', '--quiet', image], {
      env: this.env,
      timeoutMs: 300_000,
    })
    if (exitCode !== 0) this.missed(`docker pull ${image} failed: ${lastLine(output)}`)
    return exitCode === 0
  }
}
