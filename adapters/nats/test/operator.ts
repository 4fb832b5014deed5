import { nkeys } from '@nats-io/transport-node'

type KeyPair = ReturnType<typeof nkeys.createUser>

/** A JWT as the server's own tools make them: the claims of one key, signed by another. */
function token(issuer: KeyPair, subject: KeyPair, nats: object, expiresAt?: number): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const claims = {
    jti: subject.getPublicKey(),
    iat: Math.floor(Date.now() / 1_000),
    iss: issuer.getPublicKey(),
    sub: subject.getPublicKey(),
    ...(expiresAt === undefined ? {} : { exp: Math.floor(expiresAt / 1_000) }),
    nats: { version: 2, ...nats },
  }
  const unsigned = `${part({ typ: 'JWT', alg: 'ed25519-nkey' })}.${part(claims)}`
  return `${unsigned}.${Buffer.from(issuer.sign(Buffer.from(unsigned))).toString('base64url')}`
}

const unlimited = { subs: -1, data: -1, payload: -1 }

/** An operator with one account: the server's configuration, and credentials of users. */
export class Operator {
  readonly #operator = nkeys.createOperator()
  readonly #system = nkeys.createAccount()
  readonly #account = nkeys.createAccount()

  /** Lines for the server. */
  get config(): string {
    const limits = { ...unlimited, conn: -1, leaf: -1, imports: -1, exports: -1, wildcards: true }
    const jetStream = { mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 }
    const account = { type: 'account', limits: { ...limits, ...jetStream } }
    const system = { type: 'account', limits }
    return [
      `operator: ${token(this.#operator, this.#operator, { type: 'operator' })}`,
      `system_account: ${this.#system.getPublicKey()}`,
      'resolver: MEMORY',
      'resolver_preload: {',
      `${this.#system.getPublicKey()}: ${token(this.#operator, this.#system, system)}`,
      `${this.#account.getPublicKey()}: ${token(this.#operator, this.#account, account)}`,
      '}',
    ].join('\n')
  }

  /** A credentials file. `rights` are the user's permissions, `expiresAt` is on the wall clock. */
  creds(options: { readonly expiresAt?: number; readonly rights?: object } = {}): string {
    const user = nkeys.createUser()
    const claims = { type: 'user', ...unlimited, pub: {}, sub: {}, ...options.rights }
    const jwt = token(this.#account, user, claims, options.expiresAt)
    const seed = Buffer.from(user.getSeed()).toString()
    return [
      '-----BEGIN NATS USER JWT-----',
      jwt,
      '------END NATS USER JWT------',
      '',
      '-----BEGIN USER NKEY SEED-----',
      seed,
      '------END USER NKEY SEED------',
      '',
    ].join('\n')
  }
}
