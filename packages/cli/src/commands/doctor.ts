import { existsSync } from 'node:fs'
import type { Cloud } from '@sluice/core'
import type { Finding, Pipeline } from '@sluice/runtime'
import { text } from '../arguments.ts'
import type { CommandContext, Register } from '../command-context.ts'
import { exitCodes, UsageError } from '../failure.ts'

/** `sluice doctor` */
export const registerDoctor: Register = (program, act) => {
  program
    .command('doctor [folder]')
    .description('reach the backend, tell what it can, and what the pipeline of a folder needs that it cannot')
    .action(
      act(async (context, [folder]) => {
        const { chooseBackend, findMissing } = await import('@sluice/runtime')
        const pipeline = await pipelineOf(folder)
        const { address } = chooseBackend({ ...context.namedBackend, ...(pipeline === undefined ? {} : { pipeline }) })
        await reach(context, address, async (cloud, signal, tookMs) => {
          tellBackend(context, cloud, tookMs)
          await cloud.check(signal)
          if (pipeline === undefined) context.output.note('no sluice.yaml here; give a folder to check a pipeline')
          else
            tellFindings(context, findMissing(pipeline, cloud), `${pipeline.file}: the backend has everything it needs`)
        })
      }),
    )
}

/** `sluice plan` */
export const registerPlan: Register = (program, act) => {
  program
    .command('plan [folder]')
    .description('before a move: what changes for the pipeline of a folder on another backend')
    .option('--to <address>', 'where to')
    .action(
      act(async (context, [folder = '.'], options) => {
        const to = text(options, 'to')
        if (to === undefined) throw new UsageError('say where to: --to nats://localhost:4222')
        const { chooseBackend, findDifferences, loadPipeline } = await import('@sluice/runtime')
        const pipeline = await loadPipeline(folder)
        const { address } = chooseBackend({ ...context.namedBackend, pipeline })
        await reach(context, address, async (from) => {
          await reach(context, to, (there) => {
            context.output.note(`${pipeline.file}: from ${from.address} to ${there.address} (${there.server})`)
            tellFindings(context, findDifferences(pipeline, from, there), 'nothing changes for it')
          })
        })
      }),
    )
}

/** Opens a backend only to look at it: nothing is made. */
async function reach(
  context: CommandContext,
  address: string,
  look: (cloud: Cloud, signal: AbortSignal, tookMs: number) => void | Promise<void>,
): Promise<void> {
  const { connect } = await import('@sluice/core')
  context.backend = address
  await context.interruptible(async (signal) => {
    const started = performance.now()
    await using cloud = await connect(address, { signal, create: false })
    await look(cloud, signal, performance.now() - started)
  })
}

async function pipelineOf(folder: string | undefined): Promise<Pipeline | undefined> {
  const { loadPipeline, pipelineFileName } = await import('@sluice/runtime')
  return folder === undefined && !existsSync(pipelineFileName) ? undefined : loadPipeline(folder ?? '.')
}

function tellBackend({ output }: CommandContext, cloud: Cloud, tookMs: number): void {
  const { address, capabilities, limits, server } = cloud
  const ms = Math.round(tookMs)
  if (output.json) return output.result({ kind: 'backend', address, server, tookMs: ms, capabilities, limits }, '')
  output.result({}, `${address}: ${server}, answered in ${ms} ms`)
  const rows = [...Object.entries(capabilities), ...Object.entries(limits)]
  output.table(
    rows.map(([name, value]) => ({ name, value: show(value) })),
    ['name', 'value'],
  )
}

function tellFindings(context: CommandContext, findings: readonly Finding[], none: string): void {
  const { output } = context
  if (findings.some(({ kind }) => kind === 'missing')) context.exitCode = exitCodes.failure
  if (findings.length === 0) output.note(none)
  if (output.json) return output.table(findings, ['kind', 'about', 'what', 'help'])
  for (const finding of findings) {
    const { about, help, kind, what } = finding
    output.result(finding, `${kind}: ${about === 'all' ? '' : `${about}: `}${what}; ${help}`)
  }
}

function show(value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? 'none' : value.join(', ')
  if (typeof value === 'boolean') return value ? 'yes' : 'no'
  if (typeof value !== 'object' || value === null) return String(value)
  return Object.entries(value)
    .map(([name, inner]) => `${name} ${show(inner)}`)
    .join(', ')
}
