import { conformance } from '@sluice/conformance'
import { fanOut, kinesisHarness } from '../harness.ts'

conformance(() => kinesisHarness(...fanOut))
