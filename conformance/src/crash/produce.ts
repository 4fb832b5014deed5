import type { Cloud } from '@sluice/core'
import { json } from '../codecs.ts'
import { between, seededRandom } from '../random.ts'
import type { Random } from '@sluice/driver'
import type { Payload, ProduceInstruction } from './instruction.ts'
import { Journal } from './journal.ts'
import type { ProducerLine } from './journal.ts'

const keys = 64

interface Sent {
  readonly key: string | undefined
  readonly id: string
  readonly value: Payload
}

/** Sends numbered records, most with a key, as fast as the window lets it, and notes each try and each receipt. */
export async function produce(
  cloud: Cloud,
  instruction: ProduceInstruction,
  signal: AbortSignal,
  onFirstAck: () => void,
): Promise<void> {
  const { bug, end, first, journal: path, seed, slot, window } = instruction
  const producer = cloud.topic(instruction.topic, { codec: json<Payload>() }).producer()
  const journal = new Journal<ProducerLine>(path)
  const random = seededRandom(seed + first)
  const inFlight = new Set<Promise<void>>()
  let acks = 0
  const send = async (record: Sent): Promise<void> => {
    const { id, key, value } = record
    if (bug === 'journal-before-ack') journal.write({ kind: 'ack', seq: value.seq, id })
    try {
      await producer.send({ id, value, ...(key === undefined ? {} : { key }) })
      if (bug !== 'journal-before-ack') journal.write({ kind: 'ack', seq: value.seq, id })
      if (++acks === 1) onFirstAck()
    } catch (error) {
      journal.write({ kind: 'refused', seq: value.seq, why: String(error) })
    }
  }
  for (let seq = first; seq < end && !signal.aborted;) {
    const group = bug === 'reorder' && seq % 50 === 0 ? twoOfOneKey(slot, seq, random) : [record(slot, seq, random)]
    for (const { id, key, value } of group) {
      journal.write({ kind: 'try', seq: value.seq, key, id, bytes: value.pad.length })
    }
    for (const one of group.toReversed()) {
      const sending = send(one).finally(() => inFlight.delete(sending))
      inFlight.add(sending)
    }
    seq += group.length
    while (inFlight.size >= window) await Promise.race(inFlight)
    if (random() < 0.02) await new Promise((resolve) => setTimeout(resolve, between(random, 1, 8)))
  }
  await Promise.all(inFlight)
  await producer.close()
  journal.close()
}

function record(slot: number, seq: number, random: Random): Sent {
  const key = random() < 0.1 ? undefined : `k${between(random, 0, keys - 1)}`
  return { key, id: `${slot}-${seq}`, value: { slot, seq, pad: 'x'.repeat(weight(random)) } }
}

function twoOfOneKey(slot: number, seq: number, random: Random): readonly Sent[] {
  const first = record(slot, seq, random)
  return [first, { ...record(slot, seq + 1, random), key: first.key }]
}

/** Mostly small, sometimes larger than a page, seldom larger than most buffers. */
function weight(random: Random): number {
  const kind = random()
  if (kind < 0.9) return between(random, 0, 200)
  return kind < 0.99 ? between(random, 2_000, 8_000) : between(random, 30_000, 60_000)
}
