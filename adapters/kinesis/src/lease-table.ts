import {
  CreateTableCommand,
  DeleteTableCommand,
  DescribeTableCommand,
  ListTablesCommand,
  ListTagsOfResourceCommand,
  ScanCommand,
} from '@aws-sdk/client-dynamodb'
import type { AttributeValue, DynamoDBClient, TableDescription } from '@aws-sdk/client-dynamodb'
import { sleep, StreamError } from '@sluice/driver'
import type { Clock } from '@sluice/driver'
import type { Calls } from './calls.ts'
import { ownTagName } from './config.ts'
import type { KinesisConfig } from './config.ts'
import { isInUse, isMissing } from './errors.ts'
import { markOf, plainName } from './names.ts'

/** What lease tables are looked after with. */
export interface LeaseTablesContext {
  readonly client: DynamoDBClient
  readonly calls: Calls
  readonly config: KinesisConfig
  readonly clock: Clock
}

/** An item of a table. */
export type Item = Readonly<Record<string, AttributeValue>>

/** What a table made here says of itself, so that it is deleted with its group; others stay, emptied. */
const ownTag = { Key: ownTagName, Value: 'sluice' }
/** How soon to look again for a state that takes time, in milliseconds: at first, and at last. */
const lookAgain = { firstMs: 10, mostMs: 1_000 }
const shortestName = 3
const longestName = 255

/** The tables that keep leases: one for a topic and a group, as the KCL has one for an application. */
export class LeaseTables {
  readonly #context: LeaseTablesContext

  constructor(context: LeaseTablesContext) {
    this.#context = context
  }

  /** The table of a group. */
  nameOf(topic: string, group: string): string {
    const { leaseTable } = this.#context.config
    // Of topic "a.b" and group "c" it would be the same as of "a" and "b.c".
    const isTwofold = /\{topic\}.*\{group\}|\{group\}.*\{topic\}/.test(leaseTable) && `${topic}${group}`.includes('.')
    const mark = isTwofold ? `-${markOf(JSON.stringify([topic, group]))}` : ''
    const name = leaseTable.replaceAll('{topic}', plain(topic)).replaceAll('{group}', plain(group)) + mark
    return plainName(name, longestName).padEnd(shortestName, '_')
  }

  /** Rejects when DynamoDB cannot be reached, or does not know us. Whoever may not list tables was answered all the same. */
  async check(signal: AbortSignal): Promise<void> {
    const { client, calls } = this.#context
    try {
      await calls.run({ operation: 'reach DynamoDB, which keeps leases,', signal }, (abortSignal) =>
        client.send(new ListTablesCommand({ Limit: 1 }), { abortSignal }),
      )
    } catch (error) {
      if (!StreamError.is(error, 'permission-denied') && !StreamError.is(error, 'throttled')) throw error
    }
  }

  /** Tables that may hold leases of a topic. */
  async candidates(topic: string, signal: AbortSignal): Promise<readonly string[]> {
    const { client, calls, config } = this.#context
    const [start = ''] = config.leaseTable.replaceAll('{topic}', plain(topic)).split('{group}')
    const names: string[] = []
    let last: string | undefined
    do {
      const input = last === undefined ? {} : { ExclusiveStartTableName: last }
      const page = await calls.run({ operation: 'list lease tables', topic, signal }, (abortSignal) =>
        client.send(new ListTablesCommand(input), { abortSignal }),
      )
      names.push(...(page.TableNames ?? []).filter((name) => name.startsWith(start)))
      last = page.LastEvaluatedTableName
    } while (last !== undefined)
    const kept: string[] = []
    for (const name of names) if (await this.#keepsLeases(name, signal)) kept.push(name)
    return kept
  }

  /**
   * Where tables bear the names of groups alone, any of the account could be one. What is not is not read: it may be large, or
   * forbidden. One that bears the topic's name is ours, whether it may be described or not.
   */
  async #keepsLeases(table: string, signal: AbortSignal): Promise<boolean> {
    try {
      const { KeySchema: key = [] } = (await this.#describe(table, signal)) ?? {}
      return key.length === 1 && key[0]?.AttributeName === 'leaseKey'
    } catch (error) {
      if (StreamError.is(error, 'permission-denied')) return this.#context.config.leaseTable.includes('{topic}')
      throw error
    }
  }

  /** Every item; `undefined`: there is no such table. */
  async scan(table: string, signal?: AbortSignal): Promise<readonly Item[] | undefined> {
    const { client, calls } = this.#context
    const items: Item[] = []
    let last: Item | undefined
    try {
      do {
        const input = {
          TableName: table,
          ConsistentRead: true,
          ...(last === undefined ? {} : { ExclusiveStartKey: last }),
        }
        const page = await calls.run({ operation: `read lease table ${table}`, signal }, (abortSignal) =>
          client.send(new ScanCommand(input), { abortSignal }),
        )
        items.push(...(page.Items ?? []))
        last = page.LastEvaluatedKey
      } while (last !== undefined)
      return items
    } catch (error) {
      if (error instanceof StreamError && isMissing(error.cause)) return undefined
      throw error
    }
  }

  /** Makes the table unless it is there, and waits until it can be used. */
  async ensure(table: string, signal?: AbortSignal): Promise<void> {
    const { client, calls, config } = this.#context
    // Whoever may not describe tables, or make them, can use one that is there.
    if ((await this.scan(table, signal)) !== undefined) return
    const { leaseUnits, leaseTags } = config
    const tags = Object.entries(leaseTags).map(([Key, Value]) => ({ Key, Value }))
    // One that is being deleted has to be gone first.
    if ((await this.#status(table, signal)) === 'DELETING') await this.#until(table, undefined, signal)
    try {
      await calls.run({ operation: `create lease table ${table}`, signal }, (abortSignal) =>
        client.send(
          new CreateTableCommand({
            TableName: table,
            AttributeDefinitions: [{ AttributeName: 'leaseKey', AttributeType: 'S' }],
            KeySchema: [{ AttributeName: 'leaseKey', KeyType: 'HASH' }],
            Tags: [...tags, ownTag],
            ...(leaseUnits === undefined
              ? { BillingMode: 'PAY_PER_REQUEST' as const }
              : {
                  ProvisionedThroughput: { ReadCapacityUnits: leaseUnits.read, WriteCapacityUnits: leaseUnits.write },
                }),
          }),
          { abortSignal },
        ),
      )
    } catch (error) {
      // Another member was first.
      if (!(error instanceof StreamError) || !isInUse(error.cause)) throw error
    }
    await this.#until(table, 'ACTIVE', signal)
  }

  /** Deletes a table that was made here; says whether it was. */
  async drop(table: string, signal: AbortSignal): Promise<boolean> {
    const { client, calls } = this.#context
    const { TableArn: ResourceArn } = (await this.#describe(table, signal)) ?? {}
    if (ResourceArn === undefined) return false
    const { Tags } = await calls.run({ operation: `read the tags of lease table ${table}`, signal }, (abortSignal) =>
      client.send(new ListTagsOfResourceCommand({ ResourceArn }), { abortSignal }),
    )
    if (Tags?.some(({ Key, Value }) => Key === ownTag.Key && Value === ownTag.Value) !== true) return false
    try {
      await calls.run({ operation: `delete lease table ${table}`, signal }, (abortSignal) =>
        client.send(new DeleteTableCommand({ TableName: table }), { abortSignal }),
      )
    } catch (error) {
      if (!(error instanceof StreamError) || !isMissing(error.cause)) throw error
    }
    await this.#until(table, undefined, signal)
    return true
  }

  async #describe(table: string, signal: AbortSignal | undefined): Promise<TableDescription | undefined> {
    const { client, calls } = this.#context
    try {
      const { Table } = await calls.run({ operation: `describe lease table ${table}`, signal }, (abortSignal) =>
        client.send(new DescribeTableCommand({ TableName: table }), { abortSignal }),
      )
      return Table
    } catch (error) {
      if (error instanceof StreamError && isMissing(error.cause)) return undefined
      throw error
    }
  }

  async #status(table: string, signal: AbortSignal | undefined): Promise<string | undefined> {
    return (await this.#describe(table, signal))?.TableStatus
  }

  async #until(table: string, status: string | undefined, signal: AbortSignal | undefined): Promise<void> {
    const { clock, config } = this.#context
    const end = clock.monotonic() + config.readyTimeoutMs
    for (let waitMs = lookAgain.firstMs; ; waitMs = Math.min(lookAgain.mostMs, waitMs * 2)) {
      if ((await this.#status(table, signal)) === status) return
      if (clock.monotonic() > end)
        throw new StreamError('timeout', `lease table ${table} did not become ready within ${config.readyTimeoutMs} ms`)
      await sleep(clock, waitMs, signal)
    }
  }
}

function plain(name: string): string {
  return plainName(name, longestName)
}
