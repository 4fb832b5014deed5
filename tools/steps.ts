import { spawn } from 'node:child_process'
import { root } from './workspace.ts'

/** Something that can go right or wrong, and what it has to say. */
export interface Step {
  readonly name: string
  /** Rejects when it went wrong. What it resolves with is printed beside its name. */
  readonly run: () => Promise<string | void>
}

/** Runs each step, says how it went, and ends with `N passed, N failed`. Resolves with the exit code. */
export async function runSteps(steps: readonly Step[]): Promise<number> {
  let failed = 0
  for (const step of steps) {
    const started = performance.now()
    const [mark, said] = await step.run().then(
      (text) => ['ok  ', text ?? ''] as const,
      (error: unknown) => ['FAIL', error instanceof Error ? error.message : String(error)] as const,
    )
    if (mark === 'FAIL') failed++
    const seconds = ((performance.now() - started) / 1_000).toFixed(1)
    console.log(`${mark}  ${step.name}  (${seconds} s)${said === '' ? '' : `  ${said}`}`)
  }
  console.log(`${steps.length - failed} passed, ${failed} failed`)
  return failed === 0 ? 0 : 1
}

/** Runs a command and resolves with its stdout. Rejects with all it printed when it fails. */
export function command(program: string, args: readonly string[], cwd: string = root): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] })
    let [stdout, stderr] = ['', '']
    child.stdout.on('data', (data: Buffer) => (stdout += data.toString()))
    child.stderr.on('data', (data: Buffer) => (stderr += data.toString()))
    child.once('error', reject)
    child.once('close', (code) => {
      if (code === 0) return resolve(stdout)
      reject(new Error(`${program} ${args.join(' ')} ended with ${code}\n${stdout}${stderr}`.trimEnd()))
    })
  })
}
