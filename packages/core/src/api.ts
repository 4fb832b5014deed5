import type {
  Capabilities,
  DriverAdmin,
  Headers,
  Limits,
  PartitionId,
  Position,
  StreamError,
  TopicOrder,
  TopicSpec,
} from '@sluice/driver'
import type { Codec } from './codec.ts'
import type { SluiceFunction } from './function.ts'
import type { StandardSchema } from './standard-schema.ts'

/** A connection to one backend. Close it, or hold it in `await using`. */
export interface Cloud extends AsyncDisposable {
  /** The backend's scheme. */
  readonly name: string
  /** The address it was opened with, without secrets. */
  readonly address: string
  /** What answers there, and its version, for people: `nats-server 2.15.2`. */
  readonly server: string
  readonly capabilities: Capabilities
  /** Limits of a topic that is made now; those of an existing one are told by `topic(name).limits()`. */
  readonly limits: Limits
  /** Looks after topics and groups. */
  readonly admin: Admin
  /**
   * A handle on a topic; does no I/O. The types of its values follow from the schema (what is sent from its input, what is
   * received from its output) or the codec, and are `unknown` JSON without.
   */
  topic(name: string): Topic<unknown>
  topic<Out, In = Out>(
    name: string,
    options: TopicOptions<Out, In> & { readonly schema: StandardSchema<In, Out> },
  ): Topic<Out, In>
  topic<T>(name: string, options: TopicOptions<T> & { readonly codec: Codec<T> }): Topic<T>
  topic(name: string, options: TopicOptions<unknown>): Topic<unknown>
  /** A member of a function's group: reads `from`, applies the function, writes `to`. Starts with its first `run`. */
  worker<I, O>(definition: SluiceFunction<I, O>, options: WorkerOptions): Worker
  /**
   * Lets running handlers finish, sends what is buffered, and closes everything opened through this connection. Rejects
   * with the first error of these closes, `timeout` when something had to be given up. Idempotent.
   */
  close(options?: CloseOptions): Promise<void>
  /** The vendor SDK's client. Code that uses it no longer moves between clouds. */
  native(): unknown
}

/** How long a close may take. */
export interface CloseOptions {
  /** After this many milliseconds what is left is given up and named in the error, a `timeout`. Default 30 000. */
  readonly timeoutMs?: number
}

/**
 * What a topic's values are, and how the topic should be. It is made like that if it has to be made; if it exists with
 * another `order` or number of `partitions`, its first use rejects with `conflict`.
 */
export interface TopicOptions<Out, In = Out> extends TopicSpec {
  /**
   * Checks values and types them. Any Standard Schema: zod, valibot, arktype. A send takes the schema's input: what does
   * not fit is refused with `invalid-argument`, what fits is stored as it was given, not as the schema's output. A receive
   * takes what the codec decoded through the schema and gives its output, so that transforms and defaults are applied
   * once, there; what does not fit is poison (see {@link ConsumerOptions.onPoison}). The input must be what the codec
   * gives back: with JSON a date comes back as text, for which the schema is `z.coerce.date()`, not `z.date()`.
   */
  readonly schema?: StandardSchema<In, Out>
  /** Turns the values that are sent into bytes and back, before the schema sees them. Default: what `connect` was given, else JSON. */
  readonly codec?: Codec<In> | Codec<unknown>
  /** Makes the topic on first use when it does not exist. Default: what `connect` was told. */
  readonly create?: boolean
  /** The most that this process sends to the topic, in all its producers together. Default: no limit. */
  readonly rateLimit?: RateLimit
}

/** A ceiling on what is asked of the backend, repeated tries included. Both may be given; a burst of one second's worth is let through. */
export interface RateLimit {
  readonly messagesPerSecond?: number
  /** Bytes as the backend counts them: bodies, keys and headers. */
  readonly bytesPerSecond?: number
}

/** A topic: where records are sent to and read from. Sends take `In`, receivers get `Out`; they differ where a schema transforms. */
export interface Topic<Out, In = Out> {
  readonly name: string
  /** Sends through the topic's shared producer, as {@link Producer.send}. Resolves when the record is durable. */
  send(message: OutgoingMessage<In>, options?: SendOptions): Promise<Receipt>
  /** Sends each through the shared producer; outcomes are index-aligned and the call does not reject for single records. */
  sendAll(messages: readonly OutgoingMessage<In>[], options?: SendOptions): Promise<readonly SendResult[]>
  /** A producer of its own, with its own buffers and lanes. */
  producer(options?: ProducerOptions): Producer<In>
  /** A member of a consumer group; starts reading with its first `run` or iteration. */
  consumer(options: ConsumerOptions<Out>): Consumer<Out>
  /**
   * Reads without a group and without settling: for looking. Ends when the loop is left, or at {@link ReadOptions.follow};
   * throws `aborted` once its signal has, `closed` once the connection is.
   */
  read(options?: ReadOptions): AsyncIterable<ReadMessage<Out>>
  /** Orders two positions of one partition: negative when `a` comes first. `unsupported` without comparable positions. */
  comparePositions(a: Position, b: Position): Promise<number>
  /** The limits in force, as the backend tells them. */
  limits(): Promise<Limits>
  /** Whether records of a key keep their order. */
  order(): Promise<TopicOrder>
}

/** A record to send. */
export interface OutgoingMessage<T> {
  readonly value: T
  /** Messages of one key keep their order. Default: none. */
  readonly key?: string | undefined
  /** Lower-case names `[a-z0-9][a-z0-9._-]*`; values without line breaks or outer spaces. */
  readonly headers?: Headers | undefined
  /** Default: a new UUIDv7. Give your own to make a repeated send recognisable. */
  readonly id?: string | undefined
  /** Consumers skip the message after this time. Default: never. */
  readonly expiresAt?: Date | undefined
  /** Where the backend takes it (capability `explicitPartition`), the partition to store it in. */
  readonly partition?: PartitionId | undefined
}

/** Options of one send. */
export interface SendOptions {
  /** Aborts the send in whatever phase it is: waiting for room, queued, or on the wire (then the error is `ambiguous`). */
  readonly signal?: AbortSignal
}

/** Proof of a durable send. */
export interface Receipt {
  readonly id: string
  readonly partition?: PartitionId
  readonly position?: Position
}

/** What became of one message of `sendAll`. */
export type SendResult =
  | { readonly ok: true; readonly receipt: Receipt }
  | { readonly ok: false; readonly error: StreamError }

/** How a producer batches, retries and holds back. */
export interface ProducerOptions {
  /** Sends wait while this many records are buffered or in flight. Default 10 000. */
  readonly maxBufferedRecords?: number
  /** Sends wait while this many bytes are buffered or in flight. Default 64 MiB. */
  readonly maxBufferedBytes?: number
  /** The most records of a request. Default and ceiling: the backend's limit, at most 1 000. */
  readonly maxBatchRecords?: number
  /** The most bytes of a request. Default and ceiling: the backend's limit, at most 1 MiB. */
  readonly maxBatchBytes?: number
  /** How long a request waits for company, in milliseconds. Default 0: batches form while others are in flight. */
  readonly lingerMs?: number
  /** Requests in flight at once. Records of one key are never in two of them. Default 4. */
  readonly maxInFlight?: number
  /** A request without an answer for this long counts as failed with `timeout`, in milliseconds. Default 30 000. */
  readonly requestTimeoutMs?: number
  readonly retry?: RetryOptions
  /**
   * What happens to later sends of a key after one finally failed. `fence` (default): they reject with `fenced` until
   * `resume(key)`. `continue`: they are sent, and the key's order has a gap.
   */
  readonly onOrderedFailure?: 'fence' | 'continue'
}

/** Exponential back-off with full jitter. Source: AWS Architecture Blog, "Exponential Backoff and Jitter" (2015). */
export interface RetryOptions {
  /** Tries in all, the first one included. Default for sends: unlimited within `maxElapsedMs`. */
  readonly maxAttempts?: number
  /** Ceiling of the first wait, in milliseconds. Default 50. */
  readonly baseMs?: number
  /** Ceiling of any wait, in milliseconds. Default 5 000. */
  readonly maxMs?: number
  /** Time for all tries together, from the `send` on, in milliseconds. Default 120 000. */
  readonly maxElapsedMs?: number
}

/** Sends to one topic. */
export interface Producer<T> extends AsyncDisposable {
  /**
   * Sends the message as it is now: value, headers and all are taken before the call returns, so that they may be changed
   * or reused at once. Resolves when the backend has stored the record durably. Messages of one key are stored in call order. Waits while
   * the buffers are full. Rejects with `too-large` or `invalid-argument` before any I/O, with `fenced` after an earlier
   * failure of the key, else with the backend's last error once retrying ended.
   */
  send(message: OutgoingMessage<T>, options?: SendOptions): Promise<Receipt>
  /** Sends each; outcomes are index-aligned and the call does not reject for single messages. */
  sendAll(messages: readonly OutgoingMessage<T>[], options?: SendOptions): Promise<readonly SendResult[]>
  /** Lifts the fence that a failed send left on its key. Without a key: all fences. */
  resume(key?: string): void
  /** Resolves when everything sent so far was stored or has failed. */
  flush(): Promise<void>
  /**
   * Refuses new sends, flushes, and closes. After `timeoutMs` the rest is rejected with `timeout` and the call itself
   * rejects, naming the unsent ids in `details.unsent`. Idempotent.
   */
  close(options?: CloseOptions): Promise<void>
  /** What is buffered now, and what was done so far. */
  stats(): ProducerStats
}

/** Counters of a producer since it was made, and gauges of now. */
export interface ProducerStats {
  /** Records buffered or in flight. */
  readonly bufferedRecords: number
  /** Bytes buffered or in flight. */
  readonly bufferedBytes: number
  readonly sent: number
  readonly failed: number
  readonly retries: number
  readonly requests: number
}

/** How a group member reads, and what it does with failures. */
export interface ConsumerOptions<T> {
  /** The consumer group. Each group gets every message; its members share them. */
  readonly group: string
  /** Names the member; unique in the group. Default: host, process and a random part. */
  readonly member?: string
  /** Where partitions without progress start. Default `earliest`. */
  readonly start?: Start
  /** Messages read ahead or in hands, at most. Default 1 000. */
  readonly maxBufferedRecords?: number
  /** Bytes read ahead or in hands, at most (one message may pass it). Default 32 MiB. */
  readonly maxBufferedBytes?: number
  /**
   * How far reading may run ahead of the commit in one partition, in records: what a crash could repeat at most. Looked
   * at after each read, which may pass it by less than `maxBufferedRecords`. Default 1 000 000.
   */
  readonly maxUncommitted?: number
  /** Progress is committed this often at most, in milliseconds; always on revoke and close. Default 50. */
  readonly commitIntervalMs?: number
  /** Retries of a failing message before it is dead-lettered. */
  readonly retry?: ConsumerRetry
  /** Where messages go that cannot be handled. Default: the topic `<name>.dead-letters`. `false`: the message is retried for ever. */
  readonly deadLetter?: DeadLetterOptions | false
  /** What happens to bytes that cannot be decoded or do not fit the schema. Default `dead-letter`. `stop`: the consumer ends with `corrupt`. */
  readonly onPoison?: 'dead-letter' | 'skip' | 'stop'
  /** Time for running handlers to finish when a partition is handed over, in milliseconds. Default 10 000. */
  readonly revokeTimeoutMs?: number
  /** Called with each message's outcome; for metrics and tests. What it throws is logged. A message that never reached a handler (expired, poison) has no `value`: reading it throws. */
  readonly onSettled?: (message: Message<T>, outcome: SettledAs) => void
}

/** How often and how fast a failing message is tried again; its key waits meanwhile, other keys flow. */
export interface ConsumerRetry {
  /** Attempts in all, the first one included. Default 5. */
  readonly maxAttempts?: number
  /** Ceiling of the first wait, in milliseconds. Default 100. Waits double, with full jitter. */
  readonly baseMs?: number
  /** Ceiling of any wait, in milliseconds. Default 30 000. */
  readonly maxMs?: number
}

/** Where dead letters go. */
export interface DeadLetterOptions {
  /** The topic's name. Made when the consumer starts if the connection may make topics. */
  readonly topic: string
}

/**
 * Where to start or to move to. A `Date` means the first message not older than it; a map names the first message wanted
 * in each partition. In partitions it leaves out a reader or a new group starts at the earliest message; a group that is
 * moved stays where it is.
 */
export type Start = 'earliest' | 'latest' | Date | { readonly positions: Readonly<Record<PartitionId, Position>> }

/** How a message ended. */
export type SettledAs = 'acked' | 'retried' | 'dead-lettered' | 'skipped' | 'expired' | 'abandoned'

/** A message in the hands of a handler. The first of the four verbs called counts; later calls do nothing. */
export interface Message<T> {
  readonly id: string
  readonly topic: string
  readonly key: string | undefined
  readonly value: T
  readonly headers: Headers
  readonly partition: PartitionId
  /** `undefined` where the backend has none. */
  readonly position: Position | undefined
  /** The backend's time of the message. */
  readonly time: Date
  /** 1 on the first delivery. Counted in this process unless the capability `attempts` is `durable`. */
  readonly attempt: number
  readonly expiresAt: Date | undefined
  /** The stored bytes. */
  readonly body: Uint8Array
  /** Aborts when the message is no longer ours: its partition was lost, or the consumer gave up waiting for the handler. */
  readonly signal: AbortSignal
  /** Done; it will not come again. */
  ack(): void
  /** Not done; it comes again, to this group, after `delayMs` (default: the retry policy's), its key waiting meanwhile. */
  retry(options?: { readonly delayMs?: number }): void
  /** Cannot be done: to the dead-letter topic with this reason, then acknowledged. */
  deadLetter(reason: string): void
  /** Not wanted: acknowledged and counted as skipped. */
  skip(): void
  /** The vendor SDK's own message. */
  native(): unknown
}

/** A message seen by `topic.read`: nothing to settle. */
export type ReadMessage<T> = Omit<Message<T>, 'ack' | 'retry' | 'deadLetter' | 'skip' | 'attempt' | 'signal'>

/** Return to acknowledge; throw to have it retried, and dead-lettered in the end. */
export type Handler<T> = (message: Message<T>) => unknown

/** As {@link Handler}, for several. What the handler did not settle itself is acknowledged on return and retried on throw. */
export type BatchHandler<T> = (messages: readonly Message<T>[]) => unknown

/** How `run` works. */
export interface RunOptions {
  /** Handlers at once; never two for one key. Default 16. */
  readonly concurrency?: number
  /** Drains and resolves when it aborts; nothing is begun when it has before. */
  readonly signal?: AbortSignal
}

/** How batches form for a batch handler. */
export interface BatchOptions {
  /** Messages of a batch at most. */
  readonly max: number
  /** How long the first message of a batch waits for company, in milliseconds. Default 0. */
  readonly waitMs?: number
}

/**
 * A member of a consumer group. Use `run` or `for await`, not both. In a loop every message must be settled by one of
 * its verbs; the next message of its key comes only then. Leaving the loop drains and closes the consumer.
 */
export interface Consumer<T> extends AsyncDisposable, AsyncIterable<Message<T>> {
  /** Handles messages until the consumer is closed or fails. Rejects with the error that ended it. */
  run(handler: Handler<T>, options?: RunOptions): Promise<void>
  run(handler: BatchHandler<T>, options: RunOptions & { readonly batch: BatchOptions }): Promise<void>
  /** Starts no new handlers and stops reading. Keeps its partitions. */
  pause(): void
  /** Takes back `pause`. */
  resume(): void
  /**
   * Drains: no new handler starts, running ones finish (until `timeoutMs`), progress is committed, what was read ahead
   * is given back, partitions are handed over. Messages whose handlers did not end in time are given up (`onSettled`:
   * `abandoned`) and come again; then it rejects with `timeout`, their ids in `details.abandoned`. A `run` resolves all
   * the same. Idempotent; may be called inside a handler, where it does not wait. In the body of a `for await` loop settle
   * the message first, or leave by `break`: what is waited for is the body itself.
   */
  close(options?: CloseOptions): Promise<void>
  stats(): ConsumerStats
}

/** Counters of a consumer since it was made, and gauges of now. */
export interface ConsumerStats {
  /** Messages read ahead, waiting or in hands. */
  readonly bufferedRecords: number
  readonly bufferedBytes: number
  /** Handlers running now. */
  readonly running: number
  /** Partitions read now. */
  readonly partitions: readonly PartitionId[]
  readonly received: number
  readonly acked: number
  readonly retried: number
  readonly deadLettered: number
  readonly skipped: number
  readonly expired: number
  /** Times a stuck key's read-ahead was given up so that other keys could flow; it is read again later. */
  readonly parked: number
}

/** Where a function reads and writes. */
export interface WorkerOptions extends Omit<ConsumerOptions<unknown>, 'group' | 'onSettled'> {
  readonly from: string
  /** Default: outputs are refused with `invalid-argument`. */
  readonly to?: string
  /** Default: the function's name. */
  readonly group?: string
  /** Handlers at once; never two for one key. Default 16. */
  readonly concurrency?: number
  /**
   * `exactly-once`: a message's outputs and its offset are stored in one transaction; `unsupported` where the backend
   * has none. `at-least-once`: outputs are durable before the message is acknowledged. Default: the best there is.
   */
  readonly delivery?: 'exactly-once' | 'at-least-once'
}

/** Runs a function between two topics. */
export interface Worker extends AsyncDisposable {
  readonly name: string
  /** Which of the two the worker gives. Known before it runs. */
  readonly delivery: 'exactly-once' | 'at-least-once'
  /** Works until it is closed, its signal aborts, or it fails. */
  run(options?: { readonly signal?: AbortSignal }): Promise<void>
  /** As {@link Consumer.close}. */
  close(options?: CloseOptions): Promise<void>
  /** `produced` counts outputs of messages that were neither dead-lettered nor retried. */
  stats(): ConsumerStats & { readonly produced: number }
}

/** How `topic.read` reads. */
export interface ReadOptions {
  /** Default `earliest`. */
  readonly from?: Start
  /** Waits for new messages at the end. Default false: ends once everything stored when it began was read. */
  readonly follow?: boolean
  /** Ends the read: the loop throws `aborted`. */
  readonly signal?: AbortSignal
}

/** Looks after topics and groups. */
export interface Admin extends Omit<DriverAdmin, 'seek' | AdminMethods> {
  createTopic(name: string, spec?: TopicSpec): Promise<'created' | 'exists'>
  describeTopic(name: string): ReturnType<DriverAdmin['describeTopic']>
  listTopics(): Promise<readonly string[]>
  setPartitions(name: string, count: number): Promise<void>
  setRetention(name: string, retention: Pick<TopicSpec, 'retentionMs' | 'retentionBytes'>): Promise<void>
  deleteTopic(name: string): Promise<void>
  listGroups(topic: string): Promise<readonly string[]>
  deleteGroup(topic: string, group: string): Promise<void>
  /** Moves a group to another place in the topic: replay is a seek back. Other groups stay where they are. */
  seek(topic: string, group: string, to: Start): Promise<void>
  lag(topic: string, group: string): ReturnType<DriverAdmin['lag']>
  /**
   * Dead letters, oldest first, that were not sent back yet: those of the topic, where `<topic>.dead-letters` exists, else
   * those that are stored in the topic itself. A topic that does not exist either is `not-found`.
   */
  deadLetters(topic: string): AsyncIterable<DeadLetter>
  /**
   * Sends dead letters back to the topic they came from, for the group that gave up on them; other groups pass them over.
   * Takes the name of the topic, or of its dead-letter topic, as {@link Admin.deadLetters} does. Gives their number.
   */
  sendBack(topic: string, filter?: (letter: DeadLetter) => boolean): Promise<number>
}

type AdminMethods =
  | 'createTopic'
  | 'describeTopic'
  | 'listTopics'
  | 'setPartitions'
  | 'setRetention'
  | 'deleteTopic'
  | 'listGroups'
  | 'deleteGroup'
  | 'lag'

/** A record that could not be handled, with where it came from and why. */
export interface DeadLetter {
  /** The id of the record that could not be handled. */
  readonly id: string
  /** The id of the dead letter itself. */
  readonly letterId: string
  readonly key: string | undefined
  /** The original bytes; none when {@link DeadLetter.incomplete}. */
  readonly body: Uint8Array
  /**
   * A letter that was too large for one record and whose first half, with key, headers and bytes, retention has removed. It
   * cannot be sent back.
   */
  readonly incomplete: boolean
  /** The original headers. */
  readonly headers: Headers
  readonly origin: {
    readonly topic: string
    readonly group: string
    readonly partition: PartitionId
    readonly position: Position | undefined
    readonly time: Date | undefined
  }
  readonly attempts: number
  /** The error's code where it had one. */
  readonly errorCode: string | undefined
  readonly reason: string
  /** When it was dead-lettered. */
  readonly time: Date
  /** Where it stands in the dead-letter topic. */
  readonly partition: PartitionId
  readonly position: Position | undefined
}
