export { optionDescriptions } from './config.ts'
export { natsCapabilities } from './driver.ts'
export { natsModule as adapter } from './module.ts'
