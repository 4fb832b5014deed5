import { didYouMean } from '@sluice/driver'
import type { Fault } from '../faults.ts'
import { callNames } from '../operations/all.ts'
import { invalid, ServiceError } from '../service-error.ts'
import type { Service } from '../service.ts'
import { integer, readRequest, required, structure, text } from '../shape.ts'
import type { Fields } from '../shape.ts'
import { decodeJson } from '../wire/json.ts'
import type { Request } from './listener.ts'

const place = { stream: text(), shard: text() }
const often = { times: integer({ min: 1 }) }
const call = { call: text({ oneOf: callNames }) }

/** What can be said of a fault besides its kind. */
const fieldsOf: Readonly<Record<Fault['kind'], Fields>> = {
  'fail-record': {
    ...place,
    ...often,
    nth: integer({ min: 1 }),
    code: text({ oneOf: ['InternalFailure', 'ProvisionedThroughputExceededException'] }),
  },
  throttle: { ...place, ...often, what: text({ oneOf: ['write', 'read'] }) },
  'lose-response': { ...often, ...call },
  'cut-response': { ...often, ...call, bytes: integer({ min: 0 }) },
  'empty-page': { ...place, ...often },
  'internal-error': { ...often, ...call },
  slow: { ...place, ...often, ...call, ms: required(integer({ min: 0 })) },
}

const kindOnly = structure({ kind: required(text<Fault['kind']>({ oneOf: Object.keys(fieldsOf) })) })

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
  const { kind } = readRequest(kindOnly, body)
  const fields = fieldsOf[kind]
  for (const [name, value] of Object.entries(body as object)) {
    if (name !== 'kind' && !Object.hasOwn(fields, name)) throw unknown(kind, name)
    // The service would cut it off, as Java does.
    if (typeof value === 'number' && !Number.isInteger(value)) throw invalid(`"${name}" of a fault is a whole number`)
  }
  const read = Object.entries(readRequest(structure(fields), body)).filter(([, value]) => value !== undefined)
  return { kind, ...Object.fromEntries(read) } as Fault
}

function unknown(kind: Fault['kind'], name: string): ServiceError {
  return invalid(`A fault of the kind ${kind} has no "${name}"; ${didYouMean(name, Object.keys(fieldsOf[kind]))}`)
}
