import type { Attributes, Context, Counter, Histogram, Span, TextMapGetter } from '@opentelemetry/api'
import type * as OpenTelemetryApi from '@opentelemetry/api'
import { StreamError, textOf } from '@sluice/driver'
import type { Clock, Headers } from '@sluice/driver'
import type { SettledAs } from './api/message.ts'
import type { ProcessSpan, SendSpan, Telemetry } from './telemetry.ts'

type Api = typeof OpenTelemetryApi

/** Names of the messaging conventions (OpenTelemetry semantic conventions 1.45, status Development), copied so that their package is not needed. */
const names = {
  system: 'messaging.system',
  destination: 'messaging.destination.name',
  operation: 'messaging.operation.name',
  operationType: 'messaging.operation.type',
  messageId: 'messaging.message.id',
  bodySize: 'messaging.message.body.size',
  partition: 'messaging.destination.partition.id',
  group: 'messaging.consumer.group.name',
  errorType: 'error.type',
} as const

/** Registered `messaging.system` values; other backends go by their scheme. */
const systems: Readonly<Record<string, string>> = { kafka: 'kafka', pubsub: 'gcp_pubsub', eventhubs: 'eventhubs' }

/** Telemetry through `@opentelemetry/api`, if that package is installed and an SDK has registered itself; else none, at no cost. */
export async function loadTelemetry(backend: string, clock: Clock): Promise<Telemetry | undefined> {
  let api: Api
  try {
    api = await import('@opentelemetry/api')
  } catch {
    // An optional peer: without it there is nobody to tell.
    return undefined
  }
  const tracing = hasTracer(api)
  const metering = api.metrics.getMeterProvider().constructor.name !== 'NoopMeterProvider'
  return tracing || metering ? new OpenTelemetry(api, systems[backend] ?? backend, clock) : undefined
}

function hasTracer(api: Api): boolean {
  const provider = api.trace.getTracerProvider()
  return (
    !(provider instanceof api.ProxyTracerProvider) || provider.getDelegate().constructor.name !== 'NoopTracerProvider'
  )
}

const getter: TextMapGetter<Headers> = {
  get: (headers, name) => headers[name],
  keys: (headers) => Object.keys(headers),
}

class OpenTelemetry implements Telemetry {
  readonly #api: Api
  readonly #system: string
  readonly #clock: Clock
  readonly #tracer: ReturnType<Api['trace']['getTracer']>
  readonly #sent: Counter
  readonly #consumed: Counter
  readonly #operation: Histogram
  readonly #process: Histogram

  constructor(api: Api, system: string, clock: Clock) {
    this.#clock = clock
    this.#api = api
    this.#system = system
    this.#tracer = api.trace.getTracer('@sluice/core')
    const meter = api.metrics.getMeter('@sluice/core')
    this.#sent = meter.createCounter('messaging.client.sent.messages', { unit: '{message}' })
    this.#consumed = meter.createCounter('messaging.client.consumed.messages', { unit: '{message}' })
    this.#operation = meter.createHistogram('messaging.client.operation.duration', { unit: 's' })
    this.#process = meter.createHistogram('messaging.process.duration', { unit: 's' })
  }

  startSend(topic: string, given: Headers | undefined): SendSpan {
    const api = this.#api
    const attributes = this.#attributes(topic, 'send', 'send')
    const started = this.#clock.monotonic()
    const span = this.#tracer.startSpan(
      `send ${topic}`,
      { kind: api.SpanKind.PRODUCER, attributes },
      api.context.active(),
    )
    const carrier: Record<string, string> = {}
    api.propagation.inject(api.trace.setSpan(api.context.active(), span), carrier)
    // A caller that set its own trace context keeps it.
    const headers = given?.['traceparent'] === undefined && Object.keys(carrier).length > 0 ? carrier : undefined
    const finish = (error: StreamError | undefined): void => {
      const outcome: Attributes = error === undefined ? attributes : { ...attributes, [names.errorType]: error.code }
      this.#sent.add(1, outcome)
      this.#operation.record((this.#clock.monotonic() - started) / 1000, outcome)
      this.#endSpan(span, error)
    }
    return {
      headers,
      end: (receipt) => {
        span.setAttribute(names.messageId, receipt.id)
        if (receipt.partition !== undefined) span.setAttribute(names.partition, receipt.partition)
        finish(undefined)
      },
      fail: finish,
    }
  }

  startProcess(message: Parameters<Telemetry['startProcess']>[0], group: string): ProcessSpan {
    const api = this.#api
    const attributes: Attributes = {
      ...this.#attributes(message.topic, 'process', 'process'),
      [names.group]: group,
      [names.partition]: message.partition,
      [names.messageId]: message.id,
      [names.bodySize]: message.body.length,
    }
    const producer = api.trace.getSpanContext(api.propagation.extract(api.ROOT_CONTEXT, message.headers, getter))
    const links = producer === undefined ? [] : [{ context: producer }]
    const started = this.#clock.monotonic()
    const span = this.#tracer.startSpan(
      `process ${message.topic}`,
      { kind: api.SpanKind.CONSUMER, attributes, links },
      api.ROOT_CONTEXT,
    )
    const context: Context = api.trace.setSpan(api.context.active(), span)
    return {
      run: (work) => api.context.with(context, work),
      end: (outcome, error) => this.#endProcess(span, message.topic, group, outcome, error, started),
    }
  }

  #endProcess(span: Span, topic: string, group: string, outcome: SettledAs, error: unknown, started: number): void {
    const attributes: Attributes = {
      ...this.#attributes(topic, 'process', 'process'),
      [names.group]: group,
      'sluice.outcome': outcome,
    }
    span.setAttribute('sluice.outcome', outcome)
    this.#consumed.add(1, attributes)
    this.#process.record((this.#clock.monotonic() - started) / 1000, attributes)
    this.#endSpan(span, error)
  }

  #attributes(topic: string, operation: string, operationType: string): Attributes {
    return {
      [names.system]: this.#system,
      [names.destination]: topic,
      [names.operation]: operation,
      [names.operationType]: operationType,
    }
  }

  #endSpan(span: Span, error: unknown): void {
    if (error !== undefined) {
      const code = StreamError.is(error) ? error.code : error instanceof Error ? error.name : 'error'
      span.setAttribute(names.errorType, code)
      span.setStatus({
        code: this.#api.SpanStatusCode.ERROR,
        message: textOf(error),
      })
    }
    span.end()
  }
}
