import type { Service } from '../service.ts'
import { ServiceError } from '../service-error.ts'
import { readRequest, required, structure, text } from '../shape.ts'
import type { Fields, Read, Shape } from '../shape.ts'

/** What is known of a call besides its input. */
export interface Call {
  readonly service: Service
  readonly region: string
  /** `PutRecords` */
  readonly name: string
}

/** What a call answers; `undefined`: nothing but that it worked. Bytes are `Buffer`s, times are `Date`s. */
export type Output = Readonly<Record<string, unknown>> | undefined

/** One call of the service. */
export type Operation = (body: unknown, call: Call) => Output | Promise<Output>

/** Calls by their names. */
export type Operations = Readonly<Record<string, Operation>>

/** A call whose input is checked before it runs, and counted against its quota. */
export function operation<F extends Fields>(
  fields: F,
  run: (input: Read<F>, call: Call) => Output | Promise<Output>,
): Operation {
  const shape = structure(fields)
  return (body, call) => {
    const input = readRequest(shape, body)
    call.service.quotas.call(call.name, call.service.options.account, call.region, streamIn(input))
    return run(input, call)
  }
}

/** The name of the stream that an input is about, however it says so. */
function streamIn(input: object): string | undefined {
  const { StreamName, StreamARN, ConsumerARN } = input as Readonly<Record<string, unknown>>
  if (typeof StreamName === 'string') return StreamName
  const arn = StreamARN ?? ConsumerARN
  return typeof arn === 'string' ? /stream\/([^/]+)/.exec(arn)?.[1] : undefined
}

/** A call that was asked only whether it would work, and would. */
export function checkDryRun(dryRun: boolean | undefined): void {
  if (dryRun === true)
    throw new ServiceError('DryRunOperationException', 'The request would have succeeded, but the DryRun flag is set.')
}

const name = '[a-zA-Z0-9_.-]+'

export const streamName: Shape<string | undefined> = text({ min: 1, max: 128, pattern: name })
export const streamArn: Shape<string | undefined> = text({
  min: 1,
  max: 2_048,
  pattern: String.raw`arn:aws[^:]*:kinesis:[^:]*:\d{12}:stream/[^\s/]+`,
})
export const shardId: Shape<string | undefined> = text({ min: 1, max: 128, pattern: name })
export const consumerName: Shape<string | undefined> = text({ min: 1, max: 128, pattern: name })
export const consumerArn: Shape<string | undefined> = text({
  min: 1,
  max: 2_048,
  pattern: String.raw`arn:aws[^:]*:kinesis:[^:]*:\d{12}:stream\/[a-zA-Z0-9_.-]+\/consumer\/[a-zA-Z0-9_.-]+:[0-9]+`,
})
export const hashKey: Shape<string | undefined> = text({ pattern: String.raw`0|([1-9]\d{0,38})` })
export const sequenceNumber: Shape<string | undefined> = text({ pattern: String.raw`0|([1-9]\d{0,128})` })
export const nextToken: Shape<string | undefined> = text({ min: 1, max: 1_048_576 })

/** Which stream. */
export const byNameOrArn: {
  readonly StreamName: Shape<string | undefined>
  readonly StreamARN: Shape<string | undefined>
} = { StreamName: streamName, StreamARN: streamArn }

export const byArn: { readonly StreamARN: Shape<string> } = { StreamARN: required(streamArn) }
