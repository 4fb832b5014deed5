import { natsClusterConformance } from '../suite.ts'

await natsClusterConformance('none')
