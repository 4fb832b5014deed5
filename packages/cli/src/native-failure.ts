import { resolve } from 'node:path'
import { systemErrorCode } from '@sluice/driver'
import type { ErrorCode } from '@sluice/driver'

/** A native error in words: what happened, to which file, and what to do. */
export interface NativeFailure {
  readonly code: ErrorCode
  readonly what: string
  /** The file's whole path; `undefined` where there is none. */
  readonly where: string | undefined
  readonly help: string | undefined
}

type Words = (file: string, doing: string) => { readonly what: string; readonly help: string }

const noRight: Words = (file, doing) => ({
  what: `this user may not ${doing} ${file}`,
  help: 'check the rights on it, or use another account',
})

const noRoom: Words = (file, doing) => ({
  what: `the disk is full: cannot ${doing} ${file}`,
  help: 'free some space, or use another disk',
})

const words: ReadonlyMap<unknown, Words> = new Map<unknown, Words>([
  [
    'ENOENT',
    (file) => ({
      what: `there is no file or folder ${file}`,
      help: 'check the path; it starts where the command runs',
    }),
  ],
  ['EACCES', noRight],
  ['EPERM', noRight],
  ['EROFS', (file) => ({ what: `${file} is on a read-only file system`, help: 'use another folder' })],
  ['ENOTDIR', (file) => ({ what: `a part of ${file} is a file, not a folder`, help: 'check the path' })],
  ['EISDIR', (file, doing) => ({ what: `cannot ${doing} ${file}: it is a folder`, help: 'name a file' })],
  ['EEXIST', (file) => ({ what: `${file} is there already`, help: 'use another name, or move it away' })],
  ['ENOSPC', noRoom],
  ['EDQUOT', noRoom],
])

/**
 * What an error of the file system or the network means for whoever runs the command; `undefined` for any other error,
 * which is nobody's mistake but ours.
 */
export function nativeFailure(error: unknown): NativeFailure | undefined {
  const code = systemErrorCode(error)
  if (code === undefined || !(error instanceof Error)) return undefined
  const { code: native, path, syscall } = error as NodeJS.ErrnoException
  const where = path === undefined ? undefined : resolve(path)
  const doing = syscall === undefined || syscall === '' ? 'use' : syscall
  const said = words.get(native)?.(path === undefined ? 'it' : `"${path}"`, doing)
  return { code, what: said?.what ?? error.message, where, help: said?.help }
}
