import type { BackendUrl } from './driver.ts'
import { StreamError } from './errors.ts'
import { nearest } from './nearest.ts'

const secretPart = /pass|pw|psw|secret|token|key|seed|cred|sig|sas|auth|bearer|jwt|user|login/i
/** A name that is nearly one of these is taken for it. */
const secretWords = [
  'password',
  'passphrase',
  'secret',
  'token',
  'apikey',
  'key',
  'pass',
  'pwd',
  'sig',
  'sas',
  'sasl',
  'signature',
  'credentials',
  'authorization',
  'auth',
  'user',
  'username',
  'login',
]
const hostUrl = /^https?:\/\/[\w.-]+(:\d{1,5})?\/?$/
/** Letters as words are written, or a number: secrets mix them. */
const plainWord = /^([a-z]*|[A-Z]+|[A-Z]?[a-z]+([A-Z][a-z]+)*|v?\d{1,9}(ms|s|m|h|d)?)$/
const secretPair = new RegExp(`([^;,/&]*(?:${secretPart.source})[^;,/&=]*)=[^;,&]*`, 'gi')

/** Behind a `?` or `#` nothing is taken for a password: one that holds them would be shown from there on. */
const misplacedAt = /^\/\/[^?#]*[?#].*@/s

/** Behind a `/` neither: what stands before it would be the host, and the keys of an address would go unused without a word. */
const splitPassword = /^\/\/[^/?#]*\/[^?#]*@/s

/**
 * Takes an address apart. Throws `invalid-argument` when it has no scheme, and when its password does not end where it seems to; the
 * message never shows secrets.
 */
export function parseBackendUrl(address: string): BackendUrl {
  const match = /^([a-z][a-z0-9+.-]*):(.*)$/is.exec(address)
  if (match === null) {
    throw new StreamError(
      'invalid-argument',
      // Nothing of it is shown: what is pasted here by mistake may be a connection string with its keys.
      `this is not a backend address (it does not begin with a scheme such as local:); write <scheme>:<where>, for example local:./data or nats://localhost:4222`,
    )
  }
  const [scheme, rest] = [(match[1] ?? '').toLowerCase(), match[2] ?? '']
  if (misplacedAt.test(rest)) {
    throw new StreamError(
      'invalid-argument',
      `the ${scheme}: address has an "@" behind a "?" or "#"; write what the password holds as %3F, %23 and %40, and "@" in an option as %40`,
    )
  }
  if (splitPassword.test(rest)) {
    throw new StreamError(
      'invalid-argument',
      `the ${scheme}: address has an "@" behind a "/"; write a "/" in the user or password as %2F, and "@" anywhere else as %40`,
    )
  }
  const [where = '', query = ''] = splitOnce(rest, '?')
  return {
    scheme,
    path: decodePath(where.replace(/^\/\/(.*@)?/, ''), scheme),
    href: address,
    safe: `${scheme}:${safeWhere(where)}${safeQuery(query)}`,
    options: optionsOf(query, scheme),
  }
}

function optionsOf(query: string, scheme: string): BackendUrl['options'] {
  const pairs = [...new URLSearchParams(query)]
  const options = Object.fromEntries(pairs)
  const twice = Object.keys(options).find((name) => pairs.filter(([other]) => other === name).length > 1)
  if (twice === undefined) return options
  throw new StreamError('invalid-argument', `the ${scheme}: address has the option "${twice}" twice; keep one`)
}

function splitOnce(text: string, separator: string): string[] {
  const at = text.indexOf(separator)
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)]
}

function decodePath(path: string, scheme: string): string {
  try {
    return decodeURIComponent(path)
  } catch (cause) {
    throw new StreamError('invalid-argument', `the ${scheme}: address has a broken %-escape`, { cause })
  }
}

/** Whatever stands before the last `@`, behind a `#`, or in a pair with a telling name may be a secret. */
function safeWhere(where: string): string {
  const [main = '', fragment] = splitOnce(where, '#')
  const named = main.replace(/^(\/\/)?.*@/, '$1***@').replace(secretPair, '$1=***')
  return fragment === undefined ? named : `${named}#***`
}

function safeQuery(query: string): string {
  if (query === '') return ''
  const pairs = [...new URLSearchParams(query)].map(
    ([name, value]) => `${name}=${isSecretName(name) || !isPlain(value) ? '***' : value}`,
  )
  return `?${pairs.join('&')}`
}

/**
 * Addresses are shown before an adapter is loaded that knows its options. So the name decides, also where it is a misspelt word for a
 * secret, and then the value.
 */
function isSecretName(name: string): boolean {
  const words = name.split(/[^A-Za-z]+|(?<=[a-z])(?=[A-Z])/)
  return secretPart.test(name) || [name, ...words].some((word) => nearest(word, secretWords) !== undefined)
}

/** Whether a value is a host, or made of plain words and numbers. */
function isPlain(value: string): boolean {
  if (hostUrl.test(value)) return true
  return value.length <= 64 && !value.includes('//') && value.split(/[_.:,{}/-]+/).every((word) => plainWord.test(word))
}
