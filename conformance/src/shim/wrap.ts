import { StreamError } from '@sluice/driver'
import type {
  Driver,
  DriverAdmin,
  DriverProducer,
  DriverTopic,
  LogSource,
  OutgoingRecord,
  PartitionEvents,
  QueueSource,
  SendOutcome,
  Source,
  SubscribeOptions,
} from '@sluice/driver'
import { override } from '../override.ts'
import type { Call, Operation, PartitionEvent } from './call.ts'

type Facts = Partial<Call> & { operation: Operation }

/** What the wrappers need of the shim. */
export interface Tap {
  through<T>(facts: Facts, signal: AbortSignal | undefined, real: (call: Call) => Promise<T>): Promise<T>
  failureOf(record: OutgoingRecord, call: Call): StreamError | undefined
  /** Writes the event down; false when core must not see it any more. */
  event(event: PartitionEvent): boolean
  opened(source: Source): void
  closed(source: Source): void
  crashed(): boolean
}

/** A driver whose every call goes through the tap. */
export function shimDriver(driver: Driver, tap: Tap): Driver {
  return override(driver, {
    admin: shimAdmin(driver.admin, tap),
    openTopic: (name, signal) =>
      tap.through({ operation: 'openTopic', topic: name }, signal, async () =>
        shimTopic(await driver.openTopic(name, signal), driver, tap),
      ),
  })
}

function shimAdmin(admin: DriverAdmin, tap: Tap): DriverAdmin {
  type Method = (...values: unknown[]) => Promise<unknown>
  const names: readonly (keyof DriverAdmin & Operation)[] = [
    'createTopic',
    'describeTopic',
    'listTopics',
    'setPartitions',
    'setRetention',
    'deleteTopic',
    'listGroups',
    'deleteGroup',
    'seek',
    'lag',
  ]
  const changes = names.map((operation) => {
    const real = admin[operation].bind(admin) as Method
    const withGroup = operation === 'deleteGroup' || operation === 'seek' || operation === 'lag'
    const method: Method = (...values) => {
      const signal = values.at(-1) as AbortSignal | undefined
      const topic = typeof values[0] === 'string' ? values[0] : undefined
      const group = withGroup ? (values[1] as string) : undefined
      return tap.through({ operation, topic, group }, signal, () => real(...values))
    }
    return [operation, method]
  })
  return override(admin, Object.fromEntries(changes) as Partial<DriverAdmin>)
}

function shimTopic(topic: DriverTopic, driver: Driver, tap: Tap): DriverTopic {
  return override(topic, {
    producer: (signal) =>
      tap.through({ operation: 'producer', topic: topic.name }, signal, async () =>
        shimProducer(await topic.producer(signal), topic.name, driver, tap),
      ),
    subscribe: (options, signal) => {
      const { group, member } = options
      return tap.through({ operation: 'subscribe', topic: topic.name, group, member }, signal, async () => {
        const source = await topic.subscribe({ ...options, events: shimEvents(options, topic.name, tap) }, signal)
        tap.opened(source)
        return shimSource(source, { topic: topic.name, group, member }, tap)
      })
    },
  })
}

function shimProducer(producer: DriverProducer, topic: string, driver: Driver, tap: Tap): DriverProducer {
  return override(producer, {
    sendBatch: (records, signal) =>
      tap.through({ operation: 'sendBatch', topic, records }, signal, async (call) => {
        const outcomes = await sendSome(producer, driver, call, signal, tap)
        call.outcomes = outcomes
        return outcomes
      }),
    close: () => (tap.crashed() ? Promise.resolve() : producer.close()),
  })
}

/** Sends the records that no rule fails, and puts the outcomes together index by index. */
async function sendSome(
  producer: DriverProducer,
  driver: Driver,
  call: Call,
  signal: AbortSignal,
  tap: Tap,
): Promise<readonly SendOutcome[]> {
  const kept = driver.capabilities.requestOrder === 'kept'
  const failedKeys = new Map<string, StreamError>()
  const failures = call.records.map((record) => {
    const before = record.key === undefined ? undefined : failedKeys.get(record.key)
    const error = before ?? tap.failureOf(record, call)
    if (error !== undefined && kept && record.key !== undefined) failedKeys.set(record.key, error)
    return error
  })
  const sent = call.records.filter((_, index) => failures[index] === undefined)
  const outcomes = sent.length === 0 ? [] : await producer.sendBatch(sent, signal)
  let next = 0
  return failures.map((error): SendOutcome => {
    if (error !== undefined) return { ok: false, error }
    const outcome = outcomes[next++]
    if (outcome !== undefined) return outcome
    return {
      ok: false,
      error: new StreamError('internal', `the driver gave ${outcomes.length} outcomes for ${sent.length} records`),
    }
  })
}

function shimEvents(options: SubscribeOptions, topic: string, tap: Tap): PartitionEvents {
  const { events, member, group } = options
  const tell = (
    kind: PartitionEvent['kind'],
    partitions: readonly string[],
    more: { epoch?: number | undefined; error?: StreamError } = {},
  ): boolean =>
    tap.event({ kind, member, group, topic, partitions, epoch: undefined, atMs: performance.now(), ...more })
  return {
    assigned: (partition, epoch) => {
      if (tell('assigned', [partition], { epoch })) events.assigned(partition, epoch)
    },
    revoking: async (partitions, deadlineMs) => {
      if (!tell('revoking', partitions)) return
      await events.revoking(partitions, deadlineMs)
      tell('revoked', partitions)
    },
    lost: (partitions, reason) => {
      if (tell('lost', partitions, reason === undefined ? {} : { error: reason })) events.lost(partitions, reason)
    },
    ended: (partition, children) => {
      if (tell('ended', [partition])) events.ended(partition, children)
    },
    failed: (error) => {
      if (tell('failed', [], { error })) events.failed(error)
    },
  }
}

type Place = Pick<Call, 'topic' | 'group' | 'member'>

function shimSource(source: Source, place: Place, tap: Tap): Source {
  return source.shape === 'log' ? shimLog(source, place, tap) : shimQueue(source, place, tap)
}

function shimLog(source: LogSource, place: Place, tap: Tap): LogSource {
  const changes: Partial<LogSource> = {
    poll: (credit, signal) =>
      tap.through({ operation: 'poll', ...place, credit }, signal, async (call) => {
        const records = await source.poll(credit, signal)
        call.received = records.length
        return records
      }),
    commit: (commits, signal) =>
      tap.through({ operation: 'commit', ...place, commits }, signal, async (call) => {
        const outcomes = await source.commit(commits, signal)
        call.outcomes = outcomes
        return outcomes
      }),
    close: () => closing(source, tap),
  }
  const transact = source.transact?.bind(source)
  if (transact === undefined) return override(source, changes)
  return override(source, {
    ...changes,
    transact: (outputs, commits, signal) => {
      const records = outputs.map((output) => output.record)
      return tap.through({ operation: 'transact', ...place, records, commits }, signal, async (call) => {
        const outcomes = await transact(outputs, commits, signal)
        call.outcomes = outcomes
        return outcomes
      })
    },
  })
}

function shimQueue(source: QueueSource, place: Place, tap: Tap): QueueSource {
  return override(source, {
    pull: (credit, signal) =>
      tap.through({ operation: 'pull', ...place, credit }, signal, async (call) => {
        const records = await source.pull(credit, signal)
        call.received = records.length
        return records
      }),
    settle: (settlements, signal) =>
      tap.through({ operation: 'settle', ...place, settlements }, signal, async (call) => {
        const outcomes = await source.settle(settlements, signal)
        call.outcomes = outcomes
        return outcomes
      }),
    extend: (tokens, signal) =>
      tap.through({ operation: 'extend', ...place }, signal, () => source.extend(tokens, signal)),
    release: (tokens, signal) =>
      tap.through({ operation: 'release', ...place }, signal, () => source.release(tokens, signal)),
    close: () => closing(source, tap),
  })
}

/** After a crash the source was closed already, without core's doing. */
function closing(source: Source, tap: Tap): Promise<void> {
  if (tap.crashed()) return Promise.resolve()
  tap.closed(source)
  return source.close()
}
