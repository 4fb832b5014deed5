import { conformance } from '@sluice/conformance'
import { kinesisHarness } from '../harness.ts'

// Over HTTP/2, as at AWS; polling is tried over HTTP/1.1.
conformance(() => kinesisHarness('&mode=efo&http1=false', { name: 'kinesis, enhanced fan-out' }))
