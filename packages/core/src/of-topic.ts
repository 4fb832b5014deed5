import type { OutgoingRecord, StreamError } from '@sluice/driver'

/** Whether it is the topic of these records that is wrong, and none of them: neither another attempt nor other records fare better. */
export function isOfTopic({ code }: StreamError, records: readonly OutgoingRecord[]): boolean {
  // Where a partition was asked for, it may be that one which is not there.
  if (code === 'not-found') return records.every(({ partition }) => partition === undefined)
  return code === 'permission-denied' || code === 'unauthenticated'
}
