import type { Pipeline } from './pipeline.ts'

/** The backend that is used when nothing names one. */
export const defaultBackend = 'local:./data'

/** Who named the backend. */
export type BackendSource = 'flag' | 'environment' | 'file' | 'default'

/** Where the backend's address may come from. */
export interface BackendChoice {
  /** From the command line. */
  readonly flag?: string | undefined
  /** The value of `SLUICE_BACKEND`. */
  readonly environment?: string | undefined
  readonly pipeline?: Pipeline | undefined
}

/** Chooses the backend: the flag wins over the environment, that over the file, that over the default. */
export function chooseBackend(choice: BackendChoice): { readonly address: string; readonly source: BackendSource } {
  if (isSet(choice.flag)) return { address: choice.flag, source: 'flag' }
  if (isSet(choice.environment)) return { address: choice.environment, source: 'environment' }
  if (isSet(choice.pipeline?.backend)) return { address: choice.pipeline.backend, source: 'file' }
  return { address: defaultBackend, source: 'default' }
}

function isSet(value: string | undefined): value is string {
  return value !== undefined && value !== ''
}
