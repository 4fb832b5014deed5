import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const version = '1.3.3'

/** Where `lifion-kinesis` is: apart, because it brings the 100 MB of `aws-sdk` 2, which nobody else here needs. */
export const lifionFolder: string = join(import.meta.dirname, '../../node_modules/.cache/sluice-lifion')

/** Installs it where it is not yet. */
export function provideLifion(): void {
  if (existsSync(join(lifionFolder, 'node_modules/lifion-kinesis'))) return
  mkdirSync(lifionFolder, { recursive: true })
  writeFileSync(join(lifionFolder, 'package.json'), '{ "private": true }\n')
  execFileSync('npm', ['install', '--no-audit', '--no-fund', `lifion-kinesis@${version}`], {
    cwd: lifionFolder,
    stdio: ['ignore', 'ignore', 'inherit'],
  })
}
