import type { Cloud } from '@sluice/core'
import { didYouMean, StreamError } from '@sluice/driver'
import type { PartitionId, PartitionLag } from '@sluice/driver'
import { parseStart, text } from '../arguments.ts'
import type { CommandContext, Register } from '../command-context.ts'
import { UsageError } from '../failure.ts'
import { noteLeftOut } from '../left-out.ts'

/** `sluice groups` */
export const registerGroups: Register = (program, act) => {
  const groups = program.command('groups').description('look after consumer groups')
  for (const register of [list, lag, move, replay, remove]) register(groups, act)
}

const list: Register = (groups, act) => {
  groups
    .command('list <topic>')
    .description('groups with progress or members')
    .action(
      act((context, [topic = '']) =>
        context.withCloud(async (cloud) => {
          const known = await cloud.admin.listGroups(topic)
          for (const group of known) context.output.result({ topic, group }, group)
          if (known.length === 0) context.output.note(noGroups(topic))
        }),
      ),
    )
}

const lag: Register = (groups, act) => {
  groups
    .command('lag <topic> [group]')
    .description('how far groups are behind, partition by partition')
    .option('--all', 'also partitions that have ended and of which a group has nothing left to read')
    .action(
      act((context, [topic = '', group], options) =>
        context.withCloud(async (cloud) => {
          const known = await cloud.admin.listGroups(topic)
          if (group !== undefined) refuseUnknown(topic, group, known)
          else if (known.length === 0) context.output.note(noGroups(topic))
          const names = group === undefined ? known : [group]
          const lags = await Promise.all(
            names.map(async (name) => (await cloud.admin.lag(topic, name)).map((lag) => ({ group: name, ...lag }))),
          )
          const { output } = context
          const ended = output.json || options['all'] === true ? new Set() : await endedOf(cloud, topic)
          const rows = lags.flat()
          const shown = new Set(rows.filter((lag) => isBehind(lag) || !ended.has(lag.partition)))
          output.table([...shown], ['group', 'partition', 'messages', 'ageMs', 'committed', 'owner'])
          noteLeftOut(output, new Set(rows.filter((lag) => !shown.has(lag)).map(({ partition }) => partition)).size)
        }),
      ),
    )
}

function isBehind({ ageMs = 0, messages = 0 }: PartitionLag): boolean {
  return messages > 0 || ageMs > 0
}

/** The partitions that have ended; none where the backend does not tell, or not this user. */
async function endedOf(cloud: Cloud, topic: string): Promise<ReadonlySet<PartitionId>> {
  if (!cloud.capabilities.admin.includes('describe')) return new Set()
  try {
    const { partitions } = await cloud.admin.describeTopic(topic)
    return new Set(partitions.filter(({ state }) => state === 'ended').map(({ id }) => id))
  } catch (error) {
    if (StreamError.is(error, 'permission-denied')) return new Set()
    throw error
  }
}

const move: Register = (groups, act) => {
  groups
    .command('seek <topic> <group> <start>')
    .description('move a group to earliest, latest, a time or <partition>:<position>; other groups and partitions stay')
    .option('--create', 'make the group when it does not exist; partitions that are not named begin at their earliest')
    .action(
      act((context, [topic = '', group = '', start = ''], options) =>
        seek(context, topic, group, start, options['create'] === true),
      ),
    )
}

const replay: Register = (groups, act) => {
  groups
    .command('replay <topic> <group>')
    .description('have a group read everything again, or everything since a time')
    .option('--since <time>', 'such as 2026-01-31T12:00:00Z; default: everything that is stored')
    .action(
      act((context, [topic = '', group = ''], options) =>
        seek(context, topic, group, text(options, 'since') ?? 'earliest'),
      ),
    )
}

const remove: Register = (groups, act) => {
  groups
    .command('delete <topic> <group>')
    .description('forget the progress of a group, which must have no members that run')
    .option('--yes', 'really')
    .action(
      act((context, [topic = '', group = ''], options) => {
        if (options['yes'] !== true)
          throw new UsageError(`deleting "${group}" forgets how far it has read; say --yes if you mean it`)
        return context.withCloud(async (cloud) => {
          refuseUnknown(topic, group, await cloud.admin.listGroups(topic))
          await cloud.admin.deleteGroup(topic, group)
          context.output.result({ topic, group, outcome: 'deleted' }, `${group} on ${topic}: deleted`)
        })
      }),
    )
}

function seek(context: CommandContext, topic: string, group: string, to: string, create = false): Promise<void> {
  const start = parseStart(to)
  return context.withCloud(async (cloud) => {
    if (!create) refuseUnknown(topic, group, await cloud.admin.listGroups(topic))
    await cloud.admin.seek(topic, group, start)
    context.output.result({ topic, group, to }, `${group} on ${topic} starts from ${to}`)
  })
}

function noGroups(topic: string): string {
  return `no groups of topic "${topic}"`
}

/** On the command line a mistyped name is likelier than a new group. */
function refuseUnknown(topic: string, group: string, known: readonly string[]): void {
  if (known.includes(group)) return
  const some = known.length === 0 ? 'it has no groups yet' : `see \`sluice groups list ${topic}\``
  const help = didYouMean(group, known, some)
  throw new StreamError('not-found', `there is no group "${group}" on topic "${topic}"; ${help}`, {
    details: { topic, group },
  })
}
