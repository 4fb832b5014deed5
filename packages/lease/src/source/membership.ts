import type { Commit, CommitOutcome, PartitionId } from '@sluice/driver'

/** Says which partitions a source reads, and keeps their progress. */
export interface Membership {
  start(): Promise<void>
  /** Leases and partitions are looked at now. */
  refresh(): void
  /** Everything of an ended partition was handed out. */
  drained(partition: PartitionId): void
  commit(commits: readonly Commit[]): Promise<readonly CommitOutcome[]>
  close(): Promise<void>
}
