import { nearest, StreamError } from '@sluice/driver'
import type { BackendUrl } from '@sluice/driver'

/** Ways to take capabilities away, so that what core does about it can be proven on any machine. */
export const profileNames = [
  'no-positions',
  'ordered-queue',
  'partial',
  'ambiguous',
  'ambiguous-dedup',
  'small',
] as const

/** One of {@link profileNames}. */
export type ProfileName = (typeof profileNames)[number]

/** One option behind the `?` of an address: what the README's table is made from. */
export interface OptionDescription {
  readonly name: string
  readonly default: string
  readonly meaning: string
}

/** Every option of `local:` and `memory:` addresses. */
export const optionDescriptions: readonly OptionDescription[] = [
  {
    name: 'durability',
    default: 'full',
    meaning:
      '`full`: a receipt means the record survives a power cut. `normal`: a power cut may lose the last moments, a crash of the process loses nothing',
  },
  {
    name: 'partitions',
    default: '4',
    meaning: 'Partitions of a topic that is made without saying how many (1 with `order: none`)',
  },
  {
    name: 'failoverMs',
    default: '3000',
    meaning: 'A silent member loses its partitions after this time; one whose process is known to be dead, at once',
  },
  { name: 'leaseMs', default: '30000', meaning: 'How long a record of an `order: none` topic stays with one consumer' },
  { name: 'sweepMs', default: '5000', meaning: 'How often retention is applied' },
  { name: 'busyMs', default: '5000', meaning: 'How long a write waits for another process that is writing' },
  { name: 'maxRecordBytes', default: '16777216', meaning: 'The largest record' },
  {
    name: 'profile',
    default: 'none',
    meaning: `Capabilities to take away, for tests: ${profileNames.join(', ')}; several with commas`,
  },
]

const hiddenOptions = ['maxPages']

/** What an address of this adapter says. */
export interface LocalConfig {
  readonly scheme: 'local' | 'memory'
  /** `local`: the folder. `memory`: the name under which connections of this process share the log; empty: private. */
  readonly path: string
  readonly durability: 'full' | 'normal'
  readonly partitions: number
  readonly failoverMs: number
  readonly leaseMs: number
  readonly sweepMs: number
  readonly busyMs: number
  readonly maxRecordBytes: number
  readonly profiles: readonly ProfileName[]
  /** Pages of 16 KiB after which the store counts as full. For tests of a full disk. */
  readonly maxPages: number | undefined
  /** The address for messages. */
  readonly safe: string
}

/** Reads an address. Throws `invalid-argument` for an unknown option, naming the nearest known one, and for a bad value. */
export function parseConfig(url: BackendUrl): LocalConfig {
  const scheme = url.scheme === 'memory' ? 'memory' : 'local'
  refuseUnknown(url)
  if (scheme === 'local' && url.path === '') {
    throw invalid(url, 'names no folder; write local:./data')
  }
  if (url.path.includes('\0')) throw invalid(url, 'names a folder with a NUL character in it')
  const whole = (name: string, fallback: number, min: number, max: number): number =>
    wholeNumber(url, name, min, max) ?? fallback
  return {
    scheme,
    path: url.path,
    durability: choice(url, 'durability', ['full', 'normal']) ?? 'full',
    partitions: whole('partitions', 4, 1, 1024),
    failoverMs: whole('failoverMs', 3000, 100, 600_000),
    leaseMs: whole('leaseMs', 30_000, 50, 86_400_000),
    sweepMs: whole('sweepMs', 5000, 10, 86_400_000),
    busyMs: whole('busyMs', 5000, 0, 600_000),
    maxRecordBytes: whole('maxRecordBytes', 16 * 1024 * 1024, 1024, 256 * 1024 * 1024),
    profiles: profiles(url),
    maxPages: wholeNumber(url, 'maxPages', 1, 2 ** 32 - 2),
    safe: url.safe,
  }
}

function refuseUnknown(url: BackendUrl): void {
  const known = optionDescriptions.map((option) => option.name)
  for (const name of Object.keys(url.options)) {
    if (known.includes(name) || hiddenOptions.includes(name)) continue
    const meant = nearest(name, known)
    const hint = meant === undefined ? `known are ${known.join(', ')}` : `did you mean "${meant}"?`
    throw invalid(url, `has an unknown option "${name}"; ${hint}`)
  }
}

function wholeNumber(url: BackendUrl, name: string, min: number, max: number): number | undefined {
  const text = url.options[name]
  if (text === undefined) return undefined
  const value = Number(text)
  if (/^\d+$/.test(text) && value >= min && value <= max) return value
  throw invalid(url, `has ${name}=${text}; write a whole number from ${min} to ${max}`)
}

function choice<T extends string>(url: BackendUrl, name: string, choices: readonly T[]): T | undefined {
  const text = url.options[name]
  if (text === undefined) return undefined
  const found = choices.find((candidate) => candidate === text)
  if (found !== undefined) return found
  const meant = nearest(text, choices)
  const hint = meant === undefined ? `write ${choices.join(' or ')}` : `did you mean "${meant}"?`
  throw invalid(url, `has ${name}=${text}; ${hint}`)
}

function profiles(url: BackendUrl): readonly ProfileName[] {
  const text = url.options['profile']
  if (text === undefined || text === '' || text === 'none') return []
  const names = text.split(',').map((name) => {
    const found = profileNames.find((known) => known === name)
    if (found !== undefined) return found
    const meant = nearest(name, profileNames)
    const hint = meant === undefined ? `known are ${profileNames.join(', ')}` : `did you mean "${meant}"?`
    throw invalid(url, `has an unknown profile "${name}"; ${hint}`)
  })
  if (names.includes('no-positions') && names.includes('ordered-queue')) {
    throw invalid(url, 'asks for the profiles no-positions and ordered-queue, which exclude each other; take one')
  }
  return [...new Set(names)]
}

function invalid(url: BackendUrl, problem: string): StreamError {
  return new StreamError('invalid-argument', `the address ${url.safe} ${problem}`)
}
