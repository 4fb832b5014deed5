import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { isExecutable, runCommand } from '../command.ts'
import type { Search } from '../search.ts'

/** A Python, and the LocalStack that runs on it. */
export interface Python {
  readonly path: string
  readonly localStack: string
}

/** What LocalStack is installed with. */
export interface Tools {
  readonly python: Python
  /** The home of a JDK. */
  readonly jdk: string
  readonly npm: string
  readonly mvn: string
}

/** The newest LocalStack without an account needs Python 3.13; 4.9.2 is the last that runs on those before. */
const localStackOf: Readonly<Record<string, string>> = { '3.13': '4.14.0', '3.12': '4.9.2', '3.11': '4.9.2' }

/** The newest version that is installed or pulled. */
export const newestLocalStack = '4.14.0'

const oldestJava = 17

/** Looks for all of them, and notes each that is missing. */
export async function findTools(search: Search): Promise<Tools | undefined> {
  const [python, jdk] = [await findPython(search), await findJdk(search)]
  const [npm, mvn] = [await search.command('npm'), await search.command('mvn')]
  if (npm === undefined) search.missed('no npm on PATH to install kinesis-mock with')
  if (mvn === undefined) search.missed('no mvn on PATH to fetch DynamoDB Local with')
  if (python === undefined || jdk === undefined || npm === undefined || mvn === undefined) return undefined
  return { python, jdk, npm, mvn }
}

async function findPython(search: Search): Promise<Python | undefined> {
  const versions = Object.keys(localStackOf).toSorted().toReversed()
  const found = new Map<string, string>()
  for (const path of await pythons(search, versions)) {
    const { exitCode, output } = await runCommand(path, ['-c', askVersion], { env: search.env, timeoutMs: 10_000 })
    if (exitCode === 0 && !found.has(output.trim())) found.set(output.trim(), path)
  }
  for (const version of versions) {
    const [path, localStack] = [found.get(version), localStackOf[version]]
    if (path !== undefined && localStack !== undefined) return { path, localStack }
  }
  return search.missed(`no Python of ${versions.join(', ')} with ensurepip and ssl, on PATH or by pyenv`)
}

const askVersion = "import ensurepip, ssl, sys, venv; print('%d.%d' % sys.version_info[:2])"

/** Those on PATH, and those that pyenv keeps: its commands on PATH work for the versions alone that are switched on. */
async function pythons(search: Search, versions: readonly string[]): Promise<readonly string[]> {
  const names = [...versions.map((version) => `python${version}`), 'python3']
  const onPath = await Promise.all(names.map((name) => search.command(name)))
  const { HOME: home = '', PYENV_ROOT: root = join(home, '.pyenv') } = search.env
  const folder = join(root, 'versions')
  const kept = (await readdir(folder).catch(() => [])).map((name) => join(folder, name, 'bin', 'python'))
  return [...onPath, ...kept].filter((path) => path !== undefined)
}

async function findJdk(search: Search): Promise<string | undefined> {
  const what = `a JDK of ${oldestJava} or newer`
  const java = await search.command('java')
  if (java === undefined) return search.missed(`no java on PATH; ${what} is needed`)
  const asked = ['-XshowSettings:properties', '-version']
  const { output } = await runCommand(java, asked, { env: search.env, timeoutMs: 10_000 })
  const home = /java\.home = (.+)/.exec(output)?.[1]?.trim()
  const version = Number(/java\.specification\.version = (\d+)/.exec(output)?.[1])
  if (home === undefined || !(version >= oldestJava)) return search.missed(`${java} is not of ${what}`)
  for (const tool of ['javac', 'jar'])
    if (!(await isExecutable(join(home, 'bin', tool)))) return search.missed(`no ${tool} in ${home}; ${what} is needed`)
  return home
}
