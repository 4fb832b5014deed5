import { readdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { isExecutable, lastLine, runCommand } from '../command.ts'
import { Search } from '../search.ts'
import type { NotFound, SearchOptions } from '../search.ts'

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

/** How to look for a nats-server. `SLUICE_NATS_SERVER` names a program; `PATH` and `GOPROXY` are used too. */
export interface FindOptions extends SearchOptions {
  /** A version that must be met, for example `2.9.25`, or the beginning of one, `2.9`. Default: `SLUICE_NATS_VERSION`, or any. */
  readonly version?: string
}

/** A search, and the version that must be met. */
interface Wanted {
  readonly search: Search
  readonly version: string | undefined
}

/**
 * Finds a nats-server: the one named by `SLUICE_NATS_SERVER`, on PATH, or fetched before. With `provide`, fetches one:
 * built through the Go module proxy (a version's first build takes about a minute), else Debian's package, else Docker.
 * Never rejects for what is not there.
 */
export async function findNats(options: FindOptions): Promise<NatsBinary | NotFound> {
  const { env, version = env['SLUICE_NATS_VERSION'] } = options
  const wanted: Wanted = { search: new Search(options), version: version === '' ? undefined : version }
  const looks = [named, onPath, cached]
  const all = options.provide === true ? [...looks, built, packaged, pulled] : looks
  return wanted.search.first(all.map((look) => () => look(wanted)))
}

async function named(wanted: Wanted): Promise<NatsBinary | undefined> {
  const path = wanted.search.env['SLUICE_NATS_SERVER']
  if (path === undefined || path === '') return wanted.search.missed('SLUICE_NATS_SERVER is not set')
  return checked(wanted, path, 'given')
}

async function onPath(wanted: Wanted): Promise<NatsBinary | undefined> {
  const path = await wanted.search.command('nats-server')
  if (path === undefined) return wanted.search.missed('no nats-server on PATH')
  return checked(wanted, path, 'path')
}

async function cached(wanted: Wanted): Promise<NatsBinary | undefined> {
  const { search } = wanted
  for (const path of await search.kept('nats-server-')) {
    const found = await checked(wanted, path, 'cache')
    if (found !== undefined) return found
  }
  return search.missed(`nothing that fits was fetched into ${search.cache} before`)
}

async function built(wanted: Wanted): Promise<NatsBinary | undefined> {
  const { search, version = natsVersions.newest } = wanted
  const exact = /^\d+\.\d+\.\d+$/.test(version) ? version : version === '2.9' ? natsVersions.oldest : undefined
  if (exact === undefined) return search.missed(`version ${version} is not exact, so it cannot be built`)
  const go = await search.command('go')
  if (go === undefined) return search.missed('no go on PATH to build it with')
  return search.inFolder(async (folder) => {
    const module = `github.com/nats-io/nats-server/v2@v${exact}`
    const { exitCode, output } = await runCommand(go, ['install', '-trimpath', '-ldflags=-s -w', module], {
      env: { ...search.env, GOBIN: folder, GOFLAGS: '-buildvcs=false' },
      timeoutMs: 600_000,
    })
    if (exitCode !== 0) return search.missed(`go install ${module} failed: ${lastLine(output)}`)
    return keep(wanted, join(folder, 'nats-server'), 'go')
  })
}

async function packaged(wanted: Wanted): Promise<NatsBinary | undefined> {
  const { search } = wanted
  const { env } = search
  const [get, dpkg] = [await search.command('apt-get'), await search.command('dpkg')]
  if (get === undefined || dpkg === undefined) return search.missed("no apt-get and dpkg for Debian's package")
  return search.inFolder(async (folder) => {
    const downloaded = await runCommand(get, ['download', 'nats-server'], { cwd: folder, env, timeoutMs: 120_000 })
    const file = (await readdir(folder)).find((name) => name.endsWith('.deb'))
    if (file === undefined) return search.missed(`apt-get download nats-server failed: ${lastLine(downloaded.output)}`)
    const unpacked = await runCommand(dpkg, ['-x', file, 'root'], { cwd: folder, env, timeoutMs: 60_000 })
    if (unpacked.exitCode !== 0) return search.missed(`dpkg -x ${file} failed: ${lastLine(unpacked.output)}`)
    for (const place of ['usr/sbin', 'usr/bin']) {
      const path = join(folder, 'root', place, 'nats-server')
      if (await isExecutable(path)) return keep(wanted, path, 'debian')
    }
    return search.missed(`${file} holds no nats-server`)
  })
}

async function pulled({ search, version = natsVersions.newest }: Wanted): Promise<NatsBinary | undefined> {
  const image = `nats:${version}`
  return (await search.pull(image)) ? { path: image, how: 'docker', version } : undefined
}

/** Several processes may fetch the same at once: whoever comes last replaces a file by its equal. */
async function keep(wanted: Wanted, path: string, how: NatsBinary['how']): Promise<NatsBinary | undefined> {
  const found = await checked(wanted, path, how)
  if (found === undefined) return undefined
  const kept = join(wanted.search.cache, `nats-server-${found.version}`)
  await rename(path, kept)
  return { ...found, path: kept }
}

async function checked(
  { search, version: wanted }: Wanted,
  path: string,
  how: NatsBinary['how'],
): Promise<NatsBinary | undefined> {
  const { exitCode, output } = await runCommand(path, ['--version'], { env: search.env, timeoutMs: 10_000 })
  const version = /v?(\d+\.\d+\.\d+)/.exec(output)?.[1]
  if (exitCode !== 0 || version === undefined) return search.missed(`${path} is no nats-server: ${lastLine(output)}`)
  if (wanted !== undefined && version !== wanted && !version.startsWith(`${wanted}.`))
    return search.missed(`${path} is version ${version}, not ${wanted}`)
  return { path, how, version }
}
