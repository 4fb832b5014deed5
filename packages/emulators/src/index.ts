export { findNats, natsVersions } from './nats/find.ts'
export type { FindOptions, NatsBinary, NotFound } from './nats/find.ts'
export { NatsServer } from './nats/server.ts'
export type { NatsServerOptions } from './nats/server.ts'
