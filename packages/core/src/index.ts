export type { Admin, DeadLetter } from './api/admin.ts'
export type { CloseOptions, Cloud } from './api/cloud.ts'
export type {
  BatchHandler,
  BatchOptions,
  Consumer,
  ConsumerOptions,
  ConsumerRetry,
  ConsumerStats,
  DeadLetterOptions,
  Handler,
  RunOptions,
  Start,
} from './api/consumer.ts'
export type { Message, ReadMessage, SettledAs } from './api/message.ts'
export type {
  OutgoingMessage,
  Producer,
  ProducerOptions,
  ProducerStats,
  Receipt,
  RetryOptions,
  SendOptions,
  SendResult,
} from './api/producer.ts'
export type { RateLimit, ReadOptions, Topic, TopicOptions } from './api/topic.ts'
export type { Worker, WorkerOptions } from './api/worker.ts'
export type { Codec } from './codec.ts'
export { bytes, json, text } from './codecs.ts'
export { connect } from './connect.ts'
export type { ConnectConfig, ConnectOptions } from './connect.ts'
export { defineFunction } from './function.ts'
export type { FunctionOutput, SluiceFunction } from './function.ts'
export type { StandardIssue, StandardResult, StandardSchema } from './standard-schema.ts'
export { tokens } from './tokens.ts'
export { StreamError } from '@sluice/driver'
export type {
  Capabilities,
  ErrorCode,
  Limits,
  Logger,
  PartitionId,
  Position,
  TopicDescription,
  TopicSpec,
} from '@sluice/driver'
