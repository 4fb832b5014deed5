import { StreamError } from '@sluice/driver'
import type { AdminOperation, OutgoingRecord, PartitionLag, TopicDescription, TopicSpec } from '@sluice/driver'
import type { Admin, DeadLetter } from './api/admin.ts'
import type { Start } from './api/consumer.ts'
import type { ReadMessage } from './api/message.ts'
import { bytes } from './codecs.ts'
import { bodyIdHeader, redriveGroupHeader } from './consumer/dead-letter.ts'
import { deadLetterTopicOf } from './consumer/settings.ts'
import { topicSpec } from './option-kinds.ts'
import { checkArgument, checkOptions, name as nameKind } from './options.ts'
import { Pairs, Passed, toDeadLetter } from './letters.ts'
import type { Session } from './session.ts'
import { checkStart, toStartFrom } from './start.ts'
import { ValueFormat } from './values.ts'

const raw = new ValueFormat(bytes, undefined)
const sentBackHeader = 'dlq-sent-back'

/** The administration of a connection: the driver's, with capabilities checked first and dead letters on top. */
export class SessionAdmin implements Admin {
  readonly #session: Session

  constructor(session: Session) {
    this.#session = session
  }

  async createTopic(name: string, spec: TopicSpec = {}): Promise<'created' | 'exists'> {
    this.#require('create', 'creating topics')
    checkName(name)
    checkOptions(`topic "${name}"`, spec, topicSpec)
    return this.#driver.admin.createTopic(name, spec, this.#session.signal)
  }

  async describeTopic(name: string): Promise<TopicDescription> {
    this.#require('describe', 'describing topics')
    checkNames({ topic: name })
    return this.#driver.admin.describeTopic(name, this.#session.signal)
  }

  async listTopics(): Promise<readonly string[]> {
    this.#require('list', 'listing topics')
    return this.#driver.admin.listTopics(this.#session.signal)
  }

  async setPartitions(name: string, count: number): Promise<void> {
    if (this.#driver.capabilities.repartition === false) throw this.#unsupported('changing the number of partitions')
    checkNames({ topic: name })
    if (!Number.isInteger(count) || count < 1)
      throw new StreamError('invalid-argument', `a topic has 1 partition or more, not ${String(count)}`)
    return this.#driver.admin.setPartitions(name, count, this.#session.signal)
  }

  async setRetention(name: string, retention: Pick<TopicSpec, 'retentionMs' | 'retentionBytes'>): Promise<void> {
    this.#require('retention', 'setting retention')
    checkNames({ topic: name })
    const { retentionMs, retentionBytes } = topicSpec
    checkOptions<typeof retention>(`topic "${name}"`, retention, { retentionMs, retentionBytes })
    return this.#driver.admin.setRetention(name, retention, this.#session.signal)
  }

  async deleteTopic(name: string): Promise<void> {
    this.#require('delete', 'deleting topics')
    checkNames({ topic: name })
    await this.#driver.admin.deleteTopic(name, this.#session.signal)
    this.#session.forgetTopic(name)
  }

  async listGroups(topic: string): Promise<readonly string[]> {
    checkNames({ topic })
    return this.#driver.admin.listGroups(topic, this.#session.signal)
  }

  async deleteGroup(topic: string, group: string): Promise<void> {
    checkNames({ topic, group })
    return this.#driver.admin.deleteGroup(topic, group, this.#session.signal)
  }

  async seek(topic: string, group: string, to: Start): Promise<void> {
    checkNames({ topic, group })
    checkArgument('seek', 'to', to, checkStart)
    const start = toStartFrom(to)
    if (!this.#driver.capabilities.seek.includes(start.kind)) throw this.#unsupported(`moving a group to ${start.kind}`)
    return this.#driver.admin.seek(topic, group, start, this.#session.signal)
  }

  async lag(topic: string, group: string): Promise<readonly PartitionLag[]> {
    checkNames({ topic, group })
    if (this.#driver.capabilities.lag.length === 0) throw this.#unsupported('telling the lag of a group')
    return this.#driver.admin.lag(topic, group, this.#session.signal)
  }

  async *deadLetters(topic: string): AsyncGenerator<DeadLetter> {
    yield* this.#lettersOf(await this.#deadLetterTopic(topic))
  }

  /** People name the topic they know; its dead letters are beside it. */
  async #deadLetterTopic(topic: string): Promise<string> {
    checkNames({ topic })
    const beside = deadLetterTopicOf(topic)
    if (topic.endsWith(deadLetterTopicOf(''))) return topic
    try {
      // Not through the session: somebody who opens it there at the same time may make it.
      await this.#driver.openTopic(beside, this.#session.signal)
      return beside
    } catch (error) {
      // A name that is too long for a topic is none.
      if (!StreamError.is(error, 'not-found') && !StreamError.is(error, 'invalid-argument')) throw error
      return topic
    }
  }

  /**
   * Reads twice: what was sent back is marked behind the letters, and only names are kept of the first time. What came after it is left
   * out: a letter that was sent back may fail again meanwhile, and a backend need not tell where its topics end.
   */
  async *#lettersOf(topic: string): AsyncGenerator<DeadLetter> {
    const sentBack = new Set<string>()
    const bodyIds = new Set<string>()
    const opened = await this.#session.openTopic(topic, { create: false })
    const before = new Passed((a, b) => opened.comparePositions(a, b))
    for await (const message of this.#read(topic)) {
      const { headers } = message
      before.add(message)
      const [marked, bodyId] = [headers[sentBackHeader], headers[bodyIdHeader]]
      if (marked !== undefined) sentBack.add(marked)
      if (bodyId !== undefined) bodyIds.add(bodyId)
    }
    const pairs = new Pairs()
    for await (const message of this.#read(topic)) {
      if (!before.has(message)) continue
      const { headers, id } = message
      if (bodyIds.has(id)) yield* pairs.first(id, toDeadLetter(message))
      // What is no letter of ours is left alone: a mark, another program's record, a first part whose second never came.
      else if (headers['dlq-topic'] === undefined || headers[sentBackHeader] !== undefined || sentBack.has(id)) continue
      else yield* pairs.second(headers[bodyIdHeader], toDeadLetter(message))
    }
    yield* pairs.rest()
  }

  #read(topic: string): AsyncIterable<ReadMessage<Uint8Array>> {
    return this.#session.read(topic, { create: false }, raw, {})
  }

  async sendBack(topic: string, filter: (letter: DeadLetter) => boolean = () => true): Promise<number> {
    const from = await this.#deadLetterTopic(topic)
    let count = 0
    for await (const letter of this.#lettersOf(from)) {
      if (letter.incomplete || !filter(letter)) continue
      const now = this.#session.deps.clock.now()
      const common = { producedAtMs: now, expiresAtMs: undefined, partition: undefined }
      await this.#sendHome(letter, { ...common, id: this.#session.nextId(), key: letter.key, body: letter.body })
      const mark = {
        ...common,
        id: this.#session.nextId(),
        key: letter.key,
        // Beside its letter, so that both are kept for the same time.
        partition: this.#driver.capabilities.explicitPartition ? letter.partition : undefined,
        body: new Uint8Array(),
        headers: { [sentBackHeader]: letter.letterId },
      }
      await this.#session.sendRaw(from, mark)
      count++
    }
    return count
  }

  /** For its group alone; for all groups when the record is so close to the size limit that its group does not fit in. */
  async #sendHome(letter: DeadLetter, record: Omit<OutgoingRecord, 'headers'>): Promise<void> {
    const { headers, origin } = letter
    try {
      const forGroup = { ...headers, [redriveGroupHeader]: origin.group }
      await this.#session.sendRaw(origin.topic, { ...record, headers: forGroup })
    } catch (error) {
      if (!StreamError.is(error, 'too-large')) throw error
      await this.#session.sendRaw(origin.topic, { ...record, headers })
    }
  }

  get #driver(): Session['deps']['driver'] {
    return this.#session.deps.driver
  }

  #require(operation: AdminOperation, what: string): void {
    if (!this.#driver.capabilities.admin.includes(operation)) throw this.#unsupported(what)
  }

  #unsupported(what: string): StreamError {
    return new StreamError(
      'unsupported',
      `${what} is not possible on the backend "${this.#driver.name}" (see its capabilities)`,
    )
  }
}

function checkNames(names: Readonly<Record<string, unknown>>): void {
  for (const [what, given] of Object.entries(names)) checkArgument('admin', `the name of the ${what}`, given, nameKind)
}

/** Refuses what no backend takes; each has a limit of its own. */
function checkName(name: string): void {
  checkNames({ topic: name })
  const { length } = name.replace(/\.dead-letters$/, '')
  const wrong = !/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name)
    ? `"${name}" is no topic name; use letters, digits, dot, dash and underscore, and begin with a letter or digit`
    : length > 200
      ? `"${name}" is too long for a topic name (${length} characters, and no backend takes more than 200); use a shorter one`
      : undefined
  if (wrong !== undefined) throw new StreamError('invalid-argument', wrong)
}
