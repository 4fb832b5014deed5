import { natsConformance } from '../suite.ts'

natsConformance('key')
