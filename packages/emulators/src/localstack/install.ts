import { copyFile, mkdir, readdir, symlink, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { lastLine, runCommand } from '../command.ts'
import type { Search } from '../search.ts'
import type { Tools } from './tools.ts'

/** What LocalStack starts for Kinesis and for DynamoDB. */
export const kinesisMockVersion = '0.5.2'
const dynamoDbVersion = '2.6.1'

/** LocalStack leaves these open, and no longer starts with newer ones. */
const constraints = ['cbor2==5.8.0', 'pyOpenSSL==25.3.0', 'cryptography==46.0.3', 'localstack-twisted==25.5.0']

/** Runs a command that has to succeed. */
type Run = (file: string, ...args: readonly string[]) => Promise<void>

/**
 * Installs LocalStack into the folder: a Python of its own in `venv`, and in `lib`, where LocalStack looks for what it would
 * download, what it starts. Rejects with the last words of the command that failed.
 */
export async function install(folder: string, { python, jdk, npm, mvn }: Tools, env: Search['env']): Promise<void> {
  const run: Run = async (file, ...args) => {
    const { exitCode, output } = await runCommand(file, args, { env, cwd: folder, timeoutMs: 600_000 })
    if (exitCode !== 0) throw new Error(`${basename(file)} ${args.join(' ')} failed: ${lastLine(output)}`)
  }
  const pinned = join(folder, 'constraints.txt')
  await writeFile(pinned, constraints.join('\n'))
  await run(python.path, '-m', 'venv', 'venv')
  const distribution = `localstack-core[runtime]==${python.localStack}`
  await run(
    join(folder, 'venv', 'bin', 'python'),
    '-m',
    'pip',
    'install',
    '--quiet',
    '--constraint',
    pinned,
    distribution,
  )

  const kinesisMock = join(folder, 'lib', 'kinesis-local', kinesisMockVersion)
  await mkdir(kinesisMock, { recursive: true })
  await run(npm, 'install', '--no-audit', '--no-fund', '--prefix', kinesisMock, `kinesis-local@${kinesisMockVersion}`)

  await mkdir(join(folder, 'lib', 'java'))
  // It asks for 21; DynamoDB Local is content with 17.
  await symlink(jdk, join(folder, 'lib', 'java', '21'))
  await installDynamoDb(join(folder, 'lib', 'dynamodb-local', '2'), run, mvn, join(jdk, 'bin'))
}

/** DynamoDB Local from Maven Central, in the form of Amazon's own archive: a jar to start, an agent, and a folder of others. */
async function installDynamoDb(folder: string, run: Run, mvn: string, jdkBin: string): Promise<void> {
  const [libraries, sources] = [join(folder, 'DynamoDBLocal_lib'), join(folder, 'src')]
  await mkdir(sources, { recursive: true })
  const pom = join(sources, 'pom.xml')
  await writeFile(pom, project)
  const fetch = ['dependency:copy-dependencies', `-DoutputDirectory=${libraries}`, '-DincludeScope=runtime']
  await run(mvn, '--batch-mode', '--quiet', '--no-transfer-progress', '--file', pom, ...fetch)
  const files = await readdir(libraries)
  for (const file of files) {
    // SQLite for Java looks for its library without a version.
    const plain = /^(libsqlite4java-.+?)-[\d.]+(\.(?:so|dylib))$/.exec(file)
    if (plain !== null) await copyFile(join(libraries, file), join(libraries, `${plain[1]}${plain[2]}`))
  }

  const main = join(sources, 'LoopbackMain.java')
  await writeFile(main, loopbackMain)
  await run(join(jdkBin, 'javac'), '-cp', join(libraries, '*'), '-d', sources, main)
  const jars = files.filter((file) => file.endsWith('.jar')).map((file) => `${basename(libraries)}/${file}`)
  const [manifest, agentManifest] = [join(sources, 'main.mf'), join(sources, 'agent.mf')]
  const agent = 'Premain-Class: LoopbackMain\n'
  await writeFile(manifest, `Main-Class: LoopbackMain\n${agent}${folded(`Class-Path: ${jars.join(' ')}`)}\n`)
  await writeFile(agentManifest, agent)
  for (const [jar, from] of [
    ['DynamoDBLocal.jar', manifest],
    ['ddb-local-loader-0.1.jar', agentManifest],
  ] as const)
    await run(join(jdkBin, 'jar'), 'cfm', join(folder, jar), from, '-C', sources, 'LoopbackMain.class')
}

/** A line of a manifest has 72 bytes at most; a space says that it goes on. */
function folded(line: string): string {
  return (line.match(/.{1,70}/g) ?? []).join('\n ')
}

const project = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>sluice</groupId><artifactId>dynamodb-local</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>com.amazonaws</groupId><artifactId>DynamoDBLocal</artifactId><version>${dynamoDbVersion}</version></dependency>
  </dependencies>
</project>
`

/** DynamoDB Local has no option for the address that it listens on. The agent that LocalStack starts it with does nothing. */
const loopbackMain = `import com.amazonaws.services.dynamodbv2.local.main.ServerRunner;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;

public class LoopbackMain {
  public static void premain(String options) {}

  public static void main(String[] args) throws Exception {
    var runner = ServerRunner.createServerFromCommandLineArgs(args);
    var field = runner.getClass().getDeclaredField("server");
    field.setAccessible(true);
    for (var connector : ((Server) field.get(runner)).getConnectors()) ((ServerConnector) connector).setHost("127.0.0.1");
    runner.start();
    runner.join();
  }
}
`
