import { ServerProcess } from './server-process.ts'

/** Kinesis, and DynamoDB for leases and places, each in a process of its own. */
export class KinesisServers implements Disposable {
  readonly kinesis: ServerProcess
  readonly #dynamo: ServerProcess

  private constructor(kinesis: ServerProcess, dynamo: ServerProcess) {
    this.kinesis = kinesis
    this.#dynamo = dynamo
  }

  /** Quotas are off unless they are asked for. */
  static async start(which: 'kinesis' | 'kinesis-with-quotas' = 'kinesis'): Promise<KinesisServers> {
    const [kinesis, dynamo] = await Promise.all([ServerProcess.start(which), ServerProcess.start('dynamodb')])
    return new KinesisServers(kinesis, dynamo)
  }

  /** For Sluice: shards are asked again at once, as by hand, because there are no quotas to share. */
  get address(): string {
    const endpoints = `endpoint=${this.kinesis.url}&dynamoEndpoint=${this.#dynamo.url}`
    return `kinesis://key:secret@eu-west-1?${endpoints}&paceMs=0&pollMs=20`
  }

  [Symbol.dispose](): void {
    this.kinesis[Symbol.dispose]()
    this.#dynamo[Symbol.dispose]()
  }
}
