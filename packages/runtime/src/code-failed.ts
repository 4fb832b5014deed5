import { pathToFileURL } from 'node:url'
import { StreamError, systemErrorCode, textOf } from '@sluice/driver'

/** Which code of a pipeline was running. */
export interface RunningCode {
  /** As the pipeline's file names it. */
  readonly use: string
  /** The pipeline's folder. */
  readonly folder: string
}

/**
 * What the user's own code threw, as a StreamError that names the code and, in `details.file`, the line. Errors of the
 * file system and the network keep their meaning; any other is `invalid-argument`, because the code cannot run as it is
 * written. A StreamError is returned as it is.
 */
export function codeFailed(error: unknown, code: RunningCode): StreamError {
  if (StreamError.is(error)) return error
  const file = placeIn(code.folder, error)
  return new StreamError(
    systemErrorCode(error) ?? 'invalid-argument',
    `${textOf(error)}; ${code.use} threw it: mend what it met, or catch it there`,
    { cause: error, details: file === undefined ? {} : { file } },
  )
}

/** The first line of the stack that is the user's: `source.ts:12:5`, from the pipeline's folder on. Of TypeScript's syntax there is no column. */
export function placeIn(folder: string, error: unknown): string | undefined {
  if (!(error instanceof Error) || error.stack === undefined) return undefined
  // Node shows addresses, whatever maps sources back shows paths.
  const homes = [`${pathToFileURL(folder).href}/`, `${folder}/`]
  for (const line of error.stack.split('\n')) {
    const home = homes.find((each) => line.includes(each))
    if (home === undefined) continue
    const place = /^(.+?:\d+(?::\d+)?)/.exec(line.slice(line.indexOf(home) + home.length))?.[1]
    if (place !== undefined && !place.includes('node_modules/')) return decodeURI(place)
  }
  return undefined
}
