import type { PublicJwk, SigningKey } from './keys.ts'

/** Where verifiers fetch the public keys, before all routes. */
export const JWKS_PATH = '/.well-known/sessiongate/jwks.json'

/** RFC 7517, section 5. */
export interface JwkSet {
  readonly keys: readonly PublicJwk[]
}

/** The public halves of the signing keys. Shared secrets have none: with HS256 the set is empty. */
export function publicKeySet(keys: readonly SigningKey[]): JwkSet {
  return { keys: keys.flatMap(({ publicJwk }) => publicJwk ?? []) }
}
