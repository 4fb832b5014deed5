export type {
  Admin,
  BatchHandler,
  BatchOptions,
  CloseOptions,
  Cloud,
  Consumer,
  ConsumerOptions,
  ConsumerRetry,
  ConsumerStats,
  DeadLetter,
  DeadLetterOptions,
  Handler,
  Message,
  OutgoingMessage,
  Producer,
  ProducerOptions,
  ProducerStats,
  RateLimit,
  ReadMessage,
  ReadOptions,
  Receipt,
  RetryOptions,
  RunOptions,
  SendOptions,
  SendResult,
  SettledAs,
  Start,
  Topic,
  TopicOptions,
  Worker,
  WorkerOptions,
} from './api.ts'
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
