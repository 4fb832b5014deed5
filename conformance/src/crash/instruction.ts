import type { Bug, MemberSettings } from './plan.ts'

/** The value of every record: which producer sent it, its number there, and some weight. */
export interface Payload {
  readonly slot: number
  readonly seq: number
  readonly pad: string
}

/** The value of every output of a function round: which input it was made of. */
export interface Output {
  readonly slot: number
  readonly seq: number
}

interface Common {
  readonly address: string
  readonly topic: string
  /** For what the process decides by chance, the same in every life of it. */
  readonly seed: number
  readonly bug: Bug | undefined
}

/** Send numbered records until stopped or killed. */
export interface ProduceInstruction extends Common {
  readonly role: 'produce'
  readonly journal: string
  /** Which producer this is: its numbers are its own. */
  readonly slot: number
  readonly first: number
  /** Numbers end before this one. */
  readonly end: number
  readonly window: number
}

/** Handle messages as a member of a group until stopped or killed. */
export interface ConsumeInstruction extends Common {
  readonly role: 'consume'
  readonly journal: string
  readonly group: string
  readonly member: string
  readonly settings: MemberSettings
}

/** Run the function until stopped or killed. */
export interface ApplyInstruction extends Common {
  readonly role: 'apply'
  readonly to: string
  readonly group: string
  readonly member: string
  readonly settings: MemberSettings
}

/** What a child process is told to do, as the first line of its input. */
export type Instruction = ProduceInstruction | ConsumeInstruction | ApplyInstruction

/** What a child process tells its parent, a line each. */
export type ChildEvent = 'idle' | 'ready' | 'first-ack'
