/** What a child process is told to do, as its only argument. */
export type Instruction = SendInstruction | ReadInstruction | FunctionInstruction

/** Send numbers until stopped or killed. */
export interface SendInstruction {
  readonly role: 'send'
  readonly address: string
  readonly topic: string
  readonly keys: number
  readonly first: number
  /** Sends in flight at once. Default 8. */
  readonly window?: number
  /** A file that each receipt is appended to and synced, before the next send of its key. */
  readonly journal?: string
}

/** Read as a member of a group until stopped or killed. */
export interface ReadInstruction {
  readonly role: 'read'
  readonly address: string
  readonly topic: string
  readonly group: string
  readonly member: string
  /** What a handler takes. Default 0. */
  readonly handlerMs?: number
  /** Handlers of values from here on never return. Default: none. */
  readonly holdFrom?: number
  readonly journal?: string
}

/** Run a function between two topics until stopped or killed. */
export interface FunctionInstruction {
  readonly role: 'function'
  readonly address: string
  readonly topic: string
  readonly to: string
  readonly group: string
  readonly member: string
}

/** What a child tells, a line of JSON each. */
export type Line =
  | { readonly kind: 'ready' }
  | { readonly kind: 'sent'; readonly value: number; readonly key: string; readonly id: string }
  | {
      readonly kind: 'handled'
      readonly value: number
      readonly key: string | undefined
      readonly id: string
      readonly partition: string
      readonly attempt: number
    }
