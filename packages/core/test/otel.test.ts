import { context, metrics, propagation, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { W3CTraceContextPropagator } from '@opentelemetry/core'
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace'
import { eventually } from '@sluice/driver/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { connect, defineFunction } from '../src/index.ts'

const spans = new InMemorySpanExporter()
const measured = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
const reader = new PeriodicExportingMetricReader({ exporter: measured, exportIntervalMillis: 3_600_000 })
const meters = new MeterProvider({ readers: [reader] })

beforeAll(() => {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  propagation.setGlobalPropagator(new W3CTraceContextPropagator())
  trace.setGlobalTracerProvider(new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter: spans })] }))
  metrics.setGlobalMeterProvider(meters)
})

afterAll(async () => {
  await meters.shutdown()
  trace.disable()
  metrics.disable()
  context.disable()
  propagation.disable()
})

describe('telemetry', () => {
  it('links the handling of a message to its send, across headers, and counts both', async () => {
    await using cloud = await connect('memory:')
    const orders = cloud.topic('orders')
    await trace.getTracer('test').startActiveSpan('request', async (request) => {
      await orders.send({ key: 'k', value: 1 })
      request.end()
    })
    const consumer = orders.consumer({ group: 'billing', retry: { maxAttempts: 1 } })
    let inside: string | undefined
    await consumer.run((message) => {
      inside = trace.getActiveSpan()?.spanContext().spanId
      expect(message.headers['traceparent']).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/)
      void consumer.close()
      throw new Error('boom')
    })
    const finished = spans.getFinishedSpans()
    const [request, send, process] = ['request', 'send orders', 'process orders'].map((name) =>
      finished.find((span) => span.name === name),
    )
    expect(send?.parentSpanContext?.spanId).toBe(request?.spanContext().spanId)
    expect(process?.links[0]?.context.spanId).toBe(send?.spanContext().spanId)
    expect(process?.spanContext().spanId).toBe(inside)
    expect(send?.attributes).toMatchObject({
      'messaging.system': 'memory',
      'messaging.destination.name': 'orders',
      'messaging.operation.type': 'send',
    })
    expect(process?.attributes).toMatchObject({
      'messaging.consumer.group.name': 'billing',
      'sluice.outcome': 'dead-lettered',
      'error.type': 'Error',
    })
    await reader.forceFlush()
    const names = measured
      .getMetrics()
      .flatMap(({ scopeMetrics }) =>
        scopeMetrics.flatMap(({ metrics: all }) => all.map((metric) => metric.descriptor.name)),
      )
    expect(names).toEqual(
      expect.arrayContaining([
        'messaging.client.sent.messages',
        'messaging.client.consumed.messages',
        'messaging.client.operation.duration',
        'messaging.process.duration',
      ]),
    )
  })

  it('counts trace headers in the size of an output of a transaction, as in a send', async () => {
    await using cloud = await connect('memory:')
    await cloud.admin.createTopic('in', { partitions: 1 })
    const out = cloud.topic('out')
    const { maxRecordBytes } = await out.limits()
    const takes = (length: number): Promise<boolean> =>
      out.send({ value: 'x'.repeat(length) }).then(
        () => true,
        () => false,
      )
    let [largest, tooLarge] = [maxRecordBytes - 1_000, maxRecordBytes]
    while (tooLarge - largest > 1) {
      const middle = Math.floor((largest + tooLarge) / 2)
      if (await takes(middle)) largest = middle
      else tooLarge = middle
    }
    await cloud.topic('in').sendAll([largest, tooLarge].map((value) => ({ value })))
    const grow = defineFunction({
      name: 'grow',
      handle: ({ value }) => ({ value: 'x'.repeat(Number(value)) }),
    })
    await using worker = cloud.worker(grow, {
      from: 'in',
      to: 'out',
      delivery: 'exactly-once',
      retry: { maxAttempts: 1 },
    })
    const running = worker.run()
    await eventually(() => expect(worker.stats()).toMatchObject({ acked: 1, deadLettered: 1 }))
    await worker.close()
    await running
    const [letter] = await Array.fromAsync(cloud.admin.deadLetters('in'))
    expect(letter?.errorCode).toBe('too-large')
    expect(Buffer.from(letter?.body ?? []).toString()).toBe(String(tooLarge))
  })
})
