import type { KinesisClient } from '@aws-sdk/client-kinesis'

/** An answer as the SDK's handlers give it: its body is a stream, or bytes once somebody has read it. */
export interface Answer {
  readonly headers?: Readonly<Record<string, string>>
  readonly statusCode: number
  body: unknown
}

/**
 * Holds each answer of a client against the length it announced. Over HTTP/2 the SDK takes one for whole whose connection was cut
 * in its middle; of JSON nothing may be left then, and nothing is no error to it.
 */
export function refuseCutAnswers(client: KinesisClient): void {
  client.middlewareStack.add(
    (next) => async (args) => {
      const result = await next(args)
      const answer = result.response as Answer
      // Events have no length.
      if (answer.headers?.['content-length'] !== undefined) answer.body = await wholeBody(client, answer)
      return result
    },
    { step: 'deserialize', priority: 'low', name: 'sluiceWholeAnswers' },
  )
}

/** The bytes of an answer. Rejects as a connection that was cut where some of them are missing. */
export async function wholeBody(client: KinesisClient, { body, headers }: Answer): Promise<Uint8Array> {
  if (body instanceof Uint8Array) return body
  const bytes = await client.config.streamCollector(body)
  const length = headers?.['content-length']
  if (length === undefined || Number(length) === bytes.length) return bytes
  const message = `the answer was cut off after ${bytes.length} of ${length} bytes`
  throw Object.assign(new Error(message), { code: 'ECONNRESET' })
}
