import { conformance } from '@sluice/conformance'
import { kinesisHarness } from '../harness.ts'

// How records are written changes nothing about groups, leases and faults.
const filter = /^(roundtrip|publish|limits|capability|interop|function)\//

conformance(() => kinesisHarness('&encoding=raw', { name: 'kinesis, raw' }), { filter })
conformance(() => kinesisHarness('&encoding=cloudevents-json', { name: 'kinesis, cloudevents-json' }), { filter })
conformance(() => kinesisHarness('&aggregation=false', { name: 'kinesis, without aggregation' }), { filter })
