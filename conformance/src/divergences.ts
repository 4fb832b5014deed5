/** A backend that is known to break a promise: an emulator, or a broker with a defect. */
export interface Divergence {
  /** The harness's name. */
  readonly backend: string
  /** The case's name. */
  readonly case: string
  readonly reason: string
  /** Where it is documented: the vendor's issue. */
  readonly link: string
}

/**
 * Every known divergence. An entry turns a failure of its case into `diverged`, which is printed and counted; and a
 * pass into a failure, so that no entry outlives its reason.
 */
export const divergences: readonly Divergence[] = [
  {
    backend: 'kinesis, LocalStack',
    case: 'limits/match-reality',
    reason: 'kinesis-mock takes records of more than a stream’s 1 MiB',
    link: 'https://docs.aws.amazon.com/streams/latest/dev/large-records.html',
  },
  {
    backend: 'kinesis, LocalStack',
    case: 'group/two-groups-each-get-all',
    reason: 'DynamoDB Local has no two tables whose names differ in a capital letter alone (InternalFailure); AWS does',
    link: 'https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html',
  },
]

/** The entry for a case on a backend. */
export function findDivergence(
  register: readonly Divergence[],
  backend: string,
  caseName: string,
): Divergence | undefined {
  return register.find((entry) => entry.backend === backend && entry.case === caseName)
}

/** Entries of a backend that name no case there is: a typing error, or a case that was renamed. */
export function unknownDivergences(
  register: readonly Divergence[],
  backend: string,
  caseNames: ReadonlySet<string>,
): readonly Divergence[] {
  return register.filter((entry) => entry.backend === backend && !caseNames.has(entry.case))
}
