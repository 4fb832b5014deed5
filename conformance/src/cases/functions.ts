import type { FunctionOutput, Message } from '@sluice/core'
import type { Case } from '../case.ts'
import { keyOrder, notRunYet } from '../case.ts'
import type { CaseContext } from '../context.ts'
import { between, each, equal, firsts, sameOrder } from '../expect.ts'
import { messages, range, sendAll, texts } from '../setup.ts'
import { benchTo, outputs, settled, start } from './worker-setup.ts'
import type { Handle } from './worker-setup.ts'

/** A function between two topics, on the worker host. */
export const functionCases: readonly Case[] = [
  { name: 'function/maps', title: 'one message in, one out, with its key', run: maps },
  { name: 'function/filters', title: 'a function that gives nothing puts nothing out', run: filters },
  {
    name: 'function/fans-out',
    title: 'a function may give many, also as it goes, and their order is kept',
    run: fansOut,
  },
  {
    name: 'function/order-per-key',
    title: 'outputs of a key come in the order of its inputs',
    needs: keyOrder,
    run: orderPerKey,
  },
  notRunYet(
    'function/cold-and-warm-agree',
    'a cold and a warm serverless instance give the same outputs',
    'needs a serverless host: functions run on the worker host here',
  ),
]

function copies(context: CaseContext): number {
  return context.world.harness.copies ?? 1
}

async function maps(context: CaseContext): Promise<void> {
  const { cloud, topic, name, to } = await benchTo(context)
  await sendAll(topic, messages(60, 6))
  const made = start(
    context,
    cloud,
    ({ value, key }) => ({ value: value * 2, ...(key === undefined ? {} : { key }) }),
    { from: name, to },
  )
  await settled(context, made, 60)
  const { produced } = made.worker.stats()
  await made.stop()
  const out = await outputs(context, cloud, to, 60)
  between(produced, 60, 60 * copies(context), 'outputs counted')
  each(texts(out.map((one) => one.value)), texts(range(60).map((value) => value * 2)), copies(context) ** 2, 'outputs')
  for (const one of out) equal(one.key, `k${(Number(one.value) / 2) % 6}`, `the key of output ${String(one.value)}`)
}

async function filters(context: CaseContext): Promise<void> {
  const { cloud, topic, name, to } = await benchTo(context)
  await sendAll(topic, messages(40, 4))
  const made = start(
    context,
    cloud,
    ({ value }) => (value % 4 === 1 ? { value } : value % 4 === 2 ? null : undefined),
    { from: name, to },
  )
  await settled(context, made, 40)
  await made.stop()
  const out = await outputs(context, cloud, to, 10)
  each(
    texts(out.map((one) => one.value)),
    texts(range(40).filter((value) => value % 4 === 1)),
    copies(context) ** 2,
    'outputs that were let through',
  )
}

async function fansOut(context: CaseContext): Promise<void> {
  const { cloud, topic, name, to } = await benchTo(context)
  await sendAll(topic, messages(20, 2))
  const handle = ({ value }: Message<number>): FunctionOutput<unknown> => {
    const parts = range(3).map((part) => ({ value: value * 10 + part, key: `out-${value}` }))
    return value % 2 === 0 ? parts : stream(parts)
  }
  const made = start(context, cloud, handle, { from: name, to })
  await settled(context, made, 20)
  await made.stop()
  const out = await outputs(context, cloud, to, 60)
  const expected = range(20).flatMap((value) => range(3).map((part) => value * 10 + part))
  each(
    texts(out.map((one) => one.value)),
    texts(expected),
    copies(context) ** 2,
    'outputs of a function that gives three',
  )
  if (context.world.order === 'none') return
  for (const value of range(20)) {
    const of = firsts(
      out.filter((one) => one.key === `out-${value}`),
      (one) => String(one.value),
    ).map((one) => one.value)
    sameOrder(
      of,
      range(3).map((part) => value * 10 + part),
      `outputs of message ${value}`,
    )
  }
}

async function* stream<T>(items: readonly T[]): AsyncGenerator<T> {
  for (const item of items) {
    await new Promise((resolve) => setImmediate(resolve))
    yield item
  }
}

async function orderPerKey(context: CaseContext): Promise<void> {
  const { cloud, topic, name, to } = await benchTo(context)
  await sendAll(topic, messages(150, 5))
  const handle: Handle = async ({ value, key, attempt }) => {
    await context.pause(Math.floor(context.random() * 4))
    if (value % 29 === 7 && attempt === 1) throw new Error('at the second try')
    return { value, ...(key === undefined ? {} : { key }) }
  }
  const made = start(context, cloud, handle, { from: name, to })
  await settled(context, made, 150)
  await made.stop()
  const out = await outputs(context, cloud, to, 150)
  each(texts(out.map((one) => one.value)), texts(range(150)), copies(context) ** 2, 'outputs')
  for (const key of range(5)) {
    const of = firsts(
      out.filter((one) => one.key === `k${key}`),
      (one) => String(one.value),
    ).map((one) => one.value)
    sameOrder(
      of,
      range(150).filter((value) => value % 5 === key),
      `outputs of key k${key}`,
    )
  }
}
