import { mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { findOnPath, isExecutable, runCommand } from '../command.ts'

/** The servers Sluice is tested against: the newest, and the oldest it works with. */
export const natsVersions: { readonly newest: string; readonly oldest: string } = {
  newest: '2.15.2',
  oldest: '2.9.25',
}

/** Where a server was found. */
export interface NatsBinary {
  /** The program; for `docker`, the image. */
  readonly path: string
  readonly how: 'given' | 'path' | 'cache' | 'go' | 'debian' | 'docker'
  /** As the program tells it, without a `v`. */
  readonly version: string
}

/** That there is none, and what was looked at. */
export interface NotFound {
  readonly tried: readonly string[]
}

/** How to look. */
export interface FindOptions {
  /** A version that must be met, for example `2.9.25`, or the beginning of one, `2.9`. Default: `SLUICE_NATS_VERSION`, or any. */
  readonly version?: string
  /** Fetches what is missing, from the Go module proxy, Debian's packages or as a Docker image. Default false: only looks. */
  readonly provide?: boolean
  /** Where fetched programs are kept. Default: `~/.cache/sluice`. */
  readonly cache?: string
  /** `SLUICE_NATS_SERVER` names a program; `PATH` and `GOPROXY` are used too. */
  readonly env: Readonly<Record<string, string | undefined>>
}

interface Search {
  readonly options: FindOptions
  readonly cache: string
  readonly tried: string[]
}

/**
 * Finds a nats-server: the one named by `SLUICE_NATS_SERVER`, on PATH, or fetched before. With `provide`, fetches one:
 * built through the Go module proxy (a version's first build takes about a minute), else Debian's package, else Docker.
 * Never rejects for what is not there.
 */
export async function findNats(given: FindOptions): Promise<NatsBinary | NotFound> {
  const { cache = join(homedir(), '.cache', 'sluice'), env, version = env['SLUICE_NATS_VERSION'] } = given
  const options = version === undefined || version === '' ? given : { ...given, version }
  const search: Search = { options, cache, tried: [] }
  const looks = [named, onPath, cached]
  for (const look of options.provide === true ? [...looks, built, packaged, pulled] : looks) {
    const found = await look(search)
    if (found !== undefined) return found
  }
  return { tried: search.tried }
}

async function named(search: Search): Promise<NatsBinary | undefined> {
  const path = search.options.env['SLUICE_NATS_SERVER']
  if (path === undefined || path === '') return missed(search, 'SLUICE_NATS_SERVER is not set')
  return checked(search, path, 'given')
}

async function onPath(search: Search): Promise<NatsBinary | undefined> {
  const path = await findOnPath('nats-server', search.options.env['PATH'])
  if (path === undefined) return missed(search, 'no nats-server on PATH')
  return checked(search, path, 'path')
}

async function cached(search: Search): Promise<NatsBinary | undefined> {
  const names = await readdir(search.cache).catch(() => [])
  const versions = names.filter((name) => name.startsWith('nats-server-')).toSorted(byVersion)
  for (const name of versions.toReversed()) {
    const found = await checked(search, join(search.cache, name), 'cache')
    if (found !== undefined) return found
  }
  return missed(search, `nothing that fits was fetched into ${search.cache} before`)
}

async function built(search: Search): Promise<NatsBinary | undefined> {
  const { env, version = natsVersions.newest } = search.options
  const exact = /^\d+\.\d+\.\d+$/.test(version) ? version : version === '2.9' ? natsVersions.oldest : undefined
  if (exact === undefined) return missed(search, `version ${version} is not exact, so it cannot be built`)
  const go = await findOnPath('go', env['PATH'])
  if (go === undefined) return missed(search, 'no go on PATH to build it with')
  return inFolder(search, async (folder) => {
    const module = `github.com/nats-io/nats-server/v2@v${exact}`
    const { exitCode, output } = await runCommand(go, ['install', '-trimpath', '-ldflags=-s -w', module], {
      env: { ...env, GOBIN: folder, GOFLAGS: '-buildvcs=false' },
      timeoutMs: 600_000,
    })
    if (exitCode !== 0) return missed(search, `go install ${module} failed: ${lastLine(output)}`)
    return keep(search, join(folder, 'nats-server'), 'go')
  })
}

async function packaged(search: Search): Promise<NatsBinary | undefined> {
  const { env } = search.options
  const [get, dpkg] = [await findOnPath('apt-get', env['PATH']), await findOnPath('dpkg', env['PATH'])]
  if (get === undefined || dpkg === undefined) return missed(search, "no apt-get and dpkg for Debian's package")
  return inFolder(search, async (folder) => {
    const downloaded = await runCommand(get, ['download', 'nats-server'], { cwd: folder, env, timeoutMs: 120_000 })
    const file = (await readdir(folder)).find((name) => name.endsWith('.deb'))
    if (file === undefined) return missed(search, `apt-get download nats-server failed: ${lastLine(downloaded.output)}`)
    const unpacked = await runCommand(dpkg, ['-x', file, 'root'], { cwd: folder, env, timeoutMs: 60_000 })
    if (unpacked.exitCode !== 0) return missed(search, `dpkg -x ${file} failed: ${lastLine(unpacked.output)}`)
    for (const place of ['usr/sbin', 'usr/bin']) {
      const path = join(folder, 'root', place, 'nats-server')
      if (await isExecutable(path)) return keep(search, path, 'debian')
    }
    return missed(search, `${file} holds no nats-server`)
  })
}

async function pulled(search: Search): Promise<NatsBinary | undefined> {
  const { env, version = natsVersions.newest } = search.options
  const docker = await findOnPath('docker', env['PATH'])
  if (docker === undefined) return missed(search, 'no docker on PATH')
  const image = `nats:${version}`
  const { exitCode, output } = await runCommand(docker, ['pull', '--quiet', image], { env, timeoutMs: 300_000 })
  if (exitCode !== 0) return missed(search, `docker pull ${image} failed: ${lastLine(output)}`)
  return { path: image, how: 'docker', version }
}

/** A fresh folder in the cache, so that what is fetched can be moved into it in one step; it goes afterwards. */
async function inFolder<T>(search: Search, work: (folder: string) => Promise<T>): Promise<T> {
  await mkdir(search.cache, { recursive: true })
  const folder = await mkdtemp(join(search.cache, 'fetch-'))
  try {
    return await work(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Several processes may fetch the same at once: whoever comes last replaces a file by its equal. */
async function keep(search: Search, path: string, how: NatsBinary['how']): Promise<NatsBinary | undefined> {
  const found = await checked(search, path, how)
  if (found === undefined) return undefined
  const kept = join(search.cache, `nats-server-${found.version}`)
  await rename(path, kept)
  return { ...found, path: kept }
}

async function checked(search: Search, path: string, how: NatsBinary['how']): Promise<NatsBinary | undefined> {
  const { env, version: wanted } = search.options
  const { exitCode, output } = await runCommand(path, ['--version'], { env, timeoutMs: 10_000 })
  const version = /v?(\d+\.\d+\.\d+)/.exec(output)?.[1]
  if (exitCode !== 0 || version === undefined) return missed(search, `${path} is no nats-server: ${lastLine(output)}`)
  if (wanted !== undefined && version !== wanted && !version.startsWith(`${wanted}.`))
    return missed(search, `${path} is version ${version}, not ${wanted}`)
  return { path, how, version }
}

function missed(search: Search, why: string): undefined {
  search.tried.push(why)
}

function lastLine(output: string): string {
  return output.trim().split('\n').at(-1)?.trim() ?? ''
}

function byVersion(a: string, b: string): number {
  return a.localeCompare(b, 'en', { numeric: true })
}
