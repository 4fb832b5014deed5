import { groupBy, recordName } from './history.ts'
import type { Attempted, Stored } from './history.ts'

/** What a function round leaves behind. */
export interface FunctionHistory {
  readonly attempted: readonly Attempted[]
  readonly inputs: readonly Stored[]
  readonly outputs: readonly Stored[]
}

/**
 * Exactly once: the output topic holds one output of each record in the input topic, under its key, and those of a key
 * are in the order of their inputs. What was acknowledged is in the input topic, once.
 */
export function checkOutputs({ attempted, inputs, outputs }: FunctionHistory): readonly string[] {
  const stored = groupBy(inputs, recordName)
  const made = groupBy(outputs, recordName)
  return [
    ...count(
      'lost',
      'acknowledged records are not in the input topic',
      attempted.filter((one) => one.acked && !stored.has(recordName(one))),
    ),
    ...count(
      'stored twice',
      'records are in the input topic more than once',
      inputs.filter((one) => (stored.get(recordName(one))?.length ?? 0) > 1),
    ),
    ...count(
      'no output',
      'inputs have no output',
      inputs.filter((one) => !made.has(recordName(one))),
    ),
    ...count(
      'output twice',
      'outputs are there more than once',
      outputs.filter((one) => made.get(recordName(one))?.[0] !== one),
    ),
    ...count(
      'stranger',
      'outputs have no input',
      outputs.filter((one) => !stored.has(recordName(one))),
    ),
    ...findChangedOrder(inputs, outputs),
  ]
}

/** The first of each record, so that a second copy is counted once and not as a disorder too. */
function findChangedOrder(inputs: readonly Stored[], outputs: readonly Stored[]): readonly string[] {
  const wanted = groupBy(firsts(inputs), (one) => one.key)
  const found = groupBy(firsts(outputs), (one) => one.key)
  return [...wanted].flatMap(([key, lane]) => {
    const names = (found.get(key) ?? []).map(recordName)
    const present = new Set(names)
    const expected = lane.map(recordName).filter((name) => present.has(name))
    const at = expected.findIndex((name, index) => names[index] !== name)
    if (at < 0 && expected.length === names.length) return []
    const place = Math.max(at, 0)
    return [
      `order: outputs of key ${key} differ from its inputs at number ${place}: ${names[place]} instead of ${expected[place]}`,
    ]
  })
}

function firsts(records: readonly Stored[]): readonly Stored[] {
  return [...groupBy(records, recordName).values()].flatMap((copies) => copies.slice(0, 1))
}

function count(rule: string, what: string, records: readonly (Stored | Attempted)[]): readonly string[] {
  const [first] = records
  if (first === undefined) return []
  return [`${rule}: ${records.length} ${what}, the first ${recordName(first)} of key ${first.key ?? '(none)'}`]
}
