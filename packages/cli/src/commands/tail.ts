import type { ReadMessage, Start } from '@sluice/core'
import { parseCount, parseStart, text } from '../arguments.ts'
import type { Register } from '../command-context.ts'
import { messageData, messageLine, rawCodec } from '../show-message.ts'

/** `sluice tail` */
export const registerTail: Register = (program, act) => {
  program
    .command('tail <topic>')
    .description('show messages, without a group and without settling them')
    .option('--from <start>', 'earliest, latest, a time, or <partition>:<position>; default: earliest, with -f latest')
    .option('-f, --follow', 'wait for new messages')
    .option('-n, --limit <count>', 'end after so many messages')
    .action(
      act(async (context, [name = ''], options) => {
        const follow = options['follow'] === true
        const from = parseStart(text(options, 'from') ?? (follow ? 'latest' : 'earliest'))
        const limit = parseCount(text(options, 'limit') ?? `${Number.MAX_SAFE_INTEGER}`, '--limit')
        await context.withCloud(async (cloud, signal) => {
          let shown = 0
          const topic = cloud.topic(name, { codec: rawCodec, create: false })
          for await (const message of topic.read({ from, follow, signal })) {
            if (signal.aborted) break
            if (!isWanted(message, from)) continue
            context.output.result(messageData(message), messageLine(message))
            if (++shown >= limit) break
          }
        })
      }),
    )
}

/** Somebody who names a partition wants to see that partition. */
function isWanted(message: ReadMessage<unknown>, from: Start): boolean {
  return typeof from === 'string' || from instanceof Date || message.partition in from.positions
}
