import type { Credentials } from './authorization.ts'
import { authorize } from './authorization.ts'
import type { Request, Response } from './listener.ts'
import { Bodies } from './bodies.ts'
import { answerControl } from './control.ts'
import type { ControlAnswer } from './control.ts'
import { subscribe } from '../operations/fan-out.ts'
import { operations } from '../operations/all.ts'
import type { Call } from '../operations/operation.ts'
import { ServiceError } from '../service-error.ts'
import type { Service } from '../service.ts'
import { eventsOf, Subscriptions } from '../subscription.ts'
import { decodeCbor, encodeCbor } from '../wire/cbor.ts'
import { encodeFrame } from '../wire/event-stream.ts'
import { decodeJson, encodeJson } from '../wire/json.ts'

const targetPrefix = 'Kinesis_20131202.'

/** A call, and what it is about. */
interface Asked {
  readonly call: Call
  readonly input: unknown
}

/** Of an answer. */
type Headers = Readonly<Record<string, string | number>>

/** A form in which requests and answers are written. */
interface Format {
  readonly contentType: string
  readonly decode: (body: Buffer) => unknown
  /** In pieces. */
  readonly encode: (value: unknown) => readonly Buffer[]
}

const json: Format = { contentType: 'application/x-amz-json-1.1', decode: decodeJson, encode: encodeJson }
const cbor: Format = {
  contentType: 'application/x-amz-cbor-1.1',
  decode: decodeCbor,
  encode: (value) => [encodeCbor(value)],
}

/** Answers requests: each in the form in which it was asked. */
export class Exchange {
  readonly #service: Service
  readonly #credentials: readonly Credentials[] | undefined
  readonly #subscriptions: Subscriptions
  readonly #bodies = new Bodies()
  #requests = 0

  constructor(service: Service, credentials: readonly Credentials[] | undefined) {
    this.#service = service
    this.#credentials = credentials
    this.#subscriptions = new Subscriptions(service)
  }

  async handle(request: Request, response: Response): Promise<void> {
    const format = String(request.headers['content-type']).startsWith('application/x-amz-cbor') ? cbor : json
    const reply = (status: number, value: unknown): void =>
      send(response, status, this.#headers(format), value === undefined ? [] : format.encode(value))
    try {
      const asked = await this.#bodies.read(request, (body) => this.#understand(request, body, format))
      if (asked === 'too large') return reply(413, undefined)
      if ('status' in asked) return reply(asked.status, asked.value)
      const output = await this.#run(asked.call, asked.input, request, response)
      if (output === 'streamed') return
      if (this.#service.faults.losesResponse(asked.call.name)) return hangUp(request)
      const cut = this.#service.faults.cutsResponse(asked.call.name)
      if (cut !== undefined)
        return sendPart(response, this.#headers(format), format.encode(output), cut.bytes ?? 0, () =>
          hangUpLater(request),
        )
      reply(200, output)
    } catch (error) {
      const { status, type, message } = told(error)
      reply(status, { __type: type, message })
    }
  }

  /** What a request asks; of the body nothing is kept. */
  #understand(request: Request, body: Buffer | undefined, format: Format): Asked | ControlAnswer | 'too large' {
    if (body === undefined) return 'too large'
    if (request.url?.startsWith('/_sluice/') === true) return answerControl(request, body, this.#service)
    const name = nameOf(request)
    const { region } = authorize(signed(request, body), name, this.#credentials, this.#service.nowMs)
    return { call: { service: this.#service, region, name }, input: format.decode(body) }
  }

  async #run(call: Call, body: unknown, request: Request, response: Response): Promise<unknown> {
    const { broken, faults } = this.#service
    if (broken !== undefined) throw broken
    await this.#service.wait(faults.delayOfCall(call.name))
    if (faults.failsCall(call.name)) throw new ServiceError('InternalFailure', 'Internal service failure.', 500)
    if (call.name === 'SubscribeToShard') {
      await this.#stream(call, body, request, response)
      return 'streamed'
    }
    const run = operations[call.name]
    if (run === undefined || !Object.hasOwn(operations, call.name)) throw unknownOperation()
    return run(body, call)
  }

  async #stream(call: Call, body: unknown, request: Request, response: Response): Promise<void> {
    if (hasLeft(request)) return
    const { faults } = this.#service
    const subscribed = subscribe(body, call, this.#subscriptions)
    if (faults.losesResponse(call.name)) return hangUp(request)
    response.writeHead(200, this.#headers({ contentType: 'application/vnd.amazon.eventstream' }))
    const gone = new AbortController()
    response.on('close', () => gone.abort())
    const ends = AbortSignal.any([gone.signal, subscribed.replaced, this.#service.closing])
    const write = (frame: Buffer): Promise<void> => writeFrame(response, frame, ends)
    try {
      await write(encodeFrame({ type: 'event', name: 'initial-response' }, Buffer.concat(encodeJson({}))))
      for await (const event of eventsOf(subscribed, gone.signal)) {
        const frame = encodeFrame({ type: 'event', name: 'SubscribeToShardEvent' }, Buffer.concat(encodeJson(event)))
        const cut = faults.cutsResponse(call.name)
        if (cut !== undefined) return void response.write(frame.subarray(0, cut.bytes), () => hangUpLater(request))
        await write(frame)
      }
    } catch (error) {
      const { type, message } = told(error)
      await write(encodeFrame({ type: 'exception', name: type }, Buffer.concat(encodeJson({ message }))))
    }
    response.end(Buffer.alloc(0))
  }

  /** Of an answer. Clients learn the service's clock from its answers, so this server tells the one it goes by. */
  #headers({ contentType }: Pick<Format, 'contentType'>): Headers {
    const id = `00000000-0000-0000-0000-${String(++this.#requests).padStart(12, '0')}`
    const date = new Date(this.#service.nowMs).toUTCString()
    return { 'content-type': contentType, date, 'x-amzn-requestid': id, 'x-amz-id-2': id }
  }
}

function nameOf({ method, headers }: Request): string {
  const target = String(headers['x-amz-target'] ?? '')
  if (target.startsWith('DynamoDB')) throw unknownOperation('This is Kinesis; DynamoDB is at another endpoint.')
  if (method !== 'POST' || !target.startsWith(targetPrefix)) throw unknownOperation()
  return target.slice(targetPrefix.length)
}

function unknownOperation(message = ''): ServiceError {
  return new ServiceError('UnknownOperationException', message)
}

/** What whoever asked is told of an error. One that is not the service's own is a bug of this server, and says so. */
function told(error: unknown): { readonly status: number; readonly type: string; readonly message: string } {
  if (error instanceof ServiceError) return { status: error.status, type: error.name, message: error.message }
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error)
  return { status: 500, type: 'InternalFailure', message: `The emulator has a bug: ${message}` }
}

function signed(request: Request, body: Buffer): Parameters<typeof authorize>[0] {
  const [path = '/', query = ''] = (request.url ?? '/').split('?')
  const headers: Record<string, string | undefined> = {}
  for (const [name, value] of Object.entries(request.headers))
    headers[name] = Array.isArray(value) ? value.join(',') : value
  headers['host'] ??= headers[':authority']
  return { method: request.method ?? 'POST', path, query, headers, body }
}

function send(response: Response, status: number, headers: Headers, body: readonly Buffer[]): void {
  if (response.headersSent) return
  response.writeHead(status, { ...headers, 'content-length': body.reduce((sum, piece) => sum + piece.length, 0) })
  for (const piece of body.slice(0, -1)) response.write(piece)
  response.end(body.at(-1) ?? Buffer.alloc(0))
}

/** The headers of an answer and a part of its body. */
function sendPart(
  response: Response,
  headers: Headers,
  body: readonly Buffer[],
  bytes: number,
  done: () => void,
): void {
  const whole = Buffer.concat(body)
  response.writeHead(200, { ...headers, 'content-length': whole.length })
  response.write(whole.subarray(0, bytes), done)
}

/** Waits while the other side does not take more, until there is nothing to wait for. */
function writeFrame(response: Response, frame: Buffer, ends: AbortSignal): Promise<void> {
  if (response.write(frame) || ends.aborted) return Promise.resolve()
  return new Promise((resolve) => {
    const done = (): void => {
      response.removeListener('drain', done)
      ends.removeEventListener('abort', done)
      resolve()
    }
    response.on('drain', done)
    ends.addEventListener('abort', done, { once: true })
  })
}

function hasLeft(request: Request): boolean {
  return 'stream' in request ? request.stream.destroyed : request.socket.destroyed
}

function hangUp(request: Request): void {
  if ('stream' in request) request.stream.session?.destroy()
  else request.socket.destroy()
}

/** Once the client has what was written: over HTTP/2 it answers a ping behind that. */
function hangUpLater(request: Request): void {
  if (!('stream' in request)) return hangUp(request)
  request.stream.session?.ping(() => hangUp(request))
}
