import { createHmac, timingSafeEqual } from 'node:crypto'

/** Signs what clients are to hand back unread: iterators and the tokens of pages. */
export class Tokens {
  readonly #secret: Buffer

  /** Tokens of one secret are known by all who have it. */
  constructor(secret: Buffer) {
    this.#secret = secret
  }

  sign(parts: readonly (string | number)[]): string {
    const body = Buffer.from(JSON.stringify(parts))
    return Buffer.concat([this.#mac(body), body]).toString('base64')
  }

  /** `undefined`: it is none of ours. */
  read(token: string): readonly (string | number)[] | undefined {
    const bytes = Buffer.from(token, 'base64')
    const [mac, body] = [bytes.subarray(0, macBytes), bytes.subarray(macBytes)]
    if (body.length === 0 || bytes.toString('base64') !== token) return undefined
    if (!timingSafeEqual(mac, this.#mac(body))) return undefined
    return JSON.parse(body.toString()) as readonly (string | number)[]
  }

  #mac(body: Buffer): Buffer {
    return createHmac('sha256', this.#secret).update(body).digest().subarray(0, macBytes)
  }
}

const macBytes = 24
