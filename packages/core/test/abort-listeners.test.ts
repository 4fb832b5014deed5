import { expect, it } from 'vitest'
import { AbortListeners } from '../src/producer/abort-listeners.ts'

it('calls each once: those too that are added meanwhile, not those that were removed', () => {
  const aborts = new AbortListeners()
  const { signal, abort } = controller()
  const called: string[] = []
  const late = (): void => void called.push('late')
  const removed = (): void => void called.push('removed')
  aborts.add(signal, () => {
    called.push('first')
    aborts.remove(signal, removed)
    aborts.add(signal, late)
  })
  aborts.add(signal, removed)
  aborts.add(signal, () => void called.push('last'))
  abort()
  expect(called).toEqual(['first', 'last', 'late'])
})

it('calls for one signal nobody who listens to another, and nobody after all were removed', () => {
  const aborts = new AbortListeners()
  const one = controller()
  const other = controller()
  const called: string[] = []
  const listener = (): void => void called.push('one')
  aborts.add(one.signal, listener)
  aborts.add(other.signal, () => void called.push('other'))
  aborts.remove(one.signal, listener)
  one.abort()
  expect(called).toEqual([])
  other.abort()
  expect(called).toEqual(['other'])
})

function controller(): { readonly signal: AbortSignal; readonly abort: () => void } {
  const controller = new AbortController()
  return { signal: controller.signal, abort: () => controller.abort() }
}
