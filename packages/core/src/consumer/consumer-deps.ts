import type { AsyncLocalStorage } from 'node:async_hooks'
import type { Capabilities, Clock, DriverTopic, Logger, OutgoingRecord, Random } from '@sluice/driver'
import type { Message, SettledAs } from '../api/message.ts'
import type { IdGenerator } from '../ids.ts'
import type { Telemetry } from '../telemetry.ts'
import type { ValueFormat } from '../values.ts'
import type { ConsumerSettings } from './settings.ts'

/** What a consumer works with. */
export interface ConsumerDeps {
  readonly topicName: string
  readonly member: string
  readonly settings: ConsumerSettings
  /** Opens it, and makes sure that the dead-letter topic is there. */
  readonly openTopic: () => Promise<DriverTopic>
  /** Tries again while the backend is away. */
  readonly patiently: <T>(what: string, work: () => Promise<T>, signal: AbortSignal) => Promise<T>
  /** It is no longer what it was when it was opened: it is opened anew next time. */
  readonly forgetTopic: () => void
  /** Whether the dead-letter topic takes a record of that size. Known once the topic is open. */
  readonly deadLetterFits: (record: OutgoingRecord) => boolean
  readonly sendDeadLetter: (record: OutgoingRecord, signal: AbortSignal) => Promise<unknown>
  readonly capabilities: Capabilities
  readonly format: ValueFormat<unknown>
  readonly ids: IdGenerator
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly telemetry: Telemetry | undefined
  /** Holds the consumer in whose handler we are. */
  readonly inside: AsyncLocalStorage<object>
  /** Outputs, dead letters and progress are stored in one transaction. */
  readonly transactional: boolean
  readonly onSettled: ((message: Message<unknown>, outcome: SettledAs) => void) | undefined
  readonly onClosed: () => void
}
