import type { PartitionId, Position } from '@sluice/driver'
import type { DeadLetter } from './api/admin.ts'
import type { ReadMessage } from './api/message.ts'

/** Which messages a first read has passed: by the last of each partition, or by their ids where they have no position. */
export class Passed {
  readonly #last = new Map<PartitionId, Position>()
  readonly #ids = new Set<string>()
  readonly #compare: (a: Position, b: Position) => number

  constructor(compare: (a: Position, b: Position) => number) {
    this.#compare = compare
  }

  add({ id, partition, position }: Pick<ReadMessage<unknown>, 'id' | 'partition' | 'position'>): void {
    if (position === undefined) this.#ids.add(id)
    else this.#last.set(partition, position)
  }

  has({ id, partition, position }: Pick<ReadMessage<unknown>, 'id' | 'partition' | 'position'>): boolean {
    if (position === undefined) return this.#ids.has(id)
    const last = this.#last.get(partition)
    return last !== undefined && this.#compare(position, last) <= 0
  }
}

/** Brings the two parts of letters together, whichever is read first. */
export class Pairs {
  readonly #firsts = new Map<string, DeadLetter>()
  readonly #seconds = new Map<string, DeadLetter>()

  first(id: string, first: DeadLetter): readonly DeadLetter[] {
    const second = this.#seconds.get(id)
    if (second === undefined) this.#firsts.set(id, first)
    return second !== undefined && this.#seconds.delete(id) ? [withBody(second, first)] : []
  }

  second(bodyId: string | undefined, letter: DeadLetter): readonly DeadLetter[] {
    if (bodyId === undefined) return [letter]
    const first = this.#firsts.get(bodyId)
    if (first === undefined) this.#seconds.set(bodyId, letter)
    return first !== undefined && this.#firsts.delete(bodyId) ? [withBody(letter, first)] : []
  }

  /** Letters whose first part is gone. */
  rest(): Iterable<DeadLetter> {
    return [...this.#seconds.values()].map((letter) => ({ ...letter, incomplete: true }))
  }
}

function withBody(letter: DeadLetter, first: DeadLetter): DeadLetter {
  return { ...letter, key: first.key, body: first.body, headers: first.headers }
}

/** A stored record as the letter it is. */
export function toDeadLetter(message: {
  readonly id: string
  readonly key: string | undefined
  readonly body: Uint8Array
  readonly headers: Readonly<Record<string, string>>
  readonly partition: string
  readonly position: DeadLetter['position']
  readonly time: Date
}): DeadLetter {
  const { headers } = message
  const own = Object.fromEntries(Object.entries(headers).filter(([name]) => !name.startsWith('dlq-')))
  const time = Number(headers['dlq-time'])
  return {
    id: headers['dlq-id'] ?? message.id,
    letterId: message.id,
    key: message.key,
    body: new Uint8Array(message.body),
    incomplete: false,
    headers: own,
    origin: {
      topic: headers['dlq-topic'] ?? '',
      group: headers['dlq-group'] ?? '',
      partition: headers['dlq-partition'] ?? '',
      position: headers['dlq-position'] as DeadLetter['position'],
      time: Number.isFinite(time) ? new Date(time) : undefined,
    },
    attempts: Number(headers['dlq-attempts'] ?? 0),
    errorCode: headers['dlq-error-code'],
    reason: headers['dlq-reason'] ?? '',
    time: message.time,
    partition: message.partition,
    position: message.position,
  }
}
