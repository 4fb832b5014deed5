import { onAccount } from '../suite.ts'

onAccount()
