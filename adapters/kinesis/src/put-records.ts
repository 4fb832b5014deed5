import { PutRecordsCommand } from '@aws-sdk/client-kinesis'
import type { Allocate } from './memory.ts'

/** A record as PutRecords takes it. */
export interface Entry {
  readonly partitionKey: string
  /** Goes before the partition key. */
  readonly hashKey: string | undefined
  readonly data: Buffer
}

/**
 * PutRecords with a body that is written here. The SDK writes base64 in JavaScript, digit by digit, and asks its schema what each
 * member of each record is: an eighth of all that a send of 1 KB took. All else is left to it, and it signs what it sends.
 */
export function putRecords(
  stream: string,
  entries: readonly Entry[],
  allocate: Allocate = Buffer.allocUnsafe,
): PutRecordsCommand {
  const command = new PutRecordsCommand({ StreamName: stream, Records: [] })
  const body = bodyOf(stream, entries, allocate)
  command.middlewareStack.add(
    (next) => (args) => {
      const request = args.request as { body: unknown }
      request.body = body
      return next(args)
    },
    // Ahead of what tells its length.
    { step: 'build', priority: 'high', name: 'writeBody' },
  )
  return command
}

/** Bytes that are made text of at once: few enough for V8 to reuse the memory of the text before. */
const stride = 3 * 8 * 1024

/** JSON 1.1 of AWS. */
function bodyOf(stream: string, entries: readonly Entry[], allocate: Allocate): Buffer {
  const heads = entries.map(headOf)
  const [begin, end] = [`{"StreamName":${JSON.stringify(stream)},"Records":[`, ']}']
  let bytes = begin.length + end.length - 1
  for (const [index, { data }] of entries.entries())
    bytes += Buffer.byteLength(heads[index] ?? '') + 4 * Math.ceil(data.length / 3) + tail.length
  const body = allocate(bytes)
  let at = body.write(begin)
  for (const [index, { data }] of entries.entries()) {
    at += body.write(heads[index] ?? '', at)
    for (let from = 0; from < data.length; from += stride)
      at += body.write(data.toString('base64', from, from + stride), at, 'latin1')
    at += body.write(tail, at)
  }
  // In place of the last comma.
  body.write(end, at - 1)
  return body
}

const tail = '"},'

function headOf({ partitionKey, hashKey }: Entry): string {
  const where = hashKey === undefined ? '' : `,"ExplicitHashKey":${JSON.stringify(hashKey)}`
  return `{"PartitionKey":${JSON.stringify(partitionKey)}${where},"Data":"`
}
