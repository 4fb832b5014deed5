import { connect } from '@sluice/core'
import type { Cloud, ConnectOptions } from '@sluice/core'
import { silentLogger, StreamError, systemClock } from '@sluice/driver'
import type { Clock, Logger } from '@sluice/driver'
import { chooseBackend } from './backend.ts'
import { checkRunnable } from './check-runnable.ts'
import { FunctionPart } from './function-part.ts'
import { untilIdle } from './idle.ts'
import { loadModules } from './load-modules.ts'
import type { LoadedModules } from './load-modules.ts'
import type { Part, PartProgress } from './part.ts'
import type { Pipeline } from './pipeline.ts'
import { SinkPart } from './sink-part.ts'
import { SourcePart } from './source-part.ts'
import { Supervisor } from './supervisor.ts'

/** How a pipeline is run. */
export interface RunPipelineOptions {
  /** Default: the file's, else `local:./data`. */
  readonly backend?: string
  /** Default: nothing is logged. */
  readonly logger?: Logger
  readonly clock?: Clock
  /** Drains and resolves when it aborts. */
  readonly signal?: AbortSignal
  /**
   * Drains and resolves once every source has ended and everything was handled. Refused for functions that go round in a
   * circle. Default false: runs until aborted.
   */
  readonly untilIdle?: boolean
  /** Called every `progressMs`, and once at the end. Must not throw. */
  readonly onProgress?: (progress: readonly PartProgress[]) => void
  /** Default 250. */
  readonly progressMs?: number
  /** Passed on to `connect`: adapters, bindings, a driver of your own. */
  readonly connect?: ConnectOptions
}

/**
 * Runs a pipeline: imports its modules, connects, makes its topics, and starts functions, sinks and sources. Resolves
 * with the last progress after draining. When one part fails for good the others are drained first; then it rejects with
 * that error, which names the part. A pipeline without parts is `invalid-argument`.
 */
export async function runPipeline(
  pipeline: Pipeline,
  options: RunPipelineOptions = {},
): Promise<readonly PartProgress[]> {
  const { clock = systemClock, logger = silentLogger, signal = neverAborts() } = options
  checkRunnable(pipeline, options.untilIdle === true)
  const modules = await loadModules(pipeline)
  const { address } = chooseBackend({ flag: options.backend, pipeline })
  const topics = Object.fromEntries(pipeline.topics.map(({ name, spec }) => [name, spec]))
  await using cloud = await connect(address, { ...options.connect, clock, logger, topics, signal })
  await ensureTopics(cloud, pipeline, logger)
  const parts = makeParts(cloud, pipeline, modules, { clock, logger })
  const supervisor = new Supervisor(parts, logger)
  const report = reporter(supervisor, clock, options)
  try {
    const idle = options.untilIdle === true
    await supervisor.run(signal, (done, stopped) => (idle ? untilIdle(cloud, parts, done, clock, stopped) : undefined))
    return supervisor.progress()
  } finally {
    report.stop()
  }
}

/** Makes the pipeline's topics, and the dead-letter topics of its readers, where the backend lets us. */
async function ensureTopics(cloud: Cloud, pipeline: Pipeline, logger: Logger): Promise<void> {
  if (!cloud.capabilities.admin.includes('create')) return
  for (const { name, spec } of pipeline.topics) {
    const outcome = await cloud.admin.createTopic(name, spec)
    logger.debug({ topic: name, outcome }, 'topic is there')
  }
  for (const name of deadLetterTopics(pipeline)) await cloud.admin.createTopic(name)
}

function deadLetterTopics(pipeline: Pipeline): ReadonlySet<string> {
  const names = new Set<string>()
  for (const { from, reading } of [...pipeline.functions, ...pipeline.sinks]) {
    if (reading.deadLetter !== false) names.add(reading.deadLetter?.topic ?? `${from}.dead-letters`)
  }
  for (const { name } of pipeline.topics) names.delete(name)
  return names
}

interface Ports {
  readonly clock: Clock
  readonly logger: Logger
}

/** In the order in which messages flow: sources, functions from the sources on, sinks. */
function makeParts(cloud: Cloud, pipeline: Pipeline, modules: LoadedModules, ports: Ports): Part[] {
  limitRates(cloud, pipeline)
  const sources = pipeline.sources.map((plan) => {
    const topic = cloud.topic(plan.to)
    return new SourcePart(known(modules.sources, plan.name), topic, contextOf(plan, pipeline, ports), plan.module.use)
  })
  const functions = inFlowOrder(pipeline).map((plan) => {
    const { name, from, to, group, delivery, reading } = plan
    const definition = { ...known(modules.functions, name), name }
    const output = { ...(to === undefined ? {} : { to }), ...(delivery === undefined ? {} : { delivery }) }
    return new FunctionPart(plan, cloud.worker(definition, { ...reading, ...output, from, group }))
  })
  const sinks = pipeline.sinks.map((plan) => {
    const { concurrency: _, ...reading } = plan.reading
    const consumer = cloud.topic(plan.from).consumer({ ...reading, group: plan.group })
    return new SinkPart(plan, consumer, known(modules.sinks, plan.name), contextOf(plan, pipeline, ports))
  })
  return [...sources, ...functions, ...sinks]
}

/** A topic's limit holds for all producers of the connection once one was made with it. */
function limitRates(cloud: Cloud, pipeline: Pipeline): void {
  for (const { name, rateLimit } of pipeline.topics) {
    if (rateLimit !== undefined) cloud.topic(name, { rateLimit }).producer()
  }
}

/** Functions whose input is another function's output come after it. Cycles keep the file's order. */
function inFlowOrder(pipeline: Pipeline): Pipeline['functions'] {
  const waiting = [...pipeline.functions]
  const ordered: Pipeline['functions'][number][] = []
  while (waiting.length > 0) {
    const ready = waiting.findIndex(({ from }) => waiting.every(({ to }) => to !== from))
    ordered.push(...waiting.splice(Math.max(0, ready), 1))
  }
  return ordered
}

function contextOf(
  plan: { readonly name: string; readonly options: Readonly<Record<string, unknown>> },
  pipeline: Pipeline,
  ports: Ports,
): { name: string; options: Readonly<Record<string, unknown>>; folder: string } & Ports {
  return { name: plan.name, options: plan.options, folder: pipeline.folder, ...ports }
}

function known<T>(loaded: ReadonlyMap<string, T>, name: string): T {
  const value = loaded.get(name)
  if (value === undefined) throw new StreamError('internal', `the code of "${name}" was not loaded`)
  return value
}

function reporter(supervisor: Supervisor, clock: Clock, options: RunPipelineOptions): { stop(): void } {
  const { onProgress, progressMs = 250 } = options
  if (onProgress === undefined) return { stop: () => undefined }
  const tick = (): void => {
    onProgress(supervisor.progress())
    timer = clock.after(progressMs, tick, true)
  }
  let timer = clock.after(progressMs, tick, true)
  return {
    stop: () => {
      timer.cancel()
      onProgress(supervisor.progress())
    },
  }
}

function neverAborts(): AbortSignal {
  return new AbortController().signal
}
