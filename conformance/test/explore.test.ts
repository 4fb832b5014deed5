import { expect, it } from 'vitest'
import { memoryHarness } from '../src/embedded.ts'
import { openHarness } from '../src/open.ts'
import { override } from '../src/override.ts'
import { explore } from '../src/suite.ts'

it('keeps a connection to a backend that lives in this process, and to no other', async () => {
  const harness = memoryHarness()
  for (const embedded of [true, false]) {
    let closed = 0
    const open = async (): ReturnType<typeof openHarness> => {
      const real = await openHarness(harness)
      const close = (): Promise<void> => {
        closed++
        return real.close()
      }
      return override(real, { capabilities: { ...real.capabilities, embedded }, close })
    }
    const { world, anchor } = await explore({ ...harness, open })
    expect([world.capabilities.embedded, closed]).toEqual([embedded, embedded ? 0 : 1])
    await anchor.close()
    expect(closed).toBe(1)
  }
})
