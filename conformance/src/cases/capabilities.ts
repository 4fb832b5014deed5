import { defineFunction } from '@sluice/core'
import type { Position } from '@sluice/driver'
import type { Case } from '../case.ts'
import type { CaseContext } from '../context.ts'
import { equal, refuses, that } from '../expect.ts'
import type { World } from '../harness.ts'
import { bench, member, messages, sendAll } from '../setup.ts'
import type { Bench } from '../setup.ts'

/** What a capability that is false denies is refused with `unsupported` before any I/O. One case each; they apply only where it is false. */
export const capabilityCases: readonly Case[] = [
  refused(
    'transactions',
    (world) => !world.capabilities.transactions || world.shape === 'queue',
    (made) => {
      const definition = defineFunction({ name: 'f', handle: () => undefined })
      return () => made.cloud.worker(definition, { from: made.name, delivery: 'exactly-once' }).run()
    },
  ),
  refused(
    'explicit-partition',
    (world) => !world.capabilities.explicitPartition,
    (made) => () => made.topic.send({ value: 1, partition: '0' }),
  ),
  refused(
    'positions',
    (world) => world.capabilities.positions === 'none',
    (made) => () => made.topic.comparePositions('1' as Position, '2' as Position),
  ),
  refused(
    'empty-key',
    (world) => !world.capabilities.emptyKey,
    (made) => () => made.topic.send({ value: 1, key: '' }),
  ),
  refused(
    'headers',
    (world) => !world.capabilities.headers,
    (made) => () => made.topic.send({ value: 1, headers: { a: 'b' } }),
  ),
  ...(['earliest', 'latest', 'time', 'position'] as const).flatMap((kind) => {
    const start = kind === 'time' ? new Date() : kind === 'position' ? { positions: {} } : kind
    return [
      refused(
        `start-${kind}`,
        (world) => !world.capabilities.start.includes(kind),
        (made, context) => () => member(made.topic, context.name('g'), { start }).run(() => undefined),
      ),
      refused(
        `seek-${kind}`,
        (world) => !world.capabilities.seek.includes(kind),
        (made, context) => () => made.cloud.admin.seek(made.name, context.name('g'), start),
      ),
    ]
  }),
  refused(
    'repartition',
    (world) => world.capabilities.repartition === false,
    (made) => () => made.cloud.admin.setPartitions(made.name, 7),
  ),
  refused(
    'repartition-down',
    (world) => world.capabilities.repartition === 'grow',
    (made) => () => made.cloud.admin.setPartitions(made.name, 1),
  ),
  refused(
    'lag',
    (world) => world.capabilities.lag.length === 0,
    (made) => () => made.cloud.admin.lag(made.name, 'g'),
  ),
  refused(
    'shape-none',
    (world) => world.capabilities.shapes.none === false,
    (made, context) => () => made.cloud.admin.createTopic(context.name(), { order: 'none' }),
  ),
  refused(
    'shape-key',
    (world) => world.capabilities.shapes.key === false,
    (made, context) => () => made.cloud.admin.createTopic(context.name(), { order: 'key' }),
  ),
  {
    name: 'capability/receipt-position-absent',
    title: 'where receipts have no position, none is made up',
    applies: (world) => !world.capabilities.receiptPosition,
    run: async (context) => {
      const { topic } = await bench(context)
      const receipts = await sendAll(topic, messages(3))
      equal(
        receipts.filter((receipt) => receipt.position !== undefined),
        [],
        'receipts with a position',
      )
    },
  },
]

function refused(
  name: string,
  applies: (world: World) => boolean,
  call: (made: Bench, context: CaseContext) => () => unknown,
): Case {
  return {
    name: `capability/${name}-refused`,
    title: `without the capability, ${name.replaceAll('-', ' ')} is refused with unsupported before any I/O`,
    applies,
    run: async (context) => {
      const made = await bench(context)
      const before = made.shim.calls.length
      await refuses(call(made, context), 'unsupported', name)
      const after = made.shim.calls
        .slice(before)
        .filter((one) => one.operation !== 'openTopic' && one.operation !== 'producer' && one.error === undefined)
      that(
        after.length === 0,
        `the backend was asked nothing; it was asked for ${after.map((one) => one.operation).join(', ')}`,
      )
    },
  }
}
