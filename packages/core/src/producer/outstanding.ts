import { StreamError } from '@sluice/driver'

/** A send that waits to be let in. */
export interface Outstanding {
  readonly id: () => string
  readonly giveUp: (error: StreamError) => void
}

/** A send that waits for its topic to be opened. */
export interface Waiting extends Outstanding {
  readonly begin: () => void
}

/** Stands for the id of a record whose schema is still validating. */
export const notEncoded = '(not yet encoded)'

/** What close says of the sends that had no answer in the time it was given. */
export function notConfirmed(topic: string, unsent: readonly string[], timeoutMs: number): StreamError {
  return new StreamError(
    'timeout',
    `topic "${topic}": ${unsent.length} records were not confirmed within the ${timeoutMs} ms that close was given; their ids are in details.unsent`,
    { ambiguous: false, details: { topic, unsent } },
  )
}
