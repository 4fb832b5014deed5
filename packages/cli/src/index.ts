export { runCli } from './cli.ts'
export { processHost } from './host.ts'
export type { Host } from './host.ts'
