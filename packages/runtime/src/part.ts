/** What the pipeline is made of while it runs. */
export type PartKind = 'source' | 'function' | 'sink' | 'client'

/** How one part of a running pipeline is doing. Counters only grow. */
export interface PartProgress {
  readonly kind: PartKind
  readonly name: string
  readonly state: 'running' | 'done' | 'failed'
  /** Messages it has taken out of its topic and settled. */
  readonly received: number
  /** Messages it has brought into its topic. */
  readonly produced: number
  readonly retried: number
  readonly deadLettered: number
  /** Messages in its hands now. */
  readonly inHand: number
}

/** One running part of a pipeline. */
export interface Part {
  readonly kind: PartKind
  readonly name: string
  /** What it reads, for knowing when it has caught up. `undefined`: it reads no topic. */
  readonly reads: { readonly topic: string; readonly group: string } | undefined
  /** Resolves when it has ended, by itself or by `close`. Rejects with what ended it. */
  run(): Promise<void>
  /** Drains. Idempotent. `run` resolves by then. */
  close(): Promise<void>
  progress(): Omit<PartProgress, 'state'>
}
