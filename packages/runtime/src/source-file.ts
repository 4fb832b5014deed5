import { StreamError } from '@sluice/driver'
import { isAlias, isMap, isScalar, LineCounter, parseDocument } from 'yaml'
import type { Document, Node } from 'yaml'

/** Where something stands in a file, counted from 1. */
export interface Place {
  readonly file: string
  readonly line: number
  readonly column: number
}

/** Something that is wrong with the file. */
export interface Problem extends Place {
  readonly text: string
}

/** `sluice.yaml:3:7`, as editors and terminals link it. */
export function formatPlace(place: Place): string {
  return `${place.file}:${place.line}:${place.column}`
}

/** One key of a map, with its nodes. */
export interface Entry {
  readonly name: string
  readonly key: Node
  readonly value: Node | undefined
}

/**
 * A parsed YAML file that remembers where each value stands. Problems are gathered, not thrown one by one, so that a
 * file is mended in one go.
 */
export class SourceFile {
  readonly name: string
  readonly problems: Problem[] = []
  readonly #lines = new LineCounter()
  readonly #document: Document.Parsed

  constructor(text: string, name: string) {
    this.name = name
    this.#document = parseDocument(text, { lineCounter: this.#lines, prettyErrors: false })
    for (const { code, message, pos } of this.#document.errors) {
      const help = code === 'BLOCK_AS_IMPLICIT_KEY' ? '; put text that has a colon in it in quotes: "memory:"' : ''
      this.#report(pos[0], `${tidy(message)}${help}`)
    }
  }

  /** The whole file's value. */
  get root(): Node | undefined {
    return this.#document.contents ?? undefined
  }

  /** Where a node begins. */
  placeOf(node: Node | undefined): Place {
    return this.#placeAt(node?.range?.[0] ?? 0)
  }

  /** Notes that something is wrong at a node. */
  report(node: Node | undefined, text: string): void {
    this.problems.push({ ...this.placeOf(node), text })
  }

  /** The entries of a map; `undefined` when the node is no map. An empty value counts as an empty map. */
  entriesOf(node: Node | undefined): Entry[] | undefined {
    const map = this.#resolve(node)
    if (map === undefined || isEmpty(map)) return []
    if (!isMap<Node, Node | null>(map)) return undefined
    return map.items.map((pair) => ({
      name: isScalar(pair.key) ? String(pair.key.value) : String(pair.key),
      key: pair.key,
      value: pair.value ?? undefined,
    }))
  }

  /** The plain JavaScript value of a node. */
  valueOf(node: Node | undefined): unknown {
    return this.#resolve(node)?.toJS(this.#document) as unknown
  }

  /** Throws `invalid-argument`, naming every problem with its place, when there is any. */
  throwProblems(): void {
    if (this.problems.length === 0) return
    const ordered = this.problems.toSorted((a, b) => a.line - b.line || a.column - b.column)
    const lines = ordered.map((problem) => `${formatPlace(problem)}: ${problem.text}`)
    throw new StreamError('invalid-argument', lines.join('\n'), { details: { problems: ordered } })
  }

  #resolve(node: Node | undefined): Node | undefined {
    return isAlias(node) ? node.resolve(this.#document) : node
  }

  #report(offset: number, text: string): void {
    this.problems.push({ ...this.#placeAt(offset), text })
  }

  #placeAt(offset: number): Place {
    const { line, col } = this.#lines.linePos(offset)
    return { file: this.name, line: Math.max(1, line), column: Math.max(1, col) }
  }
}

function isEmpty(node: Node): boolean {
  return isScalar(node) && node.value === null
}

function tidy(message: string): string {
  return message.replace(/\s+/g, ' ').trim()
}
