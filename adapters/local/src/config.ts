import { AddressOptions, didYouMean } from '@sluice/driver'
import type { BackendUrl, OptionDescription } from '@sluice/driver'

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
  const options = new AddressOptions(url, optionDescriptions, hiddenOptions)
  if (scheme === 'local' && url.path === '') {
    throw options.invalid('names no folder; write local:./data')
  }
  if (url.path.includes('\0')) throw options.invalid('names a folder with a NUL character in it')
  const whole = (name: string, fallback: number, min: number, max: number): number =>
    options.whole(name, min, max) ?? fallback
  return {
    scheme,
    path: url.path,
    durability: options.choice('durability', ['full', 'normal']) ?? 'full',
    partitions: whole('partitions', 4, 1, 1024),
    failoverMs: whole('failoverMs', 3000, 100, 600_000),
    leaseMs: whole('leaseMs', 30_000, 50, 86_400_000),
    sweepMs: whole('sweepMs', 5000, 10, 86_400_000),
    busyMs: whole('busyMs', 5000, 0, 600_000),
    maxRecordBytes: whole('maxRecordBytes', 16 * 1024 * 1024, 1024, 256 * 1024 * 1024),
    profiles: profiles(options),
    maxPages: options.whole('maxPages', 1, 2 ** 32 - 2),
    safe: url.safe,
  }
}

function profiles(options: AddressOptions): readonly ProfileName[] {
  const text = options.text('profile')
  if (text === undefined || text === 'none') return []
  const names = text.split(',').map((name) => {
    const found = profileNames.find((known) => known === name)
    if (found !== undefined) return found
    throw options.invalid(`has an unknown profile "${name}"; ${didYouMean(name, profileNames)}`)
  })
  if (names.includes('no-positions') && names.includes('ordered-queue')) {
    throw options.invalid('asks for the profiles no-positions and ordered-queue, which exclude each other; take one')
  }
  return [...new Set(names)]
}
