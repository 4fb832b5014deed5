import { invalidArgument, ServiceError } from '../service-error.ts'
import type { Call } from './operation.ts'

/** How long a token of a page can be used, in milliseconds. Source: API reference, `ListShards`, `NextToken`. */
const tokenMs = 300_000

/** Where the page before ended: the call, the stream and the last name that was on it. */
export interface Page {
  readonly after: string
  readonly stream: string
  /** What else the first page was asked for. */
  readonly filter: string
}

export function tokenOf(call: Call, page: Page): string {
  const { service, region, name } = call
  return service.tokens.sign([name, region, page.stream, page.after, page.filter, service.nowMs])
}

/** Throws what the service answers to a token that is not its own, or too old. */
export function pageOf(call: Call, token: string): Page {
  const [name, region, stream, after, filter, atMs] = call.service.tokens.read(token) ?? []
  if (name !== call.name || region !== call.region) throw invalidArgument(`Invalid NextToken.`)
  if (call.service.nowMs - Number(atMs) > tokenMs)
    throw new ServiceError('ExpiredNextTokenException', `The NextToken has expired: it is valid for ${tokenMs} ms.`)
  return { stream: String(stream), after: String(after), filter: String(filter) }
}
