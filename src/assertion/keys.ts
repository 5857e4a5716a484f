import {
  createHmac,
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  hkdfSync,
  type KeyObject,
  sign,
} from 'node:crypto'
import { inspect } from 'node:util'

/** RFC 7518, section 3.1 and RFC 8037, section 3.1: what an assertion may be signed with. */
export type SigningAlgorithm = 'HS256' | 'EdDSA' | 'ES256'

/** One entry of `keys`: a shared secret for HS256, a private key for the others. */
export interface SigningKeySpec {
  /** Becomes `kid`. */
  readonly id: string
  readonly secret?: string
  /** PKCS#8, PEM. */
  readonly privateKey?: string
}

/** A public key as RFC 7517 has it. */
export interface PublicJwk {
  readonly kty: 'OKP' | 'EC'
  readonly crv: 'Ed25519' | 'P-256'
  readonly x: string
  readonly y?: string
  readonly kid: string
  readonly alg: 'EdDSA' | 'ES256'
  readonly use: 'sig'
}

/** A key that is ready to sign for one upstream. Printing or serialising it never shows the key. */
export interface SigningKey {
  readonly id: string
  readonly algorithm: SigningAlgorithm
  /** Length of every signature, in base64url characters. */
  readonly signatureLength: number
  /** The signature over the ASCII text, base64url without padding. */
  sign(input: string): string
  /** What verifiers may know; `undefined` for HS256, where to verify is to be able to sign. */
  readonly publicJwk: PublicJwk | undefined
}

/** An entry of `keys` that cannot be used. The message is for the operator; it holds no part of the key. */
export class SigningKeyError extends Error {
  override readonly name = 'SigningKeyError'
  /** The place of the entry in the list. */
  readonly index: number

  constructor(index: number, message: string, options?: ErrorOptions) {
    super(message, options)
    this.index = index
  }
}

export interface SigningKeyUse {
  readonly algorithm: SigningAlgorithm
  /** The upstream's name. Each upstream has its own HS256 key, so that no app can sign for another. */
  readonly audience: string
}

/** RFC 7518, section 3.2: a key for HMAC-SHA-256 has at least the size of the hash. */
const MIN_SECRET_BYTES = 32

/** Ids appear in headers, logs and exact comparisons: visible ASCII that JSON writes as it is. */
const KEY_ID = /^[!#-[\]-~]{1,128}$/

/**
 * The signing keys of one upstream in the order of the configuration: the first signs, all are good to verify with.
 *
 * @throws {SigningKeyError} for an empty list, a bad or double id, a short secret, and a key that is not of `algorithm`.
 */
export function readSigningKeys(
  specs: readonly SigningKeySpec[],
  use: SigningKeyUse,
): readonly [SigningKey, ...SigningKey[]] {
  const ids = new Set<string>()
  const [first, ...rest] = specs.map((spec, index) => {
    if (!KEY_ID.test(spec.id))
      throw new SigningKeyError(index, 'a key id is 1 to 128 visible ASCII characters without " and \\')
    if (ids.has(spec.id)) throw new SigningKeyError(index, `the key id ${spec.id} is given twice`)
    ids.add(spec.id)
    return use.algorithm === 'HS256'
      ? readHmacKey(spec, index, use.audience)
      : readPrivateKey(spec, index, use.algorithm)
  })
  if (first === undefined) throw new SigningKeyError(0, 'there is no signing key')
  return [first, ...rest]
}

/**
 * The HS256 key of one upstream: HKDF-SHA-256 (RFC 5869) over the UTF-8 bytes of the secret without one final newline,
 * with an empty salt, the info `sessiongate/assertion/<upstream>`, and 32 bytes of output.
 *
 * @throws {RangeError} if the secret has fewer than 32 bytes.
 */
export function deriveUpstreamKey(secret: string, upstream: string): Buffer {
  // A file written by `echo` or an editor ends in a newline that nobody means to be part of the secret.
  const input = Buffer.from(secret.endsWith('\n') ? secret.slice(0, -1) : secret, 'utf8')
  if (input.length < MIN_SECRET_BYTES) throw new RangeError(`a secret has at least ${MIN_SECRET_BYTES} bytes`)
  return Buffer.from(hkdfSync('sha256', input, Buffer.alloc(0), `sessiongate/assertion/${upstream}`, 32))
}

function readHmacKey(spec: SigningKeySpec, index: number, audience: string): SigningKey {
  if (spec.secret === undefined) {
    throw new SigningKeyError(
      index,
      `the key ${spec.id} has no secret, which HS256 needs; a private_key signs EdDSA or ES256`,
    )
  }
  let key: KeyObject
  try {
    key = createSecretKey(deriveUpstreamKey(spec.secret, audience))
  } catch (cause) {
    throw new SigningKeyError(
      index,
      `the secret of key ${spec.id} is too short: HS256 needs ${MIN_SECRET_BYTES} bytes or more`,
      { cause },
    )
  }
  return withoutSecrets({
    id: spec.id,
    algorithm: 'HS256',
    signatureLength: 43,
    sign: (input) => createHmac('sha256', key).update(input, 'latin1').digest('base64url'),
    publicJwk: undefined,
  })
}

function readPrivateKey(spec: SigningKeySpec, index: number, algorithm: 'EdDSA' | 'ES256'): SigningKey {
  const key = readPem(spec, index, algorithm)
  const kind = key.asymmetricKeyType === 'ec' ? key.asymmetricKeyDetails?.namedCurve : key.asymmetricKeyType
  const wanted = algorithm === 'EdDSA' ? 'ed25519' : 'prime256v1'
  if (kind !== wanted) {
    throw new SigningKeyError(
      index,
      `the key ${spec.id} is of the kind ${kind ?? 'unknown'}, but ${algorithm} needs ${wanted}`,
    )
  }
  return withoutSecrets({
    id: spec.id,
    algorithm,
    signatureLength: 86,
    sign(input) {
      const bytes = Buffer.from(input, 'latin1')
      // RFC 7518, section 3.4: the two numbers side by side, not OpenSSL's DER.
      if (algorithm === 'ES256') return sign('sha256', bytes, { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')
      return sign(null, bytes, key).toString('base64url')
    },
    publicJwk: publicJwkOf(key, spec.id, algorithm),
  })
}

function readPem(spec: SigningKeySpec, index: number, algorithm: SigningAlgorithm): KeyObject {
  if (spec.privateKey === undefined) {
    throw new SigningKeyError(
      index,
      `the key ${spec.id} has no private_key, which ${algorithm} needs; a secret signs HS256`,
    )
  }
  // Node would also take PKCS#1 and SEC 1, which tools print under the same file name endings: one format, one way.
  if (!spec.privateKey.includes('-----BEGIN PRIVATE KEY-----')) {
    throw new SigningKeyError(index, `the private_key of ${spec.id} is not PKCS#8 PEM (-----BEGIN PRIVATE KEY-----)`)
  }
  try {
    return createPrivateKey({ key: spec.privateKey, format: 'pem' })
  } catch (cause) {
    throw new SigningKeyError(index, `the private_key of ${spec.id} cannot be read`, { cause })
  }
}

function publicJwkOf(key: KeyObject, kid: string, alg: 'EdDSA' | 'ES256'): PublicJwk {
  const { x = '', y } = createPublicKey(key).export({ format: 'jwk' })
  if (alg === 'EdDSA') return { kty: 'OKP', crv: 'Ed25519', x, kid, alg, use: 'sig' }
  return { kty: 'EC', crv: 'P-256', x, ...(y === undefined ? {} : { y }), kid, alg, use: 'sig' }
}

/** The same key, which prints as its id, its algorithm and `[redacted]`, whoever logs it. */
function withoutSecrets(key: SigningKey): SigningKey {
  const shown = { id: key.id, algorithm: key.algorithm, key: '[redacted]' }
  return Object.defineProperties(key, {
    toJSON: { value: () => shown },
    [inspect.custom]: { value: () => shown },
  })
}
