import type { StoreClient } from '../store/client.ts'
import type { EarlyAcks } from '../store/protocol.ts'

/** What the profiles ask of the store besides what the driver does. */
export interface ProfileSupport {
  /** Whether a group has members that are not known to be dead. */
  hasMembers(topic: string, group: string): Promise<boolean>
  /** What a group has acknowledged ahead of its checkpoints. */
  earlyAcks(topic: string, group: string): Promise<EarlyAckStore>
}

/** Keeps what one group has acknowledged ahead of its checkpoints. */
export interface EarlyAckStore {
  read(): Promise<readonly EarlyAcks[]>
  write(acks: EarlyAcks): Promise<void>
}

/** Asks the store. */
export function storeSupport(client: StoreClient): ProfileSupport {
  return {
    hasMembers: (topic, group) =>
      client.call('hasMembers', { topic, group }, { operation: 'look for members', topic, group }),
    earlyAcks: async (topic, group) => {
      const context = { operation: 'keep acknowledgements', topic, group }
      const { id } = await client.call('topic', topic, context)
      return {
        read: () => client.call('readEarlyAcks', { topicId: id, group }, context),
        write: (acks) => client.call('writeEarlyAcks', { topicId: id, group, ...acks }, context),
      }
    },
  }
}
