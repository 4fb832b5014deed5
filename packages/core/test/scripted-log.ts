import { StreamError } from '@sluice/driver'
import type { Commit, CommitOutcome, Driver, DriverTopic, IncomingRecord, PartitionEvents } from '@sluice/driver'
import { allCapabilities, fakeTopic, plainLimits } from './fake-topic.ts'

/** A driver of nothing, to be given what a test needs. */
export const plainDriver: Driver = {
  specVersion: 1,
  name: 'silent',
  server: 'silent 1',
  capabilities: { ...allCapabilities, transactions: false },
  limits: plainLimits,
  admin: {} as Driver['admin'],
  openTopic: () => Promise.reject(new StreamError('not-found', 'no topic')),
  toStreamError: (error) => StreamError.from(error, 'x'),
  native: () => undefined,
  close: () => Promise.resolve(),
}

/** A record of partition 0 whose value is its place. */
export function recordAt(place: number, epoch = 1): IncomingRecord {
  return {
    id: `r${place}`,
    partition: '0',
    position: String(place) as never,
    key: 'k',
    headers: {},
    body: Buffer.from(String(place)),
    timeMs: 0,
    expiresAtMs: undefined,
    epoch,
    native: undefined,
  }
}

/** Resolves never, and rejects when the signal aborts. */
export function untilAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) =>
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true }),
  )
}

/** A log of one partition that does what a test tells it to, step by step, and notes what it is asked for. */
export class ScriptedLog {
  readonly commits: Commit[] = []
  readonly rewinds: unknown[] = []
  /** Answers each read; `undefined`: nothing more comes. */
  poll: (read: number) => Promise<readonly IncomingRecord[]> | undefined = () => undefined
  /** Answers each commit. */
  commit: (asked: number) => Promise<readonly CommitOutcome[]> | undefined = () => undefined
  events: PartitionEvents | undefined
  #reads = 0
  #asked = 0

  get driver(): Driver {
    return { ...plainDriver, openTopic: () => Promise.resolve(this.#topic) }
  }

  get #topic(): DriverTopic {
    return {
      ...fakeTopic(() => Promise.resolve([])),
      subscribe: ({ events }) => {
        this.events = events
        events.assigned('0', 1)
        return Promise.resolve({
          shape: 'log',
          poll: (_, signal) => this.poll(++this.#reads) ?? untilAborted(signal),
          commit: async (commits) => {
            const outcomes = (await this.commit(++this.#asked)) ?? commits.map(() => ({ ok: true as const }))
            this.commits.push(...commits)
            return outcomes
          },
          pause: () => undefined,
          resume: () => undefined,
          rewind: (_, at) => void this.rewinds.push(at),
          close: () => Promise.resolve(),
        })
      },
    }
  }
}
