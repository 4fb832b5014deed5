export { optionDescriptions } from './config.ts'
export type { OptionDescription } from './config.ts'
export { natsCapabilities } from './driver.ts'
export { natsModule as adapter } from './module.ts'
