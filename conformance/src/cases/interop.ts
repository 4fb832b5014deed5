import type { Case } from '../case.ts'
import { notRunYet } from '../case.ts'
import type { CaseContext } from '../context.ts'
import { each, equal } from '../expect.ts'
import { bench, drain } from '../setup.ts'

const needsBroker = 'needs harness.broker: nothing outside this process can be cut, stopped or restarted'
const needsNative = "needs harness.native: a client of the vendor's own to write and read with"

/** Faults of a broker, and other programs on the same topics. */
export const interopCases: readonly Case[] = [
  {
    name: 'interop/traceparent',
    title: 'a trace context travels with the record',
    needs: (world) =>
      world.capabilities.headers ? true : 'the capability headers is false; see capability/headers-refused',
    run: traceparent,
  },
  notRunYet('interop/native-to-sluice', 'a record written by the vendor SDK is read', needsNative),
  notRunYet('interop/sluice-to-native', 'a record written here is read by the vendor SDK', needsNative),
  notRunYet(
    'interop/cloudevents',
    'CloudEvents go through in binary and structured form',
    'needs a CloudEvents codec, which is not part of core',
  ),
]

/** What a broker and the way to it can suffer. */
export const faultCases: readonly Case[] = [
  notRunYet('fault/broker-restart', 'a broker that restarts costs time and nothing else', needsBroker),
  notRunYet('fault/cut-during-publish', 'a connection cut during sends loses nothing', needsBroker),
  notRunYet('fault/cut-during-consume', 'a connection cut while reading loses nothing', needsBroker),
  notRunYet('fault/partition-30s', 'half a minute without the broker is outlived', needsBroker),
  notRunYet('fault/latency-2s', 'two seconds of latency change nothing but the pace', needsBroker),
  notRunYet('fault/half-open', 'a connection that is dead without saying so is noticed', needsBroker),
  notRunYet(
    'fault/lease-store-down',
    'without its lease store a group stops or goes on, and recovers by itself',
    needsBroker,
  ),
  notRunYet(
    'fault/dns-or-refused-at-start',
    'a broker that cannot be reached is unavailable by the deadline',
    needsBroker,
  ),
]

async function traceparent(context: CaseContext): Promise<void> {
  const { topic } = await bench(context)
  const sent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
  await topic.send({ value: 1, key: 'k', headers: { traceparent: sent, tracestate: 'vendor=1' } })
  const reading = await drain(context, topic, 1)
  each(reading.values().map(String), ['1'], context.world.harness.copies ?? 1, 'records with a trace context')
  equal(reading.deliveries[0]?.headers['traceparent'], sent, 'the trace context received')
  equal(reading.deliveries[0]?.headers['tracestate'], 'vendor=1', 'the trace state received')
}
