import { conformance } from '@sluice/conformance'
import { localHarnesses } from './harness.ts'

for (const harness of localHarnesses()) conformance(() => harness)
