/** Turns values into bytes and back. */
export interface Codec<T> {
  /** Written to the `content-type` header. */
  readonly contentType: string
  /**
   * Called once for each value, while it is being sent. Throws when the value cannot be encoded. The bytes it returns
   * are taken over, as they are: they must not be reused or changed, nor be memory of the value that its owner may change.
   */
  encode(value: T): Uint8Array
  /** Throws when the bytes make no sense; the message is then poison. The bytes may be reused after it returns. */
  decode(body: Uint8Array): T
}
