import type { Item } from '../cell.ts'

/** One way to do the work: Sluice, or what a program would write by hand. Its place is fresh, its log is empty. */
export interface Way {
  /** Sends and consumes as many, in whatever way is fast, and leaves an empty log: code that runs cold is not measured. */
  warmUp(items: readonly Item[], window: number): Promise<void>
  /** Resolves when all are durable; at most `window` are in flight. */
  sendAll(itemAt: (index: number) => Item, records: number, window: number): Promise<void>
  /** Resolves when it is durable. */
  send(item: Item): Promise<void>
  /** Reads from the beginning and keeps its place under a new name, `group`; resolves when the handler has seen `records`. */
  consume(group: string, records: number, handler: (item: Item) => void): Promise<void>
  /** From some moment soon, whatever is sent is handed to the handler; the function that is returned ends it. */
  follow(handler: (item: Item) => void): Promise<() => Promise<void>>
  close(): Promise<void>
}

/** Records that are stored at once: what Sluice puts into a request, or a quarter of the window. */
export function batchOf(window: number): number {
  return Math.min(1_000, Math.ceil(window / 4))
}

/** Calls `send` for 0 to `records`, with at most `window` calls under way. Rejects with the first failure. */
export function pump(records: number, window: number, send: (index: number) => Promise<unknown>): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  let next = 0
  let done = 0
  const fill = (): void => {
    while (next < records && next - done < window) send(next++).then(onDone, reject)
  }
  const onDone = (): void => {
    done++
    if (done === records) resolve()
    // Not for each: a caller fills its window in strides.
    else if (next - done <= window / 2) fill()
  }
  fill()
  return promise
}
