import type { Commit, IncomingRecord, PartitionId } from '@sluice/driver'

/** One partition as it is read from the backend under one tenure, ahead of what core has asked for. */
export interface PartitionReading {
  /** Everything was handed out, and nothing more will come: the partition has ended. */
  readonly finished: boolean
  /**
   * Everything that was stored when it was begun has been handed out; stays so. Left out where the backend tells where a
   * partition ends.
   */
  readonly caughtUp?: boolean
  /** Appends records to `target` until it holds `records` or `bytes` are used up; returns the bytes taken. */
  take(target: IncomingRecord[], records: number, bytes: number): number
  /** More will be wanted soon: asks the backend for it unless that is under way, or enough is here. */
  want(): void
  /** The topic was looked up again: a request that waits for what will not come any more should end. */
  hurry(): void
  /** Hands out nothing more. Never rejects. */
  close(): Promise<void>
}

/** A partition as it is read by one member from one `assigned` to its end. */
export type PartitionTenure = Pick<Commit, 'partition' | 'epoch'>

/** What a membership tells its reader. `Start` is what the backend begins to read at. */
export interface PartitionReader<Start> {
  assign(partition: PartitionId, epoch: number, from: Start): void
  /** Under which tenures these are read now; those that are not read are left out. */
  tenuresOf(partitions: readonly PartitionId[]): readonly PartitionTenure[]
  /** A partition that is read under another tenure by now stays. Says whether any was read. */
  withdraw(tenures: readonly PartitionTenure[]): boolean
  /** The topic was looked up again: partitions may have ended. */
  topicChanged(): void
}
