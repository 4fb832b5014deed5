import { parseStart, text } from '../arguments.ts'
import type { CommandContext, Register } from '../command-context.ts'

/** `sluice groups` */
export const registerGroups: Register = (program, act) => {
  const groups = program.command('groups').description('look after consumer groups')
  groups
    .command('list <topic>')
    .description('groups with progress or members')
    .action(
      act((context, [topic = '']) =>
        context.withCloud(async (cloud) => {
          for (const group of await cloud.admin.listGroups(topic)) context.output.result({ topic, group }, group)
        }),
      ),
    )
  groups
    .command('lag <topic> [group]')
    .description('how far groups are behind, partition by partition')
    .action(
      act((context, [topic = '', group]) =>
        context.withCloud(async (cloud) => {
          const names = group === undefined ? await cloud.admin.listGroups(topic) : [group]
          const rows = await Promise.all(
            names.map(async (name) => (await cloud.admin.lag(topic, name)).map((lag) => ({ group: name, ...lag }))),
          )
          context.output.table(rows.flat(), ['group', 'partition', 'messages', 'ageMs', 'committed', 'owner'])
        }),
      ),
    )
  groups
    .command('seek <topic> <group> <start>')
    .description('move a group to earliest, latest, a time or <partition>:<position>; other groups stay')
    .action(act((context, [topic = '', group = '', start = '']) => seek(context, topic, group, start)))
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

function seek(context: CommandContext, topic: string, group: string, to: string): Promise<void> {
  const start = parseStart(to)
  return context.withCloud(async (cloud) => {
    await cloud.admin.seek(topic, group, start)
    context.output.result({ topic, group, to }, `${group} on ${topic} starts from ${to}`)
  })
}
