import type { Cloud, DeadLetter } from '@sluice/core'
import { StreamError } from '@sluice/driver'
import type { CommandContext, Register } from '../command-context.ts'
import { UsageError } from '../failure.ts'
import { bodyLine, showBody } from '../show-message.ts'

/** `sluice dead-letters` */
export const registerDeadLetters: Register = (program, act) => {
  const letters = program.command('dead-letters').description('look at what could not be handled, and send it back')
  letters
    .command('list <topic>')
    .description('dead letters of a topic, oldest first; give the topic itself or its dead-letter topic')
    .action(act((context, [topic = '']) => context.withCloud((cloud) => list(context, cloud, topic))))
  letters
    .command('show <topic> <id>')
    .description('one dead letter with its body, headers, origin and reason')
    .action(act((context, [topic = '', id = '']) => context.withCloud((cloud) => show(context, cloud, topic, id))))
  letters
    .command('send-back <topic> [ids...]')
    .description('send dead letters back to the group that gave up on them')
    .option('--all', 'all of them')
    .action(
      act((context, [topic = '', ...ids], options) => {
        const all = options['all'] === true
        if (all === ids.length > 0) throw new UsageError('name the ids to send back, or --all')
        return context.withCloud(async (cloud) => {
          const from = await deadLetterTopic(cloud, topic)
          const sent = await cloud.admin.sendBack(from, all ? undefined : (letter) => ids.includes(letter.id))
          context.output.result({ topic: from, sent }, `sent back ${sent} of ${from}`)
        })
      }),
    )
}

async function list(context: CommandContext, cloud: Cloud, topic: string): Promise<void> {
  const rows: object[] = []
  for await (const letter of cloud.admin.deadLetters(await deadLetterTopic(cloud, topic))) rows.push(summary(letter))
  context.output.table(rows as Summary[], ['id', 'time', 'origin', 'group', 'attempts', 'code', 'reason'])
  if (rows.length === 0) context.output.note('no dead letters')
}

async function show(context: CommandContext, cloud: Cloud, topic: string, id: string): Promise<void> {
  const from = await deadLetterTopic(cloud, topic)
  for await (const letter of cloud.admin.deadLetters(from)) {
    if (letter.id !== id) continue
    const data = { ...letter, body: showBody(letter.body) }
    return context.output.result(data, details(letter))
  }
  throw new StreamError(
    'not-found',
    `there is no dead letter ${id} in ${from}; see \`sluice dead-letters list ${topic}\``,
  )
}

/** People name the topic they know; its dead letters are beside it. */
async function deadLetterTopic(cloud: Cloud, topic: string): Promise<string> {
  const beside = `${topic}.dead-letters`
  if (topic.endsWith('.dead-letters') || !cloud.capabilities.admin.includes('list')) return topic
  return (await cloud.admin.listTopics()).includes(beside) ? beside : topic
}

interface Summary {
  readonly id: string
  readonly time: string
  readonly origin: string
  readonly group: string
  readonly attempts: number
  readonly code: string | undefined
  readonly reason: string
}

function summary(letter: DeadLetter): Summary {
  const { topic, partition, position, group } = letter.origin
  const origin = `${topic}/${partition}${position === undefined ? '' : `:${position}`}`
  const { id, attempts, errorCode: code, reason } = letter
  return { id, time: letter.time.toISOString(), origin, group, attempts, code, reason }
}

function details(letter: DeadLetter): string {
  const { id, time, origin, group, attempts, code, reason } = summary(letter)
  const headers = Object.entries(letter.headers).map(([name, value]) => `  ${name}: ${value}`)
  return [
    `id        ${id}`,
    `time      ${time}`,
    `origin    ${origin}`,
    `group     ${group}`,
    `attempts  ${attempts}`,
    `error     ${code ?? '-'}: ${reason}`,
    `key       ${letter.key ?? '-'}`,
    'headers',
    ...headers,
    'body',
    `  ${bodyLine(letter.body)}`,
  ].join('\n')
}
