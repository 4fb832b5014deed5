import type { Case } from '../case.ts'
import { notRunYet } from '../case.ts'
import type { CaseContext } from '../context.ts'
import { each, equal } from '../expect.ts'
import { bench, drain } from '../setup.ts'

const needsNative = "needs harness.native: a client of the vendor's own to write and read with"

/** Other programs on the same topics. */
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

async function traceparent(context: CaseContext): Promise<void> {
  const { topic } = await bench(context)
  const sent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
  await topic.send({ value: 1, key: 'k', headers: { traceparent: sent, tracestate: 'vendor=1' } })
  const reading = await drain(context, topic, 1)
  each(reading.values().map(String), ['1'], context.world.harness.copies ?? 1, 'records with a trace context')
  equal(reading.deliveries[0]?.headers['traceparent'], sent, 'the trace context received')
  equal(reading.deliveries[0]?.headers['tracestate'], 'vendor=1', 'the trace state received')
}
