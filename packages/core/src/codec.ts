/** Turns values into bytes and back. */
export interface Codec<T> {
  /** Written to the `content-type` header. */
  readonly contentType: string
  /** Throws when the value cannot be encoded. */
  encode(value: T): Uint8Array
  /** Throws when the bytes make no sense; the message is then poison. The bytes may be reused after it returns. */
  decode(body: Uint8Array): T
}
