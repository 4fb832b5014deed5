import { styleText } from 'node:util'

/** What the command needs of the process it runs in. */
export interface Host {
  readonly env: Readonly<Record<string, string | undefined>>
  /** What the process was started with, before the arguments: Node, its options, the script. */
  readonly command: readonly string[]
  readonly stdin: NodeJS.ReadStream
  readonly stdout: NodeJS.WriteStream
  readonly stderr: NodeJS.WriteStream
  /** Calls `listener` at each Ctrl-C, SIGTERM, or end of the terminal. Returns what takes the listener away. */
  onInterrupt(listener: () => void): () => void
  /** Ends the process at once. */
  exit(code: number): never
}

const interrupts = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** This process. */
export function processHost(): Host {
  return {
    env: process.env,
    command: [process.execPath, ...process.execArgv, ...process.argv.slice(1, 2)],
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    onInterrupt(listener) {
      for (const signal of interrupts) process.on(signal, listener)
      return () => {
        for (const signal of interrupts) process.off(signal, listener)
      }
    },
    exit: (code) => process.exit(code),
  }
}

/** Text in a colour where the stream shows colours, else as it is. */
export function paint(
  stream: NodeJS.WriteStream,
  style: 'red' | 'green' | 'yellow' | 'dim' | 'bold' | 'cyan',
  text: string,
): string {
  return styleText(style, text, { stream })
}
