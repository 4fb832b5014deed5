import type { ChildProcess } from 'node:child_process'

/** The next thing that a process tells. Rejects when it ends instead; `who` is for the message. */
export function nextMessage<T>(child: ChildProcess, who: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const onExit = (code: number | null): void => reject(new Error(`${who} ended with ${code}`))
    child.once('exit', onExit)
    child.once('message', (told) => {
      child.off('exit', onExit)
      resolve(told as T)
    })
  })
}
