import { StreamError } from '@sluice/driver'
import type { FunctionPlan, Pipeline } from './pipeline.ts'
import { formatPlace } from './source-file.ts'

/**
 * Throws `invalid-argument`, naming the place, for a pipeline that has nothing to run, and, where the run is to end by
 * itself, for one that never is idle: functions that go round in a circle always have something to do.
 */
export function checkRunnable(pipeline: Pipeline, untilIdle: boolean): void {
  if (pipeline.sources.length + pipeline.functions.length + pipeline.sinks.length === 0) {
    const place = formatPlace({ file: pipeline.file, line: 1, column: 1 })
    throw wrong(`${place}: there is nothing to run; add sources, functions, sinks or clients`)
  }
  const circle = untilIdle ? findCircle(pipeline.functions) : []
  const [first] = circle
  if (first === undefined) return
  const way = [first.from, ...circle.map(({ name, to }) => `${name} -> ${to}`)].join(' -> ')
  const help = 'run it without --until-idle, or have one of them send elsewhere'
  throw wrong(`${formatPlace(first.place)}: functions that go round in a circle are never idle (${way}); ${help}`)
}

/** The functions of a circle, each of which reads what the one before it sends; empty when there is none. */
function findCircle(functions: readonly FunctionPlan[]): readonly FunctionPlan[] {
  const circling = functions.filter(({ to }) => functions.some(({ from }) => from === to))
  // Without those that send to nobody, others may send to nobody.
  if (circling.length < functions.length) return findCircle(circling)
  // Each of those left sends to another of them: the way from any ends in a circle.
  const way: FunctionPlan[] = []
  let next = circling[0]
  while (next !== undefined && !way.includes(next)) {
    const { to } = next
    way.push(next)
    next = circling.find(({ from }) => from === to)
  }
  return next === undefined ? [] : way.slice(way.indexOf(next))
}

function wrong(text: string): StreamError {
  return new StreamError('invalid-argument', text)
}
