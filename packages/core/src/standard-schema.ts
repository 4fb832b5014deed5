/**
 * The part of Standard Schema v1 that Sluice uses (https://standardschema.dev). Declared here, structurally, so that
 * zod, valibot and arktype schemas fit without a dependency. `In` is what it takes, `Out` what it makes of that; both
 * are inferred from `types`. A schema that declares no `types` has the `Out` of its `validate`, on both sides.
 */
export interface StandardSchema<In, Out = In> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => StandardResult<Out> | PromiseLike<StandardResult<Out>>
    readonly types?: { readonly input: In; readonly output: Out } | undefined
  }
}

/** What a schema says of a value. */
export type StandardResult<Out> =
  | { readonly value: Out; readonly issues?: undefined }
  | { readonly issues: readonly StandardIssue[] }

/** One thing that is wrong with a value. */
export interface StandardIssue {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}
