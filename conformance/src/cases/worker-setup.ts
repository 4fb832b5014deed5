import { defineFunction } from '@sluice/core'
import type { Cloud, FunctionOutput, Message, Worker, WorkerOptions } from '@sluice/core'
import { json } from '../codecs.ts'
import type { CaseContext } from '../context.ts'
import { that } from '../expect.ts'
import { bench, drain } from '../setup.ts'
import type { Bench } from '../setup.ts'

/** A worker that runs. */
export interface Made {
  readonly worker: Worker
  readonly running: Promise<void>
  stop(): Promise<void>
}

/** What a function of a case does. */
export type Handle = (message: Message<number>) => FunctionOutput<unknown> | Promise<FunctionOutput<unknown>>

/** Starts a worker with small times. */
export function start(context: CaseContext, cloud: Cloud, handle: Handle, options: WorkerOptions): Made {
  const worker = cloud.worker(defineFunction<number, unknown>({ name: context.name('f'), handle }), {
    retry: { baseMs: 5, maxMs: 30 },
    commitIntervalMs: 10,
    ...options,
  })
  const running = worker.run()
  void running.catch(() => undefined)
  return {
    worker,
    running,
    stop: async () => {
      await worker.close()
      await running
    },
  }
}

/** A topic of numbers, and one for the outputs. */
export async function benchTo(context: CaseContext): Promise<Bench & { readonly to: string }> {
  const made = await bench(context)
  return { ...made, to: await context.createTopic(made.cloud) }
}

/** Waits until so many messages are settled, and for extras. */
export async function settled(context: CaseContext, made: Made, count: number): Promise<void> {
  await context.eventually(() => {
    const { acked, skipped, deadLettered } = made.worker.stats()
    that(acked + skipped + deadLettered >= count, `${acked + skipped + deadLettered} of ${count} messages are settled`)
  })
  await context.settleWindow()
}

/** What stands in the output topic. */
export async function outputs(
  context: CaseContext,
  cloud: Cloud,
  to: string,
  expected: number,
): Promise<readonly { readonly value: unknown; readonly key: string | undefined; readonly id: string }[]> {
  return (await drain(context, cloud.topic(to, { codec: json<unknown>() }), expected)).deliveries
}
