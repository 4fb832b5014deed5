import { existsSync, mkdirSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { StreamError } from '@sluice/driver'

/**
 * Makes the folder, and those above it. Not by `recursive`: where a file system says ENOENT to whatever is to be made, as
 * /proc does, Node tries for ever. Throws `invalid-argument` there, and the native error for whatever else is in the way.
 */
export function makeFolder(folder: string): void {
  if (isFolder(folder)) return
  const above = dirname(folder)
  // A file in the way is for mkdir to refuse.
  if (!existsSync(above)) makeFolder(above)
  try {
    mkdirSync(folder)
  } catch (error) {
    // Another process was first.
    if (isFolder(folder)) return
    if (!isFolder(above) || (error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    throw new StreamError('invalid-argument', `no folder can be made in ${above}; choose another place`, {
      cause: error,
      details: { file: folder },
    })
  }
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory()
  } catch {
    return false
  }
}
