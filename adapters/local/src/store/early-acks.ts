import type { Database } from './database.ts'
import type { EarlyAcks, QueueGroup } from './protocol.ts'

/** What queues over logs have acknowledged ahead of their checkpoints. Goes with a seek, the group or the topic. */
export class EarlyAckTable {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  read(group: QueueGroup): readonly EarlyAcks[] {
    const rows = this.#database.all<{ partition: string; positions: string }>(
      'SELECT partition, positions FROM early_acks WHERE topic_id = ? AND name = ?',
      group.topicId,
      group.group,
    )
    return rows.map(({ partition, positions }) => ({ partition, positions: JSON.parse(positions) as string[] }))
  }

  write(group: QueueGroup, { partition, positions }: EarlyAcks): void {
    this.#database.run(
      'INSERT OR REPLACE INTO early_acks (topic_id, name, partition, positions) VALUES (?, ?, ?, ?)',
      group.topicId,
      group.group,
      partition,
      JSON.stringify(positions),
    )
  }
}
