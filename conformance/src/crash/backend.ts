import { connect, StreamError } from '@sluice/core'
import { UsageError } from './arguments.ts'
import type { Mode } from './plan.ts'

/**
 * The modes that can be played on a backend; `wanted` alone if that is one. Throws {@link UsageError} when there is none,
 * or when the backend cannot be reached.
 */
export async function playableMode(address: string, wanted: Mode | undefined): Promise<Mode | undefined> {
  const { lag, positions, shapes, transactions } = await capabilitiesOf(address)
  if (shapes.key !== 'log' || positions === 'none') {
    throw new UsageError(`${address} has no topics that keep the order of keys and their place; crash rounds need them`)
  }
  if (lag.length === 0) throw new UsageError(`${address} cannot tell when a group has handled everything`)
  if (transactions) return wanted
  if (wanted === 'function') throw new UsageError(`${address} has no transactions; use --mode group`)
  return 'group'
}

async function capabilitiesOf(address: string): Promise<Awaited<ReturnType<typeof connect>>['capabilities']> {
  try {
    await using cloud = await connect(address, { create: false })
    return cloud.capabilities
  } catch (error) {
    if (StreamError.is(error)) throw new UsageError(`--backend: ${error.message}`)
    throw error
  }
}
