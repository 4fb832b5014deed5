import { DeleteItemCommand, PutItemCommand, UpdateItemCommand } from '@aws-sdk/client-dynamodb'
import type { AttributeValue, DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { StreamError } from '@sluice/driver'
import type { Lease, LeaseStore, PartitionId, Position } from '@sluice/driver'
import type { Calls } from './calls.ts'
import { isConditionFailed } from './errors.ts'
import type { Item, LeaseTables } from './lease-table.ts'

/*
 * A lease as the Kinesis Client Library keeps it, so that an application of its can be taken over, and given back.
 * Source: https://github.com/awslabs/amazon-kinesis-client, leases/dynamodb/DynamoDBLeaseSerializer.java
 *
 *   leaseKey                      the shard
 *   leaseOwner                    who reads it; while `checkpointOwner` is there, who will
 *   checkpointOwner               who reads it until it has handed over
 *   leaseCounter                  grows with every write: what compare-and-swap compares
 *   checkpoint                    a sequence number, TRIM_HORIZON, LATEST, AT_TIMESTAMP or SHARD_END
 *   checkpointSubSequenceNumber   the place in the aggregate with that number
 *   parentShardId                 the parents
 *   ownerSwitchesSinceCheckpoint, entityType   as the KCL wants them
 *
 * and of ours, which it passes over: sluiceEpoch (the fencing token), sluiceTimestamp (of AT_TIMESTAMP), and whose lease it is:
 * sluiceTopic, sluiceStream (when the stream was made, which another of that name was not), sluiceGroup.
 */

/** Whose leases a store keeps. */
export interface LeaseScope {
  readonly topic: string
  /** Of this stream and no later one of its name. */
  readonly stream: string
  readonly group: string
}

/** What the store works with. */
export interface DynamoLeaseStoreContext {
  readonly client: DynamoDBClient
  readonly calls: Calls
  readonly tables: LeaseTables
  readonly table: string
  readonly scope: LeaseScope
  /** Gives a place, with the next write of a lease, to a checkpoint that says none. Default: it stays as it is. */
  readonly resolve?: (checkpoint: Position, partition: PartitionId) => Position
}

/** Leases in a table of DynamoDB, an item for each. Costs a consistent scan for each list, and a write for each change. */
export class DynamoLeaseStore implements LeaseStore {
  readonly #context: DynamoLeaseStoreContext

  constructor(context: DynamoLeaseStoreContext) {
    this.#context = context
  }

  async list(scope: string, signal?: AbortSignal): Promise<readonly Lease[]> {
    const { tables, table } = this.#context
    const items = (await tables.scan(table, signal)) ?? []
    return items.filter((item) => this.#isOurs(item)).map((item) => toLease(scope, item))
  }

  async create(lease: Lease, signal?: AbortSignal): Promise<boolean> {
    const { scope, table } = this.#context
    const written = await this.#write('create a lease', signal, (client, abortSignal) =>
      client.send(
        new PutItemCommand({
          TableName: table,
          Item: {
            leaseKey: { S: lease.partition },
            leaseCounter: { N: String(firstVersion(scope)) },
            ...toItem(lease, scope),
          },
          // What a stream left behind that had this name before is nobody's.
          ConditionExpression:
            'attribute_not_exists(leaseKey) OR (sluiceStream <> :stream AND sluiceTopic = :topic AND sluiceGroup = :group)',
          ExpressionAttributeValues: {
            ':stream': { S: scope.stream },
            ':topic': { S: scope.topic },
            ':group': { S: scope.group },
          },
        }),
        { abortSignal },
      ),
    )
    return written
  }

  async replace(listed: Lease, signal?: AbortSignal): Promise<Lease | undefined> {
    const { scope, table } = this.#context
    const lease = this.#resolved(listed)
    const version = lease.version + 1
    const { names, values, expression } = updateOf({
      ...toItem(lease, scope),
      leaseCounter: { N: String(version) },
    })
    const written = await this.#write('write a lease', signal, (client, abortSignal) =>
      client.send(
        new UpdateItemCommand({
          TableName: table,
          Key: { leaseKey: { S: lease.partition } },
          UpdateExpression: expression,
          ConditionExpression: seen(lease),
          ExpressionAttributeNames: names,
          ExpressionAttributeValues: { ...values, ':seen': { N: String(lease.version) } },
        }),
        { abortSignal },
      ),
    )
    return written ? { ...lease, version } : undefined
  }

  async remove(lease: Lease, signal?: AbortSignal): Promise<boolean> {
    return this.#write('remove a lease', signal, (client, abortSignal) =>
      client.send(
        new DeleteItemCommand({
          TableName: this.#context.table,
          Key: { leaseKey: { S: lease.partition } },
          ConditionExpression: seen(lease),
          ExpressionAttributeValues: { ':seen': { N: String(lease.version) } },
        }),
        { abortSignal },
      ),
    )
  }

  #resolved(lease: Lease): Lease {
    const { resolve } = this.#context
    const { checkpoint, partition } = lease
    return resolve === undefined || checkpoint === undefined
      ? lease
      : { ...lease, checkpoint: resolve(checkpoint, partition) }
  }

  /** Says whether the condition was met. */
  async #write(
    operation: string,
    signal: AbortSignal | undefined,
    call: (client: DynamoDBClient, abortSignal: AbortSignal) => Promise<unknown>,
  ): Promise<boolean> {
    const { client, calls, scope, table } = this.#context
    try {
      const where = { operation: `${operation} in table ${table}`, topic: scope.topic, group: scope.group }
      await calls.run({ ...where, signal }, (abortSignal) => call(client, abortSignal))
      return true
    } catch (error) {
      if (error instanceof StreamError && isConditionFailed(error.cause)) return false
      throw error
    }
  }

  /** Throws `conflict` when the table is somebody else's. */
  #isOurs(item: Item): boolean {
    const { scope, table } = this.#context
    const kind = item['entityType']?.S
    // The KCL keeps other things there too, and leases of several streams under longer keys.
    if (item['leaseKey']?.S?.startsWith('shardId-') !== true || (kind !== undefined && kind !== 'LEASE')) return false
    const { topic, group } = {
      topic: item['sluiceTopic']?.S ?? scope.topic,
      group: item['sluiceGroup']?.S ?? scope.group,
    }
    if (topic !== scope.topic || group !== scope.group)
      throw new StreamError(
        'conflict',
        `table ${table} keeps the leases of group "${group}" on topic "${topic}"; tell tables apart by {topic} and {group} in ?leaseTable`,
        { details: { table } },
      )
    return (item['sluiceStream']?.S ?? scope.stream) === scope.stream
  }
}

/** That nobody wrote the lease since. What was made by hand may have no counter. */
function seen({ version }: Lease): string {
  if (version !== 0) return 'leaseCounter = :seen'
  return 'leaseCounter = :seen OR (attribute_exists(leaseKey) AND attribute_not_exists(leaseCounter))'
}

/** Another for each stream of a name, so that a member of one that is gone, however late, changes nothing. */
function firstVersion({ stream }: LeaseScope): number {
  return Number(stream) % 1_000_000_000
}

/** What changes of a lease; what is `undefined` is taken out. */
function toItem(lease: Lease, scope: LeaseScope): Readonly<Record<string, AttributeValue>> {
  const { owner, handoffTo, epoch, parents } = lease
  const handingOver = owner !== undefined && handoffTo !== undefined
  return clean({
    leaseOwner: text(handingOver ? handoffTo : owner),
    checkpointOwner: text(handingOver ? owner : undefined),
    ...checkpointOf(lease),
    ownerSwitchesSinceCheckpoint: { N: '0' },
    parentShardId: parents.length === 0 ? undefined : { SS: [...parents] },
    entityType: { S: 'LEASE' },
    sluiceEpoch: { N: String(epoch) },
    sluiceTopic: { S: scope.topic },
    sluiceStream: { S: scope.stream },
    sluiceGroup: { S: scope.group },
  })
}

function checkpointOf({ checkpoint, ended }: Lease): Readonly<Record<string, AttributeValue | undefined>> {
  const none = { sluiceTimestamp: undefined }
  if (ended) return { ...none, checkpoint: { S: 'SHARD_END' }, checkpointSubSequenceNumber: { N: '0' } }
  const [place = 'TRIM_HORIZON', more = '0'] = checkpoint?.split(':') ?? []
  if (place !== 'AT_TIMESTAMP') return { ...none, checkpoint: { S: place }, checkpointSubSequenceNumber: { N: more } }
  return {
    checkpoint: { S: place },
    checkpointSubSequenceNumber: { N: '0' },
    sluiceTimestamp: checkpoint === place ? undefined : { N: more },
  }
}

/** Every attribute that a lease of ours may have, so that those it has not are taken out. */
const optional = ['leaseOwner', 'checkpointOwner', 'parentShardId', 'sluiceTimestamp']
/** What the KCL meant to checkpoint next: it takes that out with each checkpoint of its own, and would be told of an old one here. */
const pending = ['pendingCheckpoint', 'pendingCheckpointSubSequenceNumber', 'pendingCheckpointState']

function updateOf(item: Readonly<Record<string, AttributeValue>>): {
  readonly names: Record<string, string>
  readonly values: Record<string, AttributeValue>
  readonly expression: string
} {
  const gone = [...optional.filter((name) => item[name] === undefined), ...pending]
  const set = Object.keys(item).map((name) => `#${name} = :${name}`)
  return {
    names: Object.fromEntries([...Object.keys(item), ...gone].map((name) => [`#${name}`, name])),
    values: Object.fromEntries(Object.entries(item).map(([name, value]) => [`:${name}`, value])),
    expression: `SET ${set.join(', ')}${gone.length === 0 ? '' : ` REMOVE ${gone.map((name) => `#${name}`).join(', ')}`}`,
  }
}

function toLease(scope: string, item: Item): Lease {
  const leaseOwner = item['leaseOwner']?.S
  const checkpointOwner = item['checkpointOwner']?.S
  const place = item['checkpoint']?.S
  return {
    scope,
    partition: item['leaseKey']?.S ?? '',
    owner: checkpointOwner ?? leaseOwner,
    handoffTo: checkpointOwner === undefined ? undefined : leaseOwner,
    epoch: Number(item['sluiceEpoch']?.N ?? 0),
    checkpoint: place === undefined || place === 'SHARD_END' ? undefined : positionOf(place, item),
    ended: place === 'SHARD_END',
    parents: item['parentShardId']?.SS ?? [],
    version: Number(item['leaseCounter']?.N ?? 0),
  }
}

function positionOf(place: string, item: Item): Position {
  if (/^\d/.test(place)) return `${place}:${item['checkpointSubSequenceNumber']?.N ?? '0'}` as Position
  const timeMs = item['sluiceTimestamp']?.N
  return (place === 'AT_TIMESTAMP' && timeMs !== undefined ? `${place}:${timeMs}` : place) as Position
}

function text(value: string | undefined): AttributeValue | undefined {
  return value === undefined ? undefined : { S: value }
}

function clean(item: Readonly<Record<string, AttributeValue | undefined>>): Readonly<Record<string, AttributeValue>> {
  return Object.fromEntries(
    Object.entries(item).flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const])),
  )
}
