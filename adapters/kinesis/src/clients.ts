import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { KinesisClient } from '@aws-sdk/client-kinesis'
import type { KinesisClientConfig } from '@aws-sdk/client-kinesis'
import { fromIni, fromNodeProviderChain, fromTemporaryCredentials } from '@aws-sdk/credential-providers'
import { NodeHttp2Handler, NodeHttpHandler } from '@smithy/node-http-handler'
import type { KinesisConfig } from './config.ts'
import { dialler } from './dialling.ts'
import { refuseCutAnswers } from './whole-answers.ts'

/** Requests that share a connection. The service takes more; what waits for a place waits here. */
const streamsOfSession = 100
const socketsOfAgent = 128

/** The clients of one connection of Sluice. */
export interface Clients {
  /** Never tries again by itself, because core does, which knows about order. */
  readonly kinesis: KinesisClient
  readonly dynamo: DynamoDBClient
  /** A client for one subscription, which is one long answer. */
  subscriber(): Subscriber
  /** A request had no answer. Over HTTP/2 all share a connection that may be dead: the next one makes another. */
  distrust(): void
  close(): void
}

/** A client that has connections of its own, so that they can be cut. */
export interface Subscriber {
  readonly client: KinesisClient
  /** Cuts its connections; the next call makes another. */
  drop(): void
}

/** Makes the clients. Connects to nothing yet. */
export function openClients(config: KinesisConfig): Clients {
  const common: KinesisClientConfig = {
    ...(config.region === undefined ? {} : { region: config.region }),
    // Its region too, not only its keys.
    ...(config.profile === undefined ? {} : { profile: config.profile }),
    ...credentialsOf(config),
  }
  const endpoint = config.endpoint === undefined ? {} : { endpoint: config.endpoint }
  const requestHandler = config.http1 ? http1(config) : http2(config)
  const kinesis = new KinesisClient({ ...common, ...endpoint, maxAttempts: 1, requestHandler })
  refuseCutAnswers(kinesis)
  const dynamo = new DynamoDBClient({
    ...common,
    ...(config.dynamoEndpoint === undefined ? {} : { endpoint: config.dynamoEndpoint }),
    maxAttempts: 2,
    requestHandler: http1(config),
  })
  return {
    kinesis,
    dynamo,
    subscriber: () => subscriber({ ...common, ...endpoint, credentials: kinesis.config.credentials }, config),
    distrust: () => {
      if (!config.http1) requestHandler.destroy()
    },
    close: () => {
      for (const client of [kinesis, dynamo]) client.destroy()
    },
  }
}

function subscriber(options: KinesisClientConfig, config: KinesisConfig): Subscriber {
  const handler = config.http1
    ? http1({ ...config, requestTimeoutMs: 0 })
    : new NodeHttp2Handler({
        disableConcurrentStreams: true,
        nodeHttp2ConnectOptions: dialler(config.connectTimeoutMs),
      })
  const client = new KinesisClient({ ...options, maxAttempts: 1, requestHandler: handler })
  return { client, drop: () => handler.destroy() }
}

/**
 * The SDK's own handler opens a session, TLS and all, for every request unless it is told otherwise
 * (https://github.com/aws/aws-sdk-js-v3/issues/8279), and waits for a connection and for an answer for ever.
 */
function http2(config: KinesisConfig): NodeHttp2Handler {
  return new NodeHttp2Handler({
    disableConcurrentStreams: false,
    maxConcurrentStreams: streamsOfSession,
    requestTimeout: config.requestTimeoutMs,
    sessionTimeout: 0,
    nodeHttp2ConnectOptions: dialler(config.connectTimeoutMs),
  })
}

function http1({ connectTimeoutMs, requestTimeoutMs }: KinesisConfig): NodeHttpHandler {
  const agent = { keepAlive: true, maxSockets: socketsOfAgent }
  return new NodeHttpHandler({
    connectionTimeout: connectTimeoutMs,
    ...(requestTimeoutMs === 0 ? {} : { requestTimeout: requestTimeoutMs, throwOnRequestTimeout: true }),
    httpAgent: new HttpAgent(agent),
    httpsAgent: new HttpsAgent(agent),
  })
}

/** Keys of the address, or what AWS's tools find; with these, the role is assumed. */
function credentialsOf(config: KinesisConfig): Pick<KinesisClientConfig, 'credentials'> {
  const { credentials, profile, role, region } = config
  const own = credentials ?? (profile === undefined ? undefined : fromIni({ profile }))
  if (role === undefined) return own === undefined ? {} : { credentials: own }
  return {
    credentials: fromTemporaryCredentials({
      masterCredentials: own ?? fromNodeProviderChain(),
      params: {
        RoleArn: role.arn,
        RoleSessionName: role.sessionName,
        ...(role.externalId === undefined ? {} : { ExternalId: role.externalId }),
      },
      ...(region === undefined ? {} : { clientConfig: { region } }),
    }),
  }
}
