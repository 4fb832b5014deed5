import type { Case, Need } from '../case.ts'
import { all, logShape } from '../case.ts'
import type { CaseContext } from '../context.ts'
import { equal, rejects, that } from '../expect.ts'
import { brokerOf, StreamUnderFault } from '../faults/stream-under-fault.ts'
import { TcpProxy } from '../faults/tcp-proxy.ts'
import type { World } from '../harness.ts'
import { addressOf, openHarness } from '../open.ts'
import { read } from '../reading.ts'
import { member, numbers } from '../setup.ts'

/** What a broker and the way to it can suffer. */
export const faultCases: readonly Case[] = [
  {
    name: 'fault/broker-restart',
    title: 'a broker that is killed and started again costs time and nothing else',
    needs: (world) => all(hasBroker(world), restarts(world)),
    run: brokerRestart,
    deadlineMs: 90_000,
  },
  {
    name: 'fault/cut-during-publish',
    title: 'connections that are cut during sends, also after a few bytes, lose nothing',
    needs: hasBroker,
    run: cutDuringPublish,
    deadlineMs: 90_000,
  },
  {
    name: 'fault/cut-during-consume',
    title: 'connections that are cut while reading lose nothing',
    needs: hasBroker,
    run: cutDuringConsume,
    deadlineMs: 60_000,
  },
  {
    name: 'fault/partition-30s',
    title: 'half a minute without the broker is outlived: sends wait, and all are handled after',
    needs: hasBroker,
    run: partition,
    deadlineMs: 150_000,
  },
  {
    name: 'fault/latency-2s',
    title: 'two seconds of latency, there and back, change nothing but the pace',
    needs: hasBroker,
    run: latency,
    deadlineMs: 120_000,
  },
  {
    name: 'fault/half-open',
    title: 'a connection that is dead without saying so is noticed, and replaced',
    needs: hasBroker,
    run: halfOpen,
    deadlineMs: 120_000,
  },
  {
    name: 'fault/lease-store-down',
    title: 'a member that cannot reach its leases stops, another goes on, and both share again when it can',
    needs: (world) => all(hasBroker(world), logShape(world), leases(world)),
    run: leaseStoreDown,
    deadlineMs: 120_000,
  },
  {
    name: 'fault/away-at-start',
    title: 'what begins to send and to read while the broker is away does so when it is back',
    needs: hasBroker,
    run: awayAtStart,
    deadlineMs: 60_000,
  },
  {
    name: 'fault/dns-or-refused-at-start',
    title: 'a broker that is not there, or has no such name, is unavailable by the deadline',
    needs: hasBroker,
    run: notThere,
    deadlineMs: 60_000,
  },
]

function hasBroker({ harness }: World): Need {
  return harness.broker !== undefined
    ? true
    : 'needs harness.broker: nothing outside this process can be cut, stopped or restarted'
}

function restarts({ harness }: World): Need {
  return harness.canRestart === true ? true : 'needs harness.canRestart: the broker is not ours to kill'
}

function leases({ capabilities }: World): Need {
  return capabilities.balancing === 'lease' ? true : { notRun: 'the broker itself assigns partitions' }
}

async function brokerRestart(context: CaseContext): Promise<void> {
  const stream = await StreamUnderFault.start(context)
  for (let times = 0; times < 2; times++) {
    await stream.broker.restart?.()
    await stream.flows(context.world.tuning.patienceMs * 3)
  }
  await stream.conclude(2)
}

async function cutDuringPublish(context: CaseContext): Promise<void> {
  const stream = await StreamUnderFault.start(context)
  for (let times = 0; times < 5; times++) {
    stream.proxy.cut()
    await stream.flows(context.world.tuning.patienceMs * 2)
  }
  // Each connection breaks in the middle of something, until it no longer does.
  stream.proxy.resetAfter(4_000)
  await context.pause(1_000)
  stream.proxy.resetAfter(Infinity)
  await stream.flows(context.world.tuning.patienceMs * 2)
  await stream.conclude(6)
}

async function cutDuringConsume(context: CaseContext): Promise<void> {
  const stream = await StreamUnderFault.start(context)
  for (let times = 0; times < 3; times++) {
    await stream.proxy.refuse()
    await context.pause(200)
    await stream.proxy.accept()
    await stream.flows(context.world.tuning.patienceMs * 2)
  }
  await stream.conclude(3)
}

async function partition(context: CaseContext): Promise<void> {
  const stream = await StreamUnderFault.start(context)
  await stream.proxy.refuse()
  await context.pause(context.world.tuning.partitionMs)
  equal(stream.reading.error(), undefined, 'what ended the consumer while the broker was away')
  await stream.proxy.accept()
  await stream.flows(context.world.tuning.patienceMs * 3)
  await stream.conclude(1)
}

async function awayAtStart(context: CaseContext): Promise<void> {
  const stream = await StreamUnderFault.start(context, { awayMs: 1_000 })
  await stream.conclude(1)
}

async function latency(context: CaseContext): Promise<void> {
  const stream = await StreamUnderFault.start(context, { patient: true })
  stream.proxy.latency(1_000)
  await stream.flows(30_000)
  await stream.proxy.heal()
  await stream.flows(context.world.tuning.patienceMs * 2)
  // Leases that are renewed across a slow line may lapse on the way.
  await stream.conclude(3)
}

async function halfOpen(context: CaseContext): Promise<void> {
  const stream = await StreamUnderFault.start(context)
  const before = stream.proxy.accepted
  stream.proxy.halfOpen()
  await stream.flows(context.world.tuning.deadConnectionMs + context.world.tuning.patienceMs * 2)
  that(stream.proxy.accepted > before, 'the dead connection was replaced by another')
  await stream.conclude(1)
}

async function leaseStoreDown(context: CaseContext): Promise<void> {
  const stream = await StreamUnderFault.start(context, { leases: true })
  const { failoverMs, patienceMs } = context.world.tuning
  const heir = read(context, member(numbers(stream.direct.cloud, stream.name), stream.group), { member: 'heir' })
  await context.eventually(() => that(heir.deliveries.length > 0, 'the other member has its part'))
  await stream.proxy.refuse()
  await context.eventually(
    () => equal(heir.consumer.stats().partitions.length, 3, 'partitions of the member that can reach the leases'),
    failoverMs * 5 + patienceMs,
  )
  await stream.proxy.accept()
  await context.eventually(
    () => that(stream.reading.consumer.stats().partitions.length > 0, 'the other has its part again'),
    failoverMs * 5 + patienceMs * 2,
  )
  await stream.flows(patienceMs * 2)
  await stream.conclude(2, heir.deliveries)
  await heir.stop()
}

async function notThere(context: CaseContext): Promise<void> {
  const { harness, tuning } = context.world
  const broker = await brokerOf(context)
  const proxy = await TcpProxy.start(broker.endpoint)
  await proxy.refuse()
  const places = [proxy.endpoint, { host: 'there-is-no-such-host.invalid', port: proxy.endpoint.port }]
  const secret = harness.secret ?? passwordIn(await addressOf(harness))
  for (const place of places) {
    const url = broker.urlAt(place)
    const startedMs = performance.now()
    const opening = openHarness({ ...harness, url }, { signal: context.signal })
    const error = await rejects(opening, 'unavailable', `opening ${place.host}`)
    that(performance.now() - startedMs < tuning.connectMs, `it said so within ${tuning.connectMs} ms`)
    that(error.message.includes(place.host), `the message names the place: ${error.message}`)
    that(secret === undefined || !error.message.includes(secret), 'the message holds no secret')
  }
}

function passwordIn(address: string): string | undefined {
  const password = URL.canParse(address) ? new URL(address).password : ''
  return password === '' ? undefined : decodeURIComponent(password)
}
