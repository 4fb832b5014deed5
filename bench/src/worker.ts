import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { nameOf } from './cell.ts'
import type { Answers, Task } from './child.ts'
import { nextMessage } from './next-message.ts'

/** One way on one cell in a process of its own: its memory, what of it has grown old, and its compiled code are its own too. */
export class Worker implements Disposable {
  readonly #child: ChildProcess
  readonly #name: string

  /**
   * V8 collects the whole heap of a process that has become quiet, which one that waits for its turn does every 8 seconds, and
   * marks it with as many threads as there are cores for 20 ms of the turn that follows: `--no-memory-reducer`.
   */
  constructor(task: Task, v8: readonly string[] = []) {
    const execArgv = [
      '--conditions=@sluice/source',
      '--disable-warning=ExperimentalWarning',
      '--no-memory-reducer',
      ...v8,
    ]
    this.#child = fork(new URL('child.ts', import.meta.url), [JSON.stringify(task)], { execArgv })
    this.#name = `${task.way} on ${nameOf(task.cell)}`
  }

  /** Has it do something, and resolves with what came of it. One thing at a time. */
  ask<What extends keyof Answers>(what: What): Promise<Answers[What]> {
    const answer = nextMessage<Answers[What]>(this.#child, this.#name)
    this.#child.send(what)
    return answer
  }

  [Symbol.dispose](): void {
    this.#child.kill('SIGKILL')
  }
}
