import type { Headers, StreamError } from '@sluice/driver'
import type { Message, SettledAs } from './api/message.ts'
import type { Receipt } from './api/producer.ts'

/** The span of one send. */
export interface SendSpan {
  /** Trace context to travel with the message. */
  readonly headers: Headers | undefined
  end(receipt: Receipt): void
  fail(error: StreamError): void
}

/** The span of one handling. */
export interface ProcessSpan {
  /** Runs the handler inside the span's context. */
  run<R>(work: () => R): R
  end(outcome: SettledAs, error?: unknown): void
}

/** What core tells of itself. The OpenTelemetry implementation is in `otel.ts`; there is none by default. */
export interface Telemetry {
  /** Begins a span; `headers` are those that the caller gave. */
  startSend(topic: string, headers: Headers | undefined): SendSpan
  startProcess(
    message: Pick<Message<unknown>, 'id' | 'topic' | 'partition' | 'position' | 'headers' | 'body' | 'attempt'>,
    group: string,
  ): ProcessSpan
}
