export type { DriverAdmin, PartitionDescription, PartitionLag, TopicDescription, TopicSpec } from './admin.ts'
export { AddressOptions } from './address-options.ts'
export type { OptionDescription } from './address-options.ts'
export { parseBackendUrl } from './backend-url.ts'
export { portableBodyBytes, portableHeaders } from './capabilities.ts'
export type { AdminOperation, Capabilities, Limits, SourceShape, StartKind, TopicOrder } from './capabilities.ts'
export type {
  Commit,
  CommitOutcome,
  Credit,
  LogSource,
  PartitionEvents,
  QueueSource,
  Settlement,
  SettleOutcome,
  Source,
  StartFrom,
  SubscribeOptions,
  TransactionRecord,
} from './consumer.ts'
export { specVersion } from './driver.ts'
export type { Adapter, BackendUrl, Driver, DriverTopic, ErrorContext, OpenContext } from './driver.ts'
export { errorCodes, StreamError, textOf } from './errors.ts'
export type { ErrorCode, StreamErrorOptions } from './errors.ts'
export { parseExpiry } from './expiry.ts'
export { InFlight } from './in-flight.ts'
export { RenewedMap, RenewedSet } from './renewed-map.ts'
export type { Lease, LeaseStore } from './lease-store.ts'
export { murmur2, partitionForKey } from './murmur2.ts'
export { fromNative, isCertificateCode, toNativeError } from './native-errors.ts'
export type { ErrorMeaning, NativeError } from './native-errors.ts'
export { didYouMean, nearest } from './nearest.ts'
export { openedTopic } from './opened-topic.ts'
export type { TopicParts } from './opened-topic.ts'
export { Opened } from './opened.ts'
export { silentLogger, sleep, systemClock, tokens } from './ports.ts'
export type { Clock, Logger, Random, Timer, Token } from './ports.ts'
export type { DriverProducer, SendOutcome } from './producer.ts'
export { noPartition } from './record.ts'
export { systemErrorCode } from './system-error.ts'
export { refuseUnknownPartitions } from './unknown-partitions.ts'
export { untilAborted } from './until-aborted.ts'
export type { Headers, IncomingRecord, OutgoingRecord, PartitionId, Position, QueuedRecord } from './record.ts'
