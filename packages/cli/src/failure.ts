import { parseBackendUrl, StreamError } from '@sluice/driver'
import type { ErrorCode } from '@sluice/driver'
import { nativeFailure } from './native-failure.ts'

/** How a command ends. */
export const exitCodes = {
  ok: 0,
  failure: 1,
  usage: 2,
  interrupted: 130,
} as const

/** The command line makes no sense: exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** An error as it is shown. */
export interface Failure {
  readonly code: string
  readonly what: string
  readonly where: string | undefined
  readonly help: string | undefined
}

/** Takes an error apart into what failed, where, and the way out. Shows no secret: addresses appear without them. */
export function toFailure(error: unknown, backend: string | undefined, command: string = 'sluice'): Failure {
  const message = withoutSecrets(error instanceof Error ? error.message : String(error), backend)
  if (error instanceof UsageError)
    return { code: 'usage', what: message, where: undefined, help: `see ${command} --help` }
  const where = whereOf(error, backend)
  if (!StreamError.is(error)) {
    const native = nativeFailure(error)
    if (native === undefined) return { code: 'internal', what: message, where, help: hints.internal }
    return { ...native, what: withoutSecrets(native.what, backend), help: native.help ?? hints[native.code] }
  }
  const { what, help } = splitWayOut(message)
  return { code: error.code, what, where, help: help === undefined ? hintOf(error) : asCommand(help, error) }
}

/** A failure as one block of lines. */
export function formatFailure(failure: Failure): string {
  const lines = [`error: ${failure.code}`, `  what:  ${indent(failure.what)}`]
  if (failure.where !== undefined) lines.push(`  where: ${failure.where}`)
  if (failure.help !== undefined) lines.push(`  help:  ${indent(failure.help)}`)
  return lines.join('\n')
}

/** The address without user, password and secret-looking options. */
export function safeAddress(address: string): string {
  try {
    return parseBackendUrl(address).safe
  } catch {
    return '(not an address)'
  }
}

function withoutSecrets(text: string, backend: string | undefined): string {
  if (backend === undefined || backend === '') return text
  const safe = safeAddress(backend)
  // A single word, such as a scheme alone, may be a part of others.
  return text.replaceAll(/^\w+$/.test(backend) ? new RegExp(`\\b${backend}\\b(?!:)`, 'g') : backend, () => safe)
}

/** Sluice's messages end with the way out, after a semicolon. What a backend said stands in brackets, and may have some too. */
function splitWayOut(message: string): { readonly what: string; readonly help: string | undefined } {
  const own = message.replace(/\([^()]*\)/g, (quoted) => '-'.repeat(quoted.length))
  const at = own.includes('\n') ? -1 : own.lastIndexOf('; ')
  if (at < 0) return { what: message, help: undefined }
  return { what: message.slice(0, at), help: message.slice(at + 2) }
}

/** A call of the API that a message names, as the command that makes it. */
function asCommand(help: string, { details }: StreamError): string {
  return help.replace('describeTopic', () => `\`sluice topics describe ${String(details['topic'])}\``)
}

function hintOf({ code, details }: StreamError): string | undefined {
  const { group, topic } = details
  if (code === 'not-found' && typeof topic === 'string' && typeof group === 'string')
    return `see what there is with \`sluice groups list ${topic}\``
  return hints[code]
}

function whereOf(error: unknown, backend: string | undefined): string | undefined {
  const details = StreamError.is(error) ? error.details : {}
  const named = ['topic', 'partition', 'group', 'part'].flatMap((name) =>
    typeof details[name] === 'string' ? [`${name} ${details[name]}`] : [],
  )
  const file = typeof details['file'] === 'string' ? [details['file']] : []
  const parts = [...(backend === undefined ? [] : [safeAddress(backend)]), ...named, ...file]
  return parts.length === 0 ? undefined : parts.join(', ')
}

function indent(text: string): string {
  return text.replaceAll('\n', '\n         ')
}

const hints: Readonly<Record<ErrorCode, string | undefined>> = {
  'not-found': 'see what there is with `sluice topics list`',
  'already-exists': undefined,
  'invalid-argument': undefined,
  unauthenticated: 'check the user and password, or the token, of the backend',
  'permission-denied': 'grant the right that is missing, or use another account',
  throttled: 'send more slowly, or raise the quota',
  'too-large': undefined,
  unavailable: 'check that the backend runs and can be reached from here',
  timeout: 'it may have happened all the same; look before you repeat it',
  aborted: undefined,
  closed: undefined,
  fenced: undefined,
  conflict: undefined,
  unsupported: 'this backend cannot do it; see its capabilities',
  corrupt: undefined,
  internal: 'this is a defect; please report it with the command and this message',
}
