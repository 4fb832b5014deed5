import { DynamoDbServer, KinesisServer } from '@sluice/emulators'
import type { KinesisServerOptions } from '@sluice/emulators'

/*
 * A server in a process of its own, so that it can be killed. It prints its port, and ends when its parent does.
 *
 *   serve.ts kinesis {"port":0,"folder":"..."}     or     serve.ts dynamodb {}
 */
const [kind = '', options = '{}'] = process.argv.slice(2)
const settings = JSON.parse(options) as KinesisServerOptions
const server = kind === 'dynamodb' ? await DynamoDbServer.start(settings) : await KinesisServer.start(settings)
process.stdout.write(`${server.port}\n`)
process.stdin.on('end', () => process.exit()).resume()
