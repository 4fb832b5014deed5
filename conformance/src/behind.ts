import type { PartitionLag } from '@sluice/driver'

/** How much of a partition is left for a group: messages; or 1, where only the age is told, as long as there is any. */
export function behind({ messages, ageMs }: Pick<PartitionLag, 'messages' | 'ageMs'>): number {
  return messages ?? ((ageMs ?? 0) > 0 ? 1 : 0)
}
