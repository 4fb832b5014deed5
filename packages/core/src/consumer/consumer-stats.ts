import type { ConsumerStats } from '../api/consumer.ts'
import type { Dispatcher } from './dispatcher.ts'
import type { Engine } from './engine.ts'
import type { Handling } from './handling.ts'

/** What a consumer tells of itself; before it runs, that there is nothing. */
export function statsOf(
  buffers: Pick<Dispatcher, 'records' | 'bytes'>,
  running: { readonly engine: Engine; readonly handling: Handling } | undefined,
): ConsumerStats {
  const counts = running?.handling.counts
  return {
    bufferedRecords: buffers.records,
    bufferedBytes: buffers.bytes,
    running: running?.handling.active.size ?? 0,
    partitions: running?.engine.partitions ?? [],
    received: running?.handling.begun ?? 0,
    acked: counts?.acked ?? 0,
    retried: counts?.retried ?? 0,
    deadLettered: counts?.deadLettered ?? 0,
    skipped: counts?.skipped ?? 0,
    expired: counts?.expired ?? 0,
    parked: running?.engine.parked ?? 0,
  }
}
