import { dirname, resolve } from 'node:path'
import { didYouMean } from '@sluice/driver'
import { Fields } from './fields.ts'
import type { FunctionPlan, ModuleReference, Pipeline, SinkPlan, SourcePlan, TopicPlan } from './pipeline.ts'
import { readReading } from './parse-reading.ts'
import { SourceFile } from './source-file.ts'

/**
 * Reads the text of a `sluice.yaml`. Throws `invalid-argument`, naming file, line and column of everything that is
 * wrong. Does not look at the disk: the files under `use` are looked for by `loadPipeline`.
 */
export function parsePipeline(text: string, file: string): Pipeline {
  const source = new SourceFile(text, file)
  source.throwProblems()
  const fields = new Fields(source, source.root, 'the pipeline')
  const reader = new PipelineReader(source, fields)
  const pipeline = reader.read(dirname(resolve(file)))
  fields.finish()
  source.throwProblems()
  return pipeline
}

/** `local:./data` in a file means a folder beside the file, wherever the command is started. */
function resolveBackendFolder(backend: string, folder: string): string {
  const match = /^([a-z][a-z0-9+.-]*:)(\.{1,2}(?:\/[^?]*)?)(\?.*)?$/i.exec(backend)
  if (match === null) return backend
  const [, scheme = '', path = '', query = ''] = match
  return `${scheme}${encodeURI(resolve(folder, decodeURI(path)))}${query}`
}

class PipelineReader {
  readonly #source: SourceFile
  readonly #fields: Fields
  readonly #topics: readonly TopicPlan[]

  constructor(source: SourceFile, fields: Fields) {
    this.#source = source
    this.#fields = fields
    this.#topics = this.#each('topics', 'topic', readTopic)
  }

  read(folder: string): Pipeline {
    const backend = this.#fields.text('backend')
    return {
      file: this.#source.name,
      folder,
      backend: backend === undefined ? undefined : resolveBackendFolder(backend, folder),
      topics: this.#topics,
      sources: this.#each('sources', 'source', (name, fields) => this.#readSource(name, fields)),
      functions: this.#each('functions', 'function', (name, fields) => this.#readFunction(name, fields)),
      sinks: [
        ...this.#each('sinks', 'sink', (name, fields) => this.#readSink('sink', name, fields)),
        ...this.#each('clients', 'client', (name, fields) => this.#readSink('client', name, fields)),
      ],
    }
  }

  #each<T>(section: string, kind: string, read: (name: string, fields: Fields) => T): T[] {
    return this.#fields.entries(section).map(({ name, key, value }) => {
      const fields = new Fields(this.#source, value, `${kind} "${name}"`, key)
      const plan = read(name, fields)
      fields.finish()
      return plan
    })
  }

  #readSource(name: string, fields: Fields): SourcePlan {
    return {
      name,
      to: this.#topicOf(fields, 'to', 'the topic it brings messages into'),
      module: readModule(fields),
      options: readOptions(fields),
    }
  }

  #readFunction(name: string, fields: Fields): FunctionPlan {
    const from = this.#topicOf(fields, 'from', 'the topic it reads')
    const to = this.#checkTopic(fields, 'to', fields.text('to'))
    if (to === from) fields.report('to', `"to" names topic "${to}", which is the one it reads; name another`)
    return {
      name,
      from,
      to,
      group: fields.text('group') ?? name,
      delivery: fields.oneOf('delivery', ['exactly-once', 'at-least-once']),
      reading: readReading(fields, from),
      module: readModule(fields),
      place: fields.place,
    }
  }

  #readSink(kind: SinkPlan['kind'], name: string, fields: Fields): SinkPlan {
    const batch = fields.map('batch')
    const from = this.#topicOf(fields, 'from', 'the topic it reads')
    const plan: SinkPlan = {
      kind,
      name,
      from,
      group: fields.text('group') ?? name,
      batch: { max: batch?.integer('max', 1) ?? 500, waitMs: batch?.duration('wait') ?? 0 },
      reading: readReading(fields, from),
      module: readModule(fields),
      options: readOptions(fields),
    }
    batch?.finish()
    return plan
  }

  #topicOf(fields: Fields, key: 'from' | 'to', meaning: string): string {
    const topic = fields.requiredText(key, meaning)
    this.#checkTopic(fields, key, topic === '' ? undefined : topic)
    return topic
  }

  #checkTopic(fields: Fields, key: string, topic: string | undefined): string | undefined {
    const names = this.#topics.map(({ name }) => name)
    if (topic === undefined || names.includes(topic)) return topic
    const help = didYouMean(topic, names, 'add it under "topics"')
    fields.report(key, `"${key}" names topic "${topic}", which is not under "topics"; ${help}`)
    return topic
  }
}

function readTopic(name: string, fields: Fields): TopicPlan {
  const rate = fields.map('rateLimit')
  const limits = {
    ...optional('messagesPerSecond', rate?.integer('messagesPerSecond', 1)),
    ...optional('bytesPerSecond', rate?.size('bytesPerSecond')),
  }
  rate?.finish()
  return {
    name,
    spec: {
      ...optional('partitions', fields.integer('partitions', 1)),
      ...optional('order', fields.oneOf('order', ['key', 'none'])),
      ...optional('retentionMs', fields.duration('retention')),
      ...optional('retentionBytes', fields.size('retentionBytes')),
    },
    rateLimit: rate === undefined ? undefined : limits,
  }
}

function readModule(fields: Fields): ModuleReference {
  const use = fields.requiredText('use', 'the module with its code, for example ./classify.ts')
  return { use, exportName: fields.text('export'), place: fields.placeOf('use') }
}

function readOptions(fields: Fields): Readonly<Record<string, unknown>> {
  const options = fields.plain('options') ?? {}
  if (typeof options === 'object' && !Array.isArray(options)) return options as Record<string, unknown>
  fields.report('options', '"options" must be a map; it is handed to the module as it is')
  return {}
}

/** `{ [name]: value }`, or nothing when the value is absent: what `exactOptionalPropertyTypes` asks for. */
function optional<K extends string, V>(name: K, value: V | undefined): { readonly [P in K]?: V } {
  return value === undefined ? {} : ({ [name]: value } as { readonly [P in K]?: V })
}
