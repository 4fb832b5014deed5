import { version } from './version.ts'

/** Files of a small pipeline that runs as it is: a source that counts, a function, and a client that prints. */
export function starterFiles(name: string): Readonly<Record<string, string>> {
  return {
    'sluice.yaml': pipeline,
    'package.json': `${JSON.stringify(manifest(name), undefined, 2)}\n`,
    'source.ts': source,
    'classify.ts': classify,
    'print.ts': print,
    '.gitignore': 'node_modules/\ndata/\n',
  }
}

function manifest(name: string): object {
  const packageName =
    name
      .toLowerCase()
      .replace(/[^a-z0-9-]+/g, '-')
      .replace(/^-+|-+$/g, '') || 'pipeline'
  return {
    name: packageName,
    private: true,
    type: 'module',
    scripts: { start: 'sluice run' },
    dependencies: { '@sluice/core': `^${version()}`, '@sluice/local': `^${version()}`, sluice: `^${version()}` },
    engines: { node: '>=24' },
  }
}

const pipeline = `# The only line that names a backend. Change it, and nothing else, to move the pipeline.
backend: local:./data

topics:
  readings: { partitions: 4 }
  alarms: {}

sources:
  thermometers: { to: readings, use: ./source.ts }

functions:
  classify: { from: readings, to: alarms, use: ./classify.ts }

clients:
  print: { from: alarms, use: ./print.ts }
`

const source = `/** Twenty readings of four thermometers. The ids make a second run within the log's deduplication window store nothing twice. */
export async function* thermometers() {
  for (let n = 0; n < 20; n++) {
    const room = \`room-\${n % 4}\`
    yield { id: \`reading-\${n}\`, key: room, value: { room, celsius: 18 + ((n * 7) % 12) } }
  }
}
`

const classify = `import { defineFunction } from '@sluice/core'

interface Reading {
  readonly room: string
  readonly celsius: number
}

/** Readings above 25 °C become alarms; the others become nothing. */
export const classify = defineFunction<Reading, { readonly text: string }>({
  name: 'classify',
  handle: ({ key, value }) =>
    value.celsius > 25 && key !== undefined ? { key, value: { text: \`\${value.room} is at \${value.celsius} °C\` } } : undefined,
})
`

const print = `import type { Message } from '@sluice/core'

export function print(message: Message<{ readonly text: string }>): void {
  console.log(message.value.text)
}
`
