/** What a LocalStack says of itself. */
export interface Health {
  readonly version: string
  /** What each service does; `running`: it can be used. */
  readonly services: Readonly<Record<string, string>>
}

/** `undefined`: nobody answers there, or not a LocalStack. */
export async function askHealth(url: string, withinMs: number): Promise<Health | undefined> {
  try {
    const answer = await fetch(new URL('/_localstack/health', url), { signal: AbortSignal.timeout(withinMs) })
    const { version, services } = (await answer.json()) as Partial<Health>
    return version === undefined || services === undefined ? undefined : { version, services }
  } catch {
    return undefined
  }
}

/** The first call takes seconds, whatever it is: only then kinesis-mock is started. */
export async function answersKinesis(url: string, withinMs: number): Promise<boolean> {
  const headers = { 'content-type': 'application/x-amz-json-1.1', 'x-amz-target': 'Kinesis_20131202.ListStreams' }
  try {
    const signal = AbortSignal.timeout(withinMs)
    return (await fetch(url, { method: 'POST', headers, body: '{}', signal })).ok
  } catch {
    return false
  }
}
