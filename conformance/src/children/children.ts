import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { CaseContext } from '../context.ts'
import { addressOf } from '../open.ts'
import type { Instruction, Line } from './protocol.ts'

/** A process of its own that works on the backend, and what it has told so far. */
export interface Child {
  readonly process: ChildProcess
  /** Everything it wrote, oldest first. */
  readonly lines: readonly Line[]
  /** What it wrote to standard error: the reason when it died by itself. */
  errors(): string
  /** SIGKILL, and waits until it is gone. */
  kill(): Promise<void>
  /** SIGSTOP: alive, and doing nothing. */
  freeze(): void
  /** SIGCONT. */
  thaw(): void
  /** Asks it to close in good order, and waits. */
  stop(): Promise<void>
}

/** Starts children for a case; the case's end kills what is left. */
export class Children {
  readonly #context: CaseContext

  constructor(context: CaseContext) {
    this.#context = context
  }

  /** Sends numbers from `first` on, as fast as it can, and tells of each receipt. */
  async sender(topic: string, options: { readonly keys: number; readonly first: number }): Promise<Child> {
    return this.#start({ role: 'send', address: await this.#address(), topic, ...options })
  }

  /** Reads as a member of a group and tells of each delivery, before it acknowledges. */
  async member(
    topic: string,
    group: string,
    options: { readonly member: string; readonly handlerMs?: number; readonly holdFrom?: number },
  ): Promise<Child> {
    return this.#start({ role: 'read', address: await this.#address(), topic, group, ...options })
  }

  async #address(): Promise<string> {
    return addressOf(this.#context.world.harness)
  }

  async #start(instruction: Instruction): Promise<Child> {
    const child = startChild(instruction)
    this.#context.defer(() => child.kill())
    await this.#context.eventually(() => {
      if (child.lines.length === 0) throw new Error(`the child has not started: ${child.errors()}`)
    })
    return child
  }
}

/** Starts a child process; it ends itself when this one is gone. */
export function startChild(instruction: Instruction): Child {
  const source = import.meta.url.endsWith('.ts')
  const program = fileURLToPath(new URL(source ? './program.ts' : './program.js', import.meta.url))
  const flags = source ? ['--conditions=@sluice/source', '--disable-warning=ExperimentalWarning'] : []
  const child = spawn(process.execPath, [...flags, program, JSON.stringify(instruction)], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, NODE_OPTIONS: '' },
  })
  const lines: Line[] = []
  const errors: string[] = []
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  createInterface({ input: child.stdout }).on('line', (line) => {
    const parsed = parseLine(line)
    if (parsed !== undefined) lines.push(parsed)
  })
  child.stderr.on('data', (data: Buffer) => void errors.push(data.toString()))
  child.stdin.on('error', () => undefined)
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal)
    await gone
  }
  return {
    process: child,
    lines,
    errors: () => errors.join(''),
    kill: () => end('SIGKILL'),
    freeze: () => void child.kill('SIGSTOP'),
    thaw: () => void child.kill('SIGCONT'),
    stop: async () => {
      child.stdin.write('stop\n')
      await gone
    },
  }
}

/** A line of JSON; the last one of a killed process may be cut off. */
function parseLine(line: string): Line | undefined {
  try {
    return JSON.parse(line) as Line
  } catch {
    return undefined
  }
}
