import type { RateLimit, Start, WorkerOptions } from '@sluice/core'
import type { TopicSpec } from '@sluice/driver'
import type { Place } from './source-file.ts'

/** What a `sluice.yaml` says, checked and with its defaults resolved. Plain data: nothing is loaded or opened yet. */
export interface Pipeline {
  /** The file it was read from. */
  readonly file: string
  /** The folder that relative paths of the file start from. */
  readonly folder: string
  /** The backend's address, relative folders made absolute. `undefined`: the file names none. */
  readonly backend: string | undefined
  readonly topics: readonly TopicPlan[]
  readonly sources: readonly SourcePlan[]
  readonly functions: readonly FunctionPlan[]
  /** The entries of `sinks` and of `clients`. */
  readonly sinks: readonly SinkPlan[]
}

/** A topic that the pipeline makes if it does not exist. */
export interface TopicPlan {
  readonly name: string
  readonly spec: TopicSpec
  readonly rateLimit: RateLimit | undefined
}

/** Code that an entry uses. */
export interface ModuleReference {
  /** As the file writes it: `./classify.ts`, or a package such as `@sluice/sinks/s3`. */
  readonly use: string
  /** The export to take. `undefined`: the one named as the entry, or the only one that fits. */
  readonly exportName: string | undefined
  readonly place: Place
}

/** Something that brings messages into a topic. */
export interface SourcePlan {
  readonly name: string
  readonly to: string
  readonly module: ModuleReference
  /** Handed to the module as they are. */
  readonly options: Readonly<Record<string, unknown>>
}

/** How the reading end of an entry is tuned. */
export type ReadingPlan = Pick<
  WorkerOptions,
  'concurrency' | 'retry' | 'deadLetter' | 'onPoison' | 'maxBufferedRecords'
> & { readonly start?: Start }

/** A function between two topics. */
export interface FunctionPlan {
  readonly name: string
  readonly from: string
  readonly to: string | undefined
  readonly group: string
  readonly delivery: 'exactly-once' | 'at-least-once' | undefined
  readonly reading: ReadingPlan
  readonly module: ModuleReference
  /** Where its entry begins in the file. */
  readonly place: Place
}

/** Something that takes messages out of a topic: into storage (`sink`), or to whoever looks on (`client`). */
export interface SinkPlan {
  readonly kind: 'sink' | 'client'
  readonly name: string
  readonly from: string
  readonly group: string
  readonly batch: { readonly max: number; readonly waitMs: number }
  readonly reading: ReadingPlan
  readonly module: ModuleReference
  /** Handed to the module as they are. */
  readonly options: Readonly<Record<string, unknown>>
}
