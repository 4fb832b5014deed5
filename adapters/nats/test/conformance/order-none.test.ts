import { natsConformance } from '../suite.ts'

await natsConformance('none')
