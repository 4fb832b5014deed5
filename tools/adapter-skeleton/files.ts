import type { Manifest } from '../workspace.ts'
import { sourceFiles } from './sources.ts'
import type { AdapterNames } from './sources.ts'

/** The README headings of every adapter. */
export const readmeHeadings: readonly string[] = [
  'Install',
  'URL',
  'Options',
  'Delivery',
  'Limits',
  'Errors',
  'Native access',
]

/** The source files of every adapter. */
export const adapterSources: readonly string[] = [
  'index.ts',
  'config.ts',
  'driver.ts',
  'producer.ts',
  'consumer.ts',
  'admin.ts',
  'codec.ts',
  'errors.ts',
]

/** Every file of a new adapter, by its path in the adapter's folder. `model` is the package.json to take versions from. */
export function adapterFiles(name: string, model: Manifest): Readonly<Record<string, string>> {
  const names: AdapterNames = { name, type: `${name.charAt(0).toUpperCase()}${name.slice(1)}` }
  return {
    'package.json': `${JSON.stringify(manifest(name, model), undefined, 2)}\n`,
    'tsconfig.json': `${JSON.stringify(tsconfig, undefined, 2)}\n`,
    'README.md': readme(names),
    ...sourceFiles(names),
    'test/harness.ts': harness(names),
    'test/conformance.test.ts': conformanceTest(names),
    'test/config.test.ts': configTest(names),
  }
}

function manifest(name: string, model: Manifest): object {
  return {
    ...model,
    name: `@sluice/${name}`,
    description: `Sluice on ${name}`,
    repository: { type: 'git', url: 'git+https://github.com/sluice-stream/sluice.git', directory: `adapters/${name}` },
    dependencies: Object.fromEntries(
      Object.entries(model.dependencies ?? {}).filter(([each]) => ['@sluice/driver', 'inversify'].includes(each)),
    ),
  }
}

const tsconfig = { extends: '../../tsconfig.base.json', references: [{ path: '../../packages/driver' }] }

function readme({ name }: AdapterNames): string {
  const texts: Readonly<Record<string, string>> = {
    Install: `    npm install @sluice/core @sluice/${name}`,
    URL: `    ${name}://HOST:PORT`,
    Options:
      '| option | default | meaning |\n| --- | --- | --- |\n| `requestTimeoutMs` | `10000` | Gives up a request after this time |',
    Delivery: 'What a receipt means, what order is kept, and what may come twice.',
    Limits: 'What the backend takes, and how it counts.',
    Errors: "Which of the SDK's errors becomes which code.",
    'Native access': "`cloud.native()` is the SDK's client, `message.native()` its message.",
  }
  const sections = readmeHeadings.map((heading) => `## ${heading}\n\n${texts[heading] ?? ''}\n`)
  return `# @sluice/${name}\n\nSluice on ${name}.\n\n${sections.join('\n')}\n## License\n\nApache-2.0\n`
}

function harness({ name }: AdapterNames): string {
  return `import type { Harness } from '@sluice/conformance'
import { adapter } from '../src/index.ts'

/** A backend to run the suite against: start one here, or name one that runs. */
export function ${name}Harness(): Harness {
  return { name: '${name}', url: '${name}://localhost', adapters: [adapter] }
}
`
}

function conformanceTest({ name }: AdapterNames): string {
  return `import { conformance } from '@sluice/conformance'
import { ${name}Harness } from './harness.ts'

// What the backend cannot do is in its capabilities: there is no other way to skip a case.
conformance(() => ${name}Harness())
`
}

function configTest({ name }: AdapterNames): string {
  return `import { expect, it } from 'vitest'
import { parseBackendUrl } from '@sluice/driver'
import { parseConfig } from '../src/config.ts'

it('reads host and options', () => {
  expect(parseConfig(parseBackendUrl('${name}://localhost:1?requestTimeoutMs=5'))).toEqual({
    host: 'localhost:1',
    requestTimeoutMs: 5,
  })
})

it('names the nearest option for one it does not know', () => {
  expect(() => parseConfig(parseBackendUrl('${name}://h?requestTimeoutMS=5'))).toThrow(/did you mean "requestTimeoutMs"/)
})
`
}
