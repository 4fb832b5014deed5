import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'

/** What came of a part: its text, which begins with a heading, and how often it was measured. */
export interface Section {
  readonly text: string
  readonly rounds: number
}

const head = `# Results

Made by \`npm run bench\`: each way in a process of its own that has warmed up, all of a cell at once; they take turns of a second or
less, so that what else happens on a machine meets all of them. Medians of the rounds; in brackets
the lowest and highest ratio of a round. CPU and memory are those of the whole client process; a server's are not in them.`

/** The text of sections, as of now. */
export function report(sections: readonly Section[]): string {
  return `${[head, ...sections.map(dated)].join('\n\n')}\n`
}

/** Puts sections into a file in place of those that it has under the same headings, or at its end. */
export function renew(file: string, sections: readonly Section[]): void {
  const [, ...kept] = existsSync(file)
    ? readFileSync(file, 'utf8')
        .trimEnd()
        .split(/\n\n(?=## )/)
    : []
  const texts = new Map([...kept, ...sections.map(dated)].map((text) => [headingOf(text), text]))
  writeFileSync(file, `${[head, ...texts.values()].join('\n\n')}\n`)
}

function dated({ text, rounds }: Section): string {
  const heading = headingOf(text)
  const machine = `Node ${process.versions.node}, ${cpus().length} cores (${cpus()[0]?.model ?? 'unknown'})`
  return `${heading}\n\n${new Date().toISOString().slice(0, 10)}, ${rounds === 1 ? 'one round' : `${rounds} rounds`}, ${machine}.${text.slice(heading.length)}`
}

function headingOf(text: string): string {
  return text.slice(0, text.indexOf('\n'))
}
