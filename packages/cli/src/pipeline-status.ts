import type { PartProgress } from '@sluice/runtime'
import { counted } from './words.ts'

/** Says in one line how a pipeline is doing: totals, and rates since the line before. */
export class PipelineStatus {
  #before = new Map<string, number>()
  #at = performance.now()

  line(progress: readonly PartProgress[]): string {
    const now = performance.now()
    const seconds = Math.max(0.001, (now - this.#at) / 1_000)
    const parts = progress.map((part) => {
      const moved = (movedBy(part) - (this.#before.get(part.name) ?? 0)) / seconds
      const rate = part.state === 'running' ? ` ${Math.round(moved)}/s` : ` ${part.state}`
      return `${part.name} ${movedBy(part)}${rate}`
    })
    this.#before = new Map(progress.map((part) => [part.name, movedBy(part)]))
    this.#at = now
    return parts.join('  ')
  }

  /** What each part did in all. */
  summaries(progress: readonly PartProgress[]): readonly string[] {
    return progress.map((part) => {
      const facts = [
        ...(part.kind === 'source' ? [] : [`${part.received} in`]),
        ...(part.kind === 'source' || part.kind === 'function' ? [`${part.produced} out`] : []),
        ...(part.retried > 0 ? [`${part.retried} retried`] : []),
        ...(part.deadLettered > 0 ? [counted(part.deadLettered, 'dead letter')] : []),
      ]
      return `${part.kind} ${part.name}: ${facts.join(', ')}`
    })
  }
}

function movedBy(part: PartProgress): number {
  return part.kind === 'source' ? part.produced : part.received
}
