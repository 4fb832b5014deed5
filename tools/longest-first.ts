import { BaseSequencer } from 'vitest/node'
import type { TestSpecification } from 'vitest/node'

/** Test files that take minutes, the longest first. */
const longest = [
  'kinesis/test/conformance/localstack',
  'kinesis/test/conformance/',
  'nats/test/conformance/',
  'local/test/',
  'conformance',
]

/** Begins with what takes longest, so that a run does not end with one worker at work and the others idle. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    // oxlint-disable-next-line unicorn/no-array-sort -- not an array's
    const sorted = await super.sort(files)
    return sorted.toSorted((a, b) => rank(a.moduleId) - rank(b.moduleId))
  }
}

function rank(file: string): number {
  const found = longest.findIndex((part) => file.includes(part))
  return found < 0 ? longest.length : found
}
