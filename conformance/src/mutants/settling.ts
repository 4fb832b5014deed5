import type { BatchHandler, BatchOptions, Consumer, Handler, Message, RunOptions } from '@sluice/core'
import type { LogSource, PartitionId, Position } from '@sluice/driver'
import { override } from '../override.ts'
import { onConsumer, onHandler, onLog, withConsumerOptions, withVerbs } from './mutant.ts'
import type { Mutant } from './mutant.ts'

/** How long letters that fail again are waited for, in milliseconds. */
const chaseMs = 5_000

/** Bugs of what is done with records: settlement, progress, hand-over. */
export const settlingMutants: readonly Mutant[] = [
  {
    name: 'drop-nacked',
    bug: 'a record that failed is done',
    killedBy: 'settle/failed-is-never-passed',
    infect: () => ({
      mutateCloud: (cloud) =>
        onHandler(cloud, (handler) => async (message) => {
          await invoke(handler, withVerbs(message, { retry: () => message.ack() })).catch(() => message.ack())
        }),
    }),
  },
  {
    name: 'ack-on-receive',
    bug: 'a record is done when it is received',
    killedBy: 'settle/undone-comes-again',
    infect: () => ({
      mutateCloud: (cloud) =>
        onHandler(cloud, (handler) => (message) => {
          message.ack()
          void invoke(handler, message).catch(() => undefined)
        }),
    }),
  },
  {
    name: 'handler-not-awaited',
    bug: 'handlers are started and not waited for',
    killedBy: 'consume/key-exclusive',
    infect: () => ({
      mutateCloud: (cloud) =>
        onHandler(cloud, (handler) => (message) => void invoke(handler, message).catch(() => undefined)),
    }),
  },
  {
    name: 'send-back-chases',
    bug: 'sending dead letters back goes on with those that fail again meanwhile',
    killedBy: 'settle/send-back-ends',
    infect: () => ({
      mutateCloud: (cloud) =>
        override(cloud, {
          admin: override(cloud.admin, {
            sendBack: async (topic, filter) => {
              const first = await cloud.admin.sendBack(topic, filter)
              let all = first
              const endMs = performance.now() + chaseMs
              while (all < 2 * first && performance.now() < endMs) all += await cloud.admin.sendBack(topic, filter)
              return all
            },
          }),
        }),
    }),
  },
  {
    name: 'checkpoint-last-received',
    bug: 'the last record read is committed, not the last one done',
    killedBy: 'settle/out-of-order-ack-watermark',
    infect: () => ({
      mutate: (driver) =>
        onLog(driver, (source) => {
          const last = new Map<PartitionId, Position>()
          return {
            ...noteLast(source, last),
            commit: (commits, signal) =>
              source.commit(
                commits.map((commit) => ({ ...commit, through: last.get(commit.partition) ?? commit.through })),
                signal,
              ),
          }
        }),
    }),
  },
  {
    name: 'checkpoint-ignores-handler',
    bug: 'progress is committed with every read, whatever the handler makes of it',
    killedBy: 'settle/failed-is-never-passed',
    infect: () => ({ mutate: (driver) => onLog(driver, commitOnRead) }),
  },
  {
    name: 'cross-partition-watermark',
    bug: 'one stuck record keeps every partition from being committed',
    killedBy: 'consume/keys-concurrent',
    infect: () => ({ mutate: (driver) => onLog(driver, oneWatermark) }),
  },
  {
    name: 'commit-after-revoke',
    bug: 'a member that lost a partition can still commit it',
    killedBy: 'group/zombie-is-fenced',
    infect: () => {
      const owners = new Map<PartitionId, { readonly source: () => LogSource | undefined; readonly epoch: number }>()
      return {
        mutate: (driver) => {
          const slot: { source: LogSource | undefined } = { source: undefined }
          return onLog(
            driver,
            (source) => {
              slot.source = source
              return {
                commit: async ([commit, ...rest], signal) => {
                  const owner = commit === undefined ? undefined : owners.get(commit.partition)
                  if (commit === undefined || owner === undefined || rest.length > 0)
                    return source.commit(commit === undefined ? rest : [commit, ...rest], signal)
                  return (owner.source() ?? source).commit([{ ...commit, epoch: owner.epoch }], signal)
                },
              }
            },
            (options) => ({
              ...options,
              events: override(options.events, {
                assigned: (partition, epoch) => {
                  owners.set(partition, { source: () => slot.source, epoch })
                  options.events.assigned(partition, epoch)
                },
              }),
            }),
          )
        },
      }
    },
  },
  {
    name: 'reorder-on-retry',
    bug: 'a failed record is sent again to the end of the topic and done',
    killedBy: 'settle/retry-keeps-key-order',
    infect: () => ({
      mutateCloud: (cloud) =>
        onHandler(cloud, (handler, topic) => async (message) => {
          const again = async (): Promise<void> => {
            const { value, key } = message
            await topic.send({ value, ...(key === undefined ? {} : { key }) })
            message.ack()
          }
          await invoke(handler, withVerbs(message, { retry: () => void again() })).catch(again)
        }),
    }),
  },
  {
    name: 'delay-ignored',
    bug: 'a retry comes at once, whatever delay was asked for',
    killedBy: 'settle/retry-delay-honoured',
    infect: () => ({
      mutateCloud: (cloud) =>
        onHandler(
          cloud,
          (handler) => (message) => handler(withVerbs(message, { retry: () => message.retry({ delayMs: 0 }) })),
        ),
    }),
  },
  {
    name: 'swallow-poison',
    bug: 'bytes that cannot be decoded are passed over in silence',
    killedBy: 'settle/poison-bytes',
    infect: () => ({ mutateCloud: (cloud) => withConsumerOptions(cloud, { onPoison: 'skip' }) }),
  },
  {
    name: 'lose-batch-window-on-revoke',
    bug: 'records are done when they enter the window of a batch, and the window is thrown away on close',
    killedBy: 'group/batch-window-across-revoke',
    infect: () => ({ mutateCloud: (cloud) => onConsumer(cloud, ownBatchWindow) }),
  },
]

/** Calls a handler so that what it throws is a rejection too. */
async function invoke(handler: Handler<unknown>, message: Message<unknown>): Promise<unknown> {
  return handler(message)
}

function noteLast(source: LogSource, last: Map<PartitionId, Position>): Pick<LogSource, 'poll'> {
  return {
    poll: async (credit, signal) => {
      const records = await source.poll(credit, signal)
      for (const { partition, position } of records) if (position !== undefined) last.set(partition, position)
      return records
    },
  }
}

function commitOnRead(source: LogSource): Partial<LogSource> {
  return {
    poll: async (credit, signal) => {
      const records = await source.poll(credit, signal)
      const commits = records.flatMap(({ partition, epoch, position }) =>
        position === undefined ? [] : [{ partition, epoch, through: position, ended: false }],
      )
      const last = new Map(commits.map((commit) => [commit.partition, commit]))
      if (last.size > 0) await source.commit([...last.values()], signal)
      return records
    },
    commit: (commits) => Promise.resolve(commits.map(() => ({ ok: true }))),
  }
}

/** Commits reach the backend only when nothing that was read is undone in any partition. */
function oneWatermark(source: LogSource): Partial<LogSource> {
  const last = new Map<PartitionId, Position>()
  const done = new Map<PartitionId, Position | undefined>()
  return {
    ...noteLast(source, last),
    commit: (commits, signal) => {
      for (const commit of commits) done.set(commit.partition, commit.through)
      const undone = [...last].some(([partition, position]) => done.get(partition) !== position)
      return undone ? Promise.resolve(commits.map(() => ({ ok: true as const }))) : source.commit(commits, signal)
    },
  }
}

function ownBatchWindow(consumer: Consumer<unknown>): Partial<Consumer<unknown>> {
  let window: Message<unknown>[] = []
  let timer: NodeJS.Timeout | undefined
  const run = (
    handler: BatchHandler<unknown> & Handler<unknown>,
    options: RunOptions & { readonly batch?: BatchOptions } = {},
  ): Promise<void> => {
    const { batch, ...rest } = options
    if (batch === undefined) return consumer.run(handler, rest)
    const flush = (): void => {
      clearTimeout(timer)
      timer = undefined
      if (window.length > 0) void handler(window as never)
      window = []
    }
    return consumer.run((message) => {
      window.push(message)
      if (window.length >= batch.max) flush()
      else timer ??= setTimeout(flush, batch.waitMs ?? 0)
    }, rest)
  }
  return {
    run,
    close: (options) => {
      clearTimeout(timer)
      return consumer.close(options)
    },
  }
}
