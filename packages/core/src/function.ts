import type { Message } from './api/message.ts'
import type { OutgoingMessage } from './api/producer.ts'
import { functionParts } from './option-kinds.ts'
import { checkOptions } from './options.ts'
import type { StandardSchema } from './standard-schema.ts'

/** What a function gives for one message: nothing, one message, or many. */
export type FunctionOutput<O> =
  | undefined
  | null
  | void
  | OutgoingMessage<O>
  | Iterable<OutgoingMessage<O>>
  | AsyncIterable<OutgoingMessage<O>>

/** A step between topics: a message in, none, one or many out. */
export interface SluiceFunction<I, O> {
  readonly name: string
  /** As the schema of the topic it reads: `handle` gets its output. */
  readonly input?: StandardSchema<unknown, I>
  /** As the schema of the topic it writes: `handle` gives its input, which is stored as it was given. */
  readonly output?: StandardSchema<O, unknown>
  /**
   * Its outputs are stored when the message is acknowledged, each as it was when it was given. A message that it retries
   * or dead-letters itself has none.
   */
  readonly handle: (message: Message<I>) => FunctionOutput<NoInfer<O>> | Promise<FunctionOutput<NoInfer<O>>>
}

/** Defines a function; types flow from its schemas into `handle`. Throws `invalid-argument` for parts it does not know or that do not fit. */
export function defineFunction<I = unknown, O = unknown>(definition: SluiceFunction<I, O>): SluiceFunction<I, O> {
  // One of a class may have fields of its own.
  if (Object.getPrototypeOf(definition) === Object.prototype) checkOptions('defineFunction', definition, functionParts)
  return definition
}
