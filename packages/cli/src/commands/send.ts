import { open } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import type { Cloud, OutgoingMessage, Receipt, Topic } from '@sluice/core'
import { collect, parseHeaders, text } from '../arguments.ts'
import type { CommandContext, Register } from '../command-context.ts'
import { UsageError } from '../failure.ts'
import { RateLine } from '../rate-line.ts'

/** Sends under way before the next line is read. */
const maxPending = 1_000

interface SendPlan {
  readonly key: string | undefined
  readonly keyFrom: string | undefined
  readonly headers: Record<string, string>
  readonly asText: boolean
}

/** `sluice send` */
export const registerSend: Register = (program, act) => {
  program
    .command('send <topic> [value]')
    .description('send one value, or one per line of a file or of stdin; JSON where it parses, else text')
    .option('-k, --key <key>', 'key of every message')
    .option('--key-from <field>', "take each message's key from this field of its value")
    .option('-H, --header <name=value>', 'a header; may be repeated', collect, [])
    .option('-f, --file <path>', 'newline-delimited JSON to send')
    .option('--stdin', 'the same from stdin')
    .option('--create', 'make the topic when it does not exist')
    .option('--text', 'values are text, even where they would parse as JSON')
    .action(
      act(async (context, [topic = '', value], options) => {
        const inputs = [value !== undefined, text(options, 'file') !== undefined, options['stdin'] === true]
        if (inputs.filter(Boolean).length !== 1)
          throw new UsageError('give a value, or --file, or --stdin: one of the three')
        const plan: SendPlan = {
          key: text(options, 'key'),
          keyFrom: text(options, 'keyFrom'),
          headers: parseHeaders(options['header'] as string[]),
          asText: options['text'] === true,
        }
        const file = text(options, 'file')
        // Before connecting, which may make things: a file that is not there is a mistake.
        await using handle = file === undefined ? undefined : await open(file)
        await context.withCloud(
          async (cloud, signal) => {
            if (value !== undefined) return sendOne(context, cloud, topic, toMessage(value, plan, 1))
            const input = handle?.createReadStream() ?? context.host.stdin
            const lines = createInterface({ input, crlfDelay: Infinity })
            await sendLines(context, cloud.topic(topic), lines, plan, signal)
          },
          { create: options['create'] === true },
        )
      }),
    )
}

async function sendOne(
  context: CommandContext,
  cloud: Cloud,
  topic: string,
  message: OutgoingMessage<unknown>,
): Promise<void> {
  const receipt = await cloud.topic(topic).send(message)
  context.output.result({ topic, ...receipt }, `sent ${receipt.id}${placeOf(receipt)}`)
}

async function sendLines(
  context: CommandContext,
  topic: Topic<unknown>,
  lines: AsyncIterable<string>,
  plan: SendPlan,
  signal: AbortSignal,
): Promise<void> {
  const pending = new Set<Promise<void>>()
  const rate = new RateLine(context.host.stderr, {
    verb: `sent to ${topic.name}`,
    quiet: context.output.quiet || context.output.json,
  })
  let [lineNumber, sent] = [0, 0]
  let failure: { readonly error: unknown } | undefined
  try {
    for await (const line of lines) {
      lineNumber++
      if (signal.aborted || failure !== undefined) break
      if (line.trim() === '') continue
      const tracked: Promise<void> = topic
        .send(toMessage(line, plan, lineNumber))
        .then(
          () => rate.count(++sent),
          (error: unknown) => void (failure ??= { error }),
        )
        .finally(() => pending.delete(tracked))
      pending.add(tracked)
      if (pending.size >= maxPending) await Promise.race(pending)
    }
  } finally {
    await Promise.all(pending)
    rate.stop()
  }
  context.output.result({ topic: topic.name, sent }, `sent ${sent} messages to ${topic.name}`)
  if (failure !== undefined) throw failure.error
}

function toMessage(line: string, plan: SendPlan, lineNumber: number): OutgoingMessage<unknown> {
  const value = plan.asText ? line : parseValue(line)
  const key = plan.keyFrom === undefined ? plan.key : keyOf(value, plan.keyFrom, lineNumber)
  return { value, headers: plan.headers, ...(key === undefined ? {} : { key }) }
}

function parseValue(line: string): unknown {
  try {
    return JSON.parse(line) as unknown
  } catch {
    return line
  }
}

function keyOf(value: unknown, field: string, lineNumber: number): string {
  const key = typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[field] : undefined
  if (typeof key === 'string' || typeof key === 'number') return String(key)
  throw new UsageError(`the value of line ${lineNumber} has no text or number "${field}" to take its key from`)
}

function placeOf(receipt: Receipt): string {
  if (receipt.partition === undefined) return ''
  return ` to ${receipt.partition}${receipt.position === undefined ? '' : `:${receipt.position}`}`
}
