import { conformance } from '@sluice/conformance'
import { localHarness } from '../harness.ts'

conformance(() => localHarness('memory, ambiguous-dedup'))
