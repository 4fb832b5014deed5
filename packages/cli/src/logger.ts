import type { Logger } from '@sluice/driver'
import { paint } from './host.ts'

const levels = ['debug', 'info', 'warn', 'error'] as const
type Level = (typeof levels)[number]

/** Writes log lines of a level and above: readable, or as JSON. */
export function collectLogger(
  stream: NodeJS.WriteStream,
  options: { readonly json: boolean; readonly level: Level },
): Logger {
  const least = levels.indexOf(options.level)
  // A progress line may stand there.
  const clear = stream.isTTY && !options.json ? '\r\u001B[K' : ''
  const write =
    (level: Level) =>
    (fields: object, message: string): void => {
      if (levels.indexOf(level) < least) return
      if (options.json) stream.write(`${JSON.stringify({ level, message, ...fields })}\n`)
      else
        stream.write(
          `${clear}${paint(stream, colours[level], level.padEnd(5))} ${message}${paint(stream, 'dim', facts(fields))}\n`,
        )
    }
  return { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') }
}

const colours = { debug: 'dim', info: 'cyan', warn: 'yellow', error: 'red' } as const

function facts(fields: object): string {
  const pairs = Object.entries(fields).map(([name, value]) => `${name}=${fact(value)}`)
  return pairs.length === 0 ? '' : `  ${pairs.join(' ')}`
}

function fact(value: unknown): string {
  if (value instanceof Error) return value.message
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? 'undefined')
}
