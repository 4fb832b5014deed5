import type { Shard } from './shard.ts'
import type { Stream } from './stream.ts'

/** Where a fault strikes; what is left out is everywhere. */
interface Place {
  readonly stream?: string
  readonly shard?: string
}

/** How often it strikes before it goes by itself. Default: until it is removed. */
interface Often {
  readonly times?: number
}

/** What the server is told to do wrong, as the service does now and then and no emulator ever does. */
export type Fault =
  /** Records of `PutRecords` and `PutRecord` fail: the `nth` of those that match, counted from 1 through all requests; all, when left out. */
  | (Place &
      Often & {
        readonly kind: 'fail-record'
        readonly nth?: number
        readonly code?: 'InternalFailure' | 'ProvisionedThroughputExceededException'
      })
  /** A shard is over its quota, for writes, for reads, or for both. */
  | (Place & Often & { readonly kind: 'throttle'; readonly what?: 'write' | 'read' })
  /** A call is done, and then the connection breaks instead of an answer. */
  | (Often & { readonly kind: 'lose-response'; readonly call?: string })
  /**
   * A call is done, and of its answer only the headers and so many bytes come before the connection breaks. Default: 0. Of
   * `SubscribeToShard` the next event is the last, also of one that runs already: all of it, or so many bytes.
   */
  | (Often & { readonly kind: 'cut-response'; readonly call?: string; readonly bytes?: number })
  /** `GetRecords` gives none of the records that there are, only how far behind it is and where to go on. Strikes where there are some. */
  | (Place & Often & { readonly kind: 'empty-page' })
  /** A call is not done, and answered with HTTP 500. */
  | (Often & { readonly kind: 'internal-error'; readonly call?: string })
  /** A call is done so much later, in milliseconds. With a stream or a shard: only `GetRecords` and `SubscribeToShard` there. */
  | (Place & Often & { readonly kind: 'slow'; readonly call?: string; readonly ms: number })

interface Active {
  readonly fault: Fault
  /** How many records of its kind have passed. */
  seen: number
  left: number
}

/** The faults that are on. */
export class Faults {
  readonly #active = new Set<Active>()

  /** Switches a fault on; returns what switches it off. */
  add(fault: Fault): () => void {
    const active: Active = { fault, seen: 0, left: fault.times ?? Infinity }
    this.#active.add(active)
    return () => void this.#active.delete(active)
  }

  /** Switches all off. */
  clear(): void {
    this.#active.clear()
  }

  /** The error of a record, if it is to fail. Call it once for each record. */
  ofRecord(stream: Stream, shard: Shard): 'InternalFailure' | 'ProvisionedThroughputExceededException' | undefined {
    if (this.#active.size === 0) return undefined
    for (const active of this.#active) {
      const { fault } = active
      if (fault.kind === 'throttle' && fault.what !== 'read' && strikes(fault, stream, shard) && this.#use(active))
        return 'ProvisionedThroughputExceededException'
      if (fault.kind !== 'fail-record' || !strikes(fault, stream, shard)) continue
      active.seen++
      if ((fault.nth === undefined || fault.nth === active.seen) && this.#use(active))
        return fault.code ?? 'InternalFailure'
    }
    return undefined
  }

  /** Whether a read of the shard is to be throttled. */
  throttlesRead(stream: Stream, shard: Shard): boolean {
    return this.#any(
      ({ fault }) => fault.kind === 'throttle' && fault.what !== 'write' && strikes(fault, stream, shard),
    )
  }

  losesResponse(call: string): boolean {
    return this.#any(({ fault }) => fault.kind === 'lose-response' && (fault.call ?? call) === call)
  }

  /** Whether an answer, or an event, is to be cut off, and behind how many bytes, where the fault says so. */
  cutsResponse(call: string): { readonly bytes?: number } | undefined {
    for (const active of this.#active) {
      const { fault } = active
      if (fault.kind === 'cut-response' && (fault.call ?? call) === call && this.#use(active)) return fault
    }
    return undefined
  }

  /** Whether a read that finds records is to give none. */
  emptiesPage(stream: Stream, shard: Shard): boolean {
    return this.#any(({ fault }) => fault.kind === 'empty-page' && strikes(fault, stream, shard))
  }

  failsCall(call: string): boolean {
    return this.#any(({ fault }) => fault.kind === 'internal-error' && (fault.call ?? call) === call)
  }

  /** How long a call is to take longer, whatever it is about. */
  delayOfCall(call: string): number {
    return this.#delay(
      (fault) => fault.stream === undefined && fault.shard === undefined && (fault.call ?? call) === call,
    )
  }

  /** How long a call is to take longer when it reads that shard. */
  delayOfShard(stream: Stream, shard: Shard, call: string): number {
    return this.#delay(
      (fault) =>
        (fault.stream !== undefined || fault.shard !== undefined) &&
        (fault.call ?? call) === call &&
        strikes(fault, stream, shard),
    )
  }

  #delay(applies: (fault: Fault & { readonly kind: 'slow' }) => boolean): number {
    let ms = 0
    for (const active of this.#active) {
      const { fault } = active
      if (fault.kind === 'slow' && applies(fault) && this.#use(active)) ms += fault.ms
    }
    return ms
  }

  #any(applies: (active: Active) => boolean): boolean {
    for (const active of this.#active) if (applies(active) && this.#use(active)) return true
    return false
  }

  #use(active: Active): boolean {
    if (--active.left <= 0) this.#active.delete(active)
    return true
  }
}

function strikes({ stream, shard }: Place, at: Stream, of: Shard): boolean {
  return (stream ?? at.name) === at.name && (shard ?? of.id) === of.id
}
