import { onLocalStack } from '../suite.ts'

await onLocalStack()
