import { natsConformance } from '../suite.ts'

natsConformance('none')
