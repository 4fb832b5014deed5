/** A record's expiry as adapters write it: milliseconds since 1970, or before; `undefined`: it is no time that a `Date` can be. */
export function parseExpiry(text: string): number | undefined {
  const timeMs = /^-?\d{1,16}$/.test(text) ? new Date(Number(text)).getTime() : Number.NaN
  return Number.isNaN(timeMs) ? undefined : timeMs
}
