import { readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { cases } from '../cases/index.ts'
import type { Case } from '../case.ts'

/** Writes the list of cases between the markers in this package's README: `cases.ts`. */
const path = fileURLToPath(new URL('../../README.md', import.meta.url))
const [begin, end] = ['<!-- cases -->', '<!-- /cases -->']
const readme = await readFile(path, 'utf8')
const [from, to] = [readme.indexOf(begin), readme.indexOf(end)]
if (from < 0 || to < from) throw new Error(`${path} has no ${begin} followed by ${end}`)
await writeFile(path, `${readme.slice(0, from + begin.length)}\n\n${list(cases)}\n\n${readme.slice(to)}`)
console.log(`${cases.length} cases listed`)

function list(all: readonly Case[]): string {
  const areas = new Map<string, string[]>()
  for (const { name } of all) {
    const [area = '', ...rest] = name.split('/')
    areas.set(area, [...(areas.get(area) ?? []), `\`${rest.join('/')}\``])
  }
  const lines = [...areas].map(([area, names]) => `**${area}** (${names.length}): ${names.join(' ')}`)
  return [`${all.length} cases.`, ...lines].join('\n\n')
}
