import { describe, expect, it } from 'vitest'
import { chooseBackend, parsePipeline } from '@sluice/runtime'
import { StreamError } from '@sluice/driver'

const whole = `
backend: local:./data
topics:
  quakes: { partitions: 4, retention: 7d, order: key, retentionBytes: 1GiB, rateLimit: { messagesPerSecond: 100, bytesPerSecond: 1MB } }
  alerts: {}
  plain:
functions:
  classify:
    from: quakes
    to: alerts
    use: ./classify.ts
    export: classify
    group: graders
    concurrency: 4
    delivery: exactly-once
    start: latest
    retry: { maxAttempts: 3, base: 100ms, max: 30s }
    deadLetter: trash
sources:
  usgs: { to: quakes, use: ./source.ts, options: { url: 'https://example.org' } }
sinks:
  archive: { from: alerts, use: ./archive.ts, batch: { max: 10, wait: 50ms }, deadLetter: false }
clients:
  bulletin: { from: alerts, use: ./bulletin.ts }
`

function problemsOf(text: string): string[] {
  try {
    parsePipeline(text, 'sluice.yaml')
  } catch (error) {
    if (StreamError.is(error, 'invalid-argument')) return error.message.split('\n')
    throw error
  }
  return []
}

describe('a whole file', () => {
  const pipeline = parsePipeline(whole, '/srv/quakes/sluice.yaml')

  it('reads topics with their units', () => {
    expect(pipeline.topics[0]).toEqual({
      name: 'quakes',
      spec: { partitions: 4, order: 'key', retentionMs: 604_800_000, retentionBytes: 1_073_741_824 },
      rateLimit: { messagesPerSecond: 100, bytesPerSecond: 1_000_000 },
    })
    expect(pipeline.topics.slice(1)).toEqual([
      { name: 'alerts', spec: {}, rateLimit: undefined },
      { name: 'plain', spec: {}, rateLimit: undefined },
    ])
  })

  it('reads functions with what they do on failure', () => {
    expect(pipeline.functions).toEqual([
      {
        name: 'classify',
        from: 'quakes',
        to: 'alerts',
        group: 'graders',
        delivery: 'exactly-once',
        reading: {
          concurrency: 4,
          start: 'latest',
          retry: { maxAttempts: 3, baseMs: 100, maxMs: 30_000 },
          deadLetter: { topic: 'trash' },
        },
        module: {
          use: './classify.ts',
          exportName: 'classify',
          place: { file: '/srv/quakes/sluice.yaml', line: 11, column: 10 },
        },
        place: { file: '/srv/quakes/sluice.yaml', line: 8, column: 3 },
      },
    ])
  })

  it('reads sources, sinks and clients, handing options on as they are', () => {
    expect(pipeline.sources[0]?.options).toEqual({ url: 'https://example.org' })
    expect(pipeline.sinks.map(({ kind, name, group }) => [kind, name, group])).toEqual([
      ['sink', 'archive', 'archive'],
      ['client', 'bulletin', 'bulletin'],
    ])
    expect(pipeline.sinks[0]).toMatchObject({ batch: { max: 10, waitMs: 50 }, reading: { deadLetter: false } })
  })

  it('takes a relative folder of the backend from the place of the file', () => {
    expect(pipeline.backend).toBe('local:/srv/quakes/data')
  })
})

describe('the backend', () => {
  it.each([
    ['local:../x', 'local:/srv/x'],
    ['local:./with space?profile=log', 'local:/srv/quakes/with%20space?profile=log'],
    ['local:/abs', 'local:/abs'],
    ['nats://localhost:4222', 'nats://localhost:4222'],
  ])('%s in a file means %s', (written, meant) => {
    expect(parsePipeline(`backend: ${written}`, '/srv/quakes/sluice.yaml').backend).toBe(meant)
  })

  it('is chosen by the flag, else the environment, else the file, else the default', () => {
    const pipeline = parsePipeline('backend: local:/file', 'sluice.yaml')
    expect(chooseBackend({ flag: 'a:', environment: 'b:', pipeline })).toEqual({ address: 'a:', source: 'flag' })
    expect(chooseBackend({ environment: 'b:', pipeline })).toEqual({ address: 'b:', source: 'environment' })
    expect(chooseBackend({ environment: '', pipeline })).toEqual({ address: 'local:/file', source: 'file' })
    expect(chooseBackend({})).toEqual({ address: 'local:./data', source: 'default' })
  })
})

describe('what is wrong is named with its line and column', () => {
  it('bad YAML', () => {
    expect(problemsOf('topics:\n  a: [1,\nb: }')[0]).toMatch(/^sluice\.yaml:3:1: /)
  })

  it('a colon in text without quotes, with the way out', () => {
    expect(problemsOf('topics: {}\nbackend: memory:')).toEqual([
      'sluice.yaml:2:10: Nested mappings are not allowed in compact mappings; put text that has a colon in it in quotes: "memory:"',
    ])
  })

  it('a repeated key', () => {
    expect(problemsOf('topics: {}\ntopics: {}')[0]).toMatch(/^sluice\.yaml:2:1: .*unique/)
  })

  it.each([
    [
      'topics: { a: { partitions: four } }',
      ['sluice.yaml:1:28: "partitions" of topic "a" must be a whole number, at least 1'],
    ],
    [
      'topics: { a: { partitions: 0 } }',
      ['sluice.yaml:1:28: "partitions" of topic "a" must be a whole number, at least 1'],
    ],
    [
      'topics: { a: { retention: 7 } }',
      ['sluice.yaml:1:27: "retention" of topic "a" must be a duration such as 250ms, 30s, 12h or 7d'],
    ],
    ['topics: { a: { order: keys } }', ['sluice.yaml:1:23: "order" of topic "a" must be one of key, none']],
    ['topics: [a, b]', ['sluice.yaml:1:9: "topics" of the pipeline must be a map of names']],
    ['- a', ['sluice.yaml:1:1: the pipeline must be a map of keys and values']],
    ['topics: { a: 4 }', ['sluice.yaml:1:14: topic "a" must be a map of keys and values']],
    ['backend: 4', ['sluice.yaml:1:10: "backend" of the pipeline must be text']],
    [
      'topics: { a: {} }\nsources: { s: { to: a, use: ./s.ts, options: 3 } }',
      ['sluice.yaml:2:46: "options" must be a map; it is handed to the module as it is'],
    ],
    [
      'topics: { a: {} }\nsinks: { s: { from: a, use: ./s.ts, start: soon } }',
      ['sluice.yaml:2:44: "start" must be earliest, latest or a time such as 2026-01-31T12:00:00Z'],
    ],
  ])('a wrong type: %s', (text, expected) => {
    expect(problemsOf(text)).toEqual(expected)
  })

  it('an unknown key, with the nearest known one', () => {
    expect(problemsOf('topics: { a: { partitoins: 3 } }\ntopcs: {}')).toEqual([
      'sluice.yaml:1:16: unknown key "partitoins" in topic "a"; did you mean "partitions"?',
      'sluice.yaml:2:1: unknown key "topcs" in the pipeline; did you mean "topics"?',
    ])
  })

  it('a key with two letters that changed places, and a topic of one letter that is like no other', () => {
    expect(
      problemsOf('topics: { a: {} }\nfunctions:\n  f:\n    from: a\n    form: b\n    to: b\n    use: ./f.ts'),
    ).toEqual([
      'sluice.yaml:5:5: unknown key "form" in function "f"; did you mean "from"?',
      'sluice.yaml:6:9: "to" names topic "b", which is not under "topics"; add it under "topics"',
    ])
  })

  it('an unknown key like no other, with what is known', () => {
    expect(problemsOf('topics: { a: { colour: red } }')).toEqual([
      'sluice.yaml:1:16: unknown key "colour" in topic "a"; known are rateLimit, partitions, order, retention, retentionBytes',
    ])
  })

  it('a function whose topics do not exist', () => {
    expect(problemsOf('topics: { quakes: {} }\nfunctions:\n  f: { from: quake, to: nowhere, use: ./f.ts }')).toEqual([
      'sluice.yaml:3:14: "from" names topic "quake", which is not under "topics"; did you mean "quakes"?',
      'sluice.yaml:3:25: "to" names topic "nowhere", which is not under "topics"; add it under "topics"',
    ])
  })

  it('a function that sends to the topic it reads', () => {
    expect(problemsOf('topics: { a: {} }\nfunctions:\n  f: { from: a, to: a, use: ./f.ts }')).toEqual([
      'sluice.yaml:3:21: "to" names topic "a", which is the one it reads; name another',
    ])
  })

  it.each(['functions', 'sinks', 'clients'])('dead letters of %s in the topic that is read', (section) => {
    expect(problemsOf(`topics: { a: {} }\n${section}:\n  f: { from: a, use: ./f.ts, deadLetter: a }`)).toEqual([
      'sluice.yaml:3:42: "deadLetter" names topic "a", which is the one it reads; name another, or leave it out for "a.dead-letters"',
    ])
  })

  it('what is missing', () => {
    expect(problemsOf('functions:\n  f:\n')).toEqual([
      'sluice.yaml:2:3: function "f" needs "from": the topic it reads',
      'sluice.yaml:2:3: function "f" needs "use": the module with its code, for example ./classify.ts',
    ])
  })
})
