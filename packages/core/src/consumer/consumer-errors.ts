import { StreamError } from '@sluice/driver'
import type { Capabilities, SourceShape } from '@sluice/driver'
import type { ConsumerDeps } from './consumer-deps.ts'
import type { ConsumerSettings } from './settings.ts'

/** Throws `unsupported` when a group cannot start where the settings say. */
export function checkStartKind({ start }: Capabilities, { start: { kind } }: ConsumerSettings): void {
  if (start.includes(kind)) return
  throw new StreamError('unsupported', `a group cannot start at ${kind} on this backend; it can at ${start.join(', ')}`)
}

/** A close had no time left for these messages. */
export function notSettled(deps: ConsumerDeps, abandoned: readonly string[], timeoutMs: number): StreamError {
  const { settings, topicName: topic } = deps
  return new StreamError(
    'timeout',
    `the consumer of topic "${topic}" gave up what was not settled within the ${timeoutMs} ms that close was given, messages: ${abandoned.length}; they come again, and their ids are in details.abandoned`,
    { ambiguous: false, details: { topic, group: settings.group, abandoned } },
  )
}

/** What went wrong while it started. */
export function notOpened({ topicName, settings }: ConsumerDeps, cause: unknown): StreamError {
  return StreamError.from(cause, `topic "${topicName}" could not be opened for group "${settings.group}"`)
}

/** Ends a start that a close came into. */
export function closedWhileStarting(): StreamError {
  return new StreamError('closed', 'the consumer was closed while it started')
}

/** Told to handlers that did not end in time. */
export function closedMeanwhile({ topicName }: ConsumerDeps): StreamError {
  return new StreamError('closed', `the consumer of topic "${topicName}" was closed before the handler ended`)
}

/** A topic that was deleted, and made anew as another, while it was opened. */
export function madeAnew(topic: string, was: SourceShape, is: SourceShape): StreamError {
  return new StreamError(
    'conflict',
    `topic "${topic}" is a ${is} and was a ${was} when it was opened: somebody made it anew; make another consumer`,
  )
}
