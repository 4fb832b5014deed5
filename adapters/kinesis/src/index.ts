export { optionDescriptions } from './config.ts'
export { kinesisCapabilities } from './driver.ts'
export { kinesisModule as adapter } from './module.ts'
