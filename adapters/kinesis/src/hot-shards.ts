import { StreamError } from '@sluice/driver'
import type { Clock, PartitionId, Random } from '@sluice/driver'

/** Waits after a shard has refused, in milliseconds: from the first to the longest; a quota is of one second. */
const backoff = { firstMs: 50, mostMs: 1_000 }

interface Hot {
  readonly untilMs: number
  readonly refusals: number
}

/**
 * Shards whose quota is used up. What goes to them is held back here, so that it takes no room in requests that the other
 * shards could use.
 */
export class HotShards {
  readonly #clock: Clock
  readonly #random: Random
  readonly #hot = new Map<PartitionId, Hot>()

  constructor(clock: Clock, random: Random) {
    this.#clock = clock
    this.#random = random
  }

  /** The shard refused a record. Refusals that come while it is left alone were under way already. */
  refused(shard: PartitionId): void {
    const known = this.#hot.get(shard)
    const nowMs = this.#clock.monotonic()
    if (known !== undefined && nowMs < known.untilMs) return
    const refusals = (known?.refusals ?? 0) + 1
    const waitMs = Math.min(backoff.mostMs, backoff.firstMs * 2 ** (refusals - 1))
    this.#hot.set(shard, { untilMs: nowMs + waitMs * (0.5 + this.#random() / 2), refusals })
  }

  /** The shard took a record. */
  took(shard: PartitionId): void {
    if (this.#hot.size > 0) this.#hot.delete(shard)
  }

  /** The error for what goes to a shard that is left alone; `undefined`: it may go. */
  refusal(shard: PartitionId | undefined, topic: string): StreamError | undefined {
    const leftMs = (this.#hot.get(shard ?? '')?.untilMs ?? 0) - this.#clock.monotonic()
    if (leftMs <= 0) return undefined
    return new StreamError(
      'throttled',
      `send on topic "${topic}" was held back: the quota of ${shard} is used up (1 MB or 1 000 records a second); spread keys, or add shards`,
      { retryAfterMs: Math.ceil(leftMs), details: { topic, partition: shard } },
    )
  }

  /** Whether any shard is left alone. */
  get any(): boolean {
    return this.#hot.size > 0
  }
}
