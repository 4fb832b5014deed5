import type { Worker } from '@sluice/core'
import type { Part, PartProgress } from './part.ts'
import type { FunctionPlan } from './pipeline.ts'

/** Runs a function between its topics. */
export class FunctionPart implements Part {
  readonly kind = 'function'
  readonly name: string
  readonly reads: { readonly topic: string; readonly group: string }
  readonly #worker: Worker

  constructor(plan: FunctionPlan, worker: Worker) {
    this.name = plan.name
    this.reads = { topic: plan.from, group: plan.group }
    this.#worker = worker
  }

  run(): Promise<void> {
    return this.#worker.run()
  }

  close(): Promise<void> {
    return this.#worker.close()
  }

  progress(): Omit<PartProgress, 'state'> {
    const stats = this.#worker.stats()
    return {
      kind: this.kind,
      name: this.name,
      received: stats.acked + stats.skipped + stats.expired,
      produced: stats.produced,
      retried: stats.retried,
      deadLettered: stats.deadLettered,
      inHand: stats.bufferedRecords,
    }
  }
}
