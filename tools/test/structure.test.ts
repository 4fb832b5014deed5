import { existsSync, globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { adapterSources, readmeHeadings } from '../adapter-skeleton/files.ts'
import { publishable, root, workspaces } from '../workspace.ts'

const adapters = workspaces().filter(({ folder }) => folder.startsWith('adapters/'))

describe.each(adapters)('$folder', ({ path, manifest }) => {
  it('has the source files that every adapter has', () => {
    expect(adapterSources.filter((file) => !existsSync(join(path, 'src', file)))).toEqual([])
  })

  it('has the README headings that every adapter has, in the same order', () => {
    const headings = [...readme(path).matchAll(/^## (.+)$/gm)].map(([, heading]) => heading)
    expect(headings.filter((heading) => readmeHeadings.includes(heading ?? ''))).toEqual(readmeHeadings)
  })

  it('lists every option in its README, with its default', async () => {
    const { optionDescriptions } = (await import(join(path, 'src/config.ts'))) as {
      readonly optionDescriptions: readonly { readonly name: string; readonly default: string }[]
    }
    const [, section = ''] = readme(path).split('\n## Options\n')
    const [table = ''] = section.split('\n## ')
    const listed = [...table.matchAll(/^\| `(\w+)` \| (?:`(.*?)`)? ?\|/gm)].map(([, name, value = '']) => [name, value])
    expect(listed).toEqual(optionDescriptions.map((option) => [option.name, option.default]))
  })

  it('has a conformance test', () => {
    expect(globSync(['test/**/conformance*.test.ts', 'test/conformance/*.test.ts'], { cwd: path })).not.toEqual([])
  })

  it('depends on the contract, not on core', () => {
    expect(Object.keys(manifest.dependencies ?? {})).toContain('@sluice/driver')
    expect(Object.keys(manifest.dependencies ?? {})).not.toContain('@sluice/core')
  })
})

describe.each(publishable())('$folder', ({ folder, path, manifest }) => {
  it('has a README under its name', () => {
    expect(readme(path).split('\n')[0]).toBe(`# ${manifest.name}`)
  })

  it('says what npm needs to know', () => {
    expect(manifest).toMatchObject({
      license: 'Apache-2.0',
      type: 'module',
      sideEffects: false,
      engines: { node: '>=22.13' },
      repository: { directory: folder },
      publishConfig: { access: 'public' },
    })
  })

  it('is built with the rest', () => {
    const config = JSON.parse(readFileSync(join(root, 'tsconfig.json'), 'utf8')) as { references: { path: string }[] }
    expect(config.references.map((reference) => reference.path)).toContain(folder)
  })
})

const sources = workspaces().flatMap(({ folder }) => globSync(`${folder}/src/**/*.ts`, { cwd: root }))

describe('tests', () => {
  it('match texts by expect.stringMatching: a regular expression as a property is equal to everything', () => {
    const tests = [...workspaces().map(({ folder }) => folder), 'tools'].flatMap((folder) =>
      globSync(`${folder}/test/**/*.ts`, { cwd: root }),
    )
    expect(linesMatching(tests, /^(?!.*\.toMatch\().*\b[a-zA-Z]+: \/(?![/*\s]).+\/[a-z]*\s*[,}]/)).toEqual([])
  })
})

describe('sources', () => {
  it('take time and chance through their ports, in core and lease', () => {
    const guarded = sources.filter((file) => /^packages\/(core|lease)\//.test(file))
    const pattern = /\bDate\.now\(|\bset(Timeout|Interval)\(|\bMath\.random\(|\bnew Date\(\)/
    expect(guarded.length).toBeGreaterThan(0)
    expect(linesMatching(guarded, pattern)).toEqual([])
  })

  it('name what they export: no export *', () => {
    expect(linesMatching(sources, /^export (type )?\*/)).toEqual([])
  })

  it('leave nothing for later: no TODO, FIXME or skipped test', () => {
    const tests = workspaces().flatMap(({ folder }) => globSync(`${folder}/test/**/*.ts`, { cwd: root }))
    expect(
      linesMatching([...sources, ...tests], /\b(TODO|FIXME|XXX)\b|\b(it|test|describe)\.(skip|todo|only)\(/),
    ).toEqual([])
  })
})

function readme(path: string): string {
  const file = join(path, 'README.md')
  return existsSync(file) ? readFileSync(file, 'utf8') : ''
}

/** `file:line text` of every line of code that matches; comments may name what they like. */
function linesMatching(files: readonly string[], pattern: RegExp): string[] {
  return files.flatMap((file) =>
    readFileSync(join(root, file), 'utf8')
      .split('\n')
      .flatMap((line, index) => {
        const code = line.replace(/^\s*(\*|\/\*\*|\/\/).*$/, '')
        return pattern.test(code) ? [`${file}:${index + 1} ${line.trim()}`] : []
      }),
  )
}
