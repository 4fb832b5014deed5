import type { Fault } from '../faults.ts'
import { invalid, ServiceError } from '../service-error.ts'
import type { Service } from '../service.ts'
import { integer, readRequest, required, structure, text } from '../shape.ts'
import { decodeJson } from '../wire/json.ts'
import type { Request } from './listener.ts'

const kinds = ['fail-record', 'throttle', 'lose-response', 'internal-error', 'slow'] as const

const shape = structure({
  kind: required(text<Fault['kind']>({ oneOf: kinds })),
  stream: text(),
  shard: text(),
  call: text(),
  code: text({ oneOf: ['InternalFailure', 'ProvisionedThroughputExceededException'] }),
  what: text({ oneOf: ['write', 'read'] }),
  nth: integer({ min: 1 }),
  times: integer({ min: 1 }),
  ms: integer({ min: 0 }),
})

export interface ControlAnswer {
  readonly status: number
  readonly value: unknown
}

/**
 * What is asked of the emulator itself, by programs of any language: `GET /_sluice/health`, `POST /_sluice/faults` with a
 * {@link Fault} as JSON, `DELETE /_sluice/faults` for all of them.
 */
export function answerControl(request: Request, body: Buffer, service: Service): ControlAnswer {
  const what = `${request.method} ${request.url}`
  switch (what) {
    case 'GET /_sluice/health':
      return { status: 200, value: { status: 'ok' } }
    case 'POST /_sluice/faults':
      service.faults.add(parseFault(decodeJson(body)))
      return { status: 200, value: {} }
    case 'DELETE /_sluice/faults':
      service.faults.clear()
      return { status: 200, value: {} }
    default:
      throw new ServiceError('UnknownOperationException', `There is no ${what}.`, 404)
  }
}

function parseFault(body: unknown): Fault {
  const read = readRequest(shape, body)
  if (read.kind === 'slow' && read.ms === undefined) throw invalid('A slow call or shard needs ms.')
  return Object.fromEntries(Object.entries(read).filter(([, value]) => value !== undefined)) as unknown as Fault
}
