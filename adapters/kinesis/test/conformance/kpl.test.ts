import { conformance } from '@sluice/conformance'
import { kinesisHarness } from '../harness.ts'

// What the backend cannot do is in its capabilities: there is no other way to skip a case.
conformance(() => kinesisHarness())
