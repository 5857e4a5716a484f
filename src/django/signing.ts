import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import type { EpochMs } from '../lib/clock.ts'
import { saturateMs } from './dates.ts'

const SEPARATOR = ':'

/** `base64url(SHA-256)` without padding. */
const SIGNATURE_LENGTH = 43

/** Django's `BASE62_ALPHABET`: digits, upper case, lower case. */
const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

/** Which key a signature was made with: Django's SECRET_KEY, or the n-th (from 1) of SECRET_KEY_FALLBACKS. */
export type SigningKeyName = 'current' | `fallback-${number}`

export interface SigningOptions {
  /** Django's SECRET_KEY. */
  readonly secretKey: string
  /** Django's SECRET_KEY_FALLBACKS: keys that still verify and never sign. Default none. */
  readonly secretKeyFallbacks?: readonly string[]
  /** Keeps signatures made for one purpose from being valid for another. */
  readonly salt: string
}

export type Unsigned =
  | { readonly ok: true; readonly value: string; readonly signedAt: EpochMs; readonly key: SigningKeyName }
  /** `malformed`: the signature is right, but what it signs is not what a timestamp signer writes. */
  | { readonly ok: false; readonly reason: 'bad_signature' | 'malformed' }

/** Signs texts together with the time, as `django.core.signing.TimestampSigner` does. */
export interface TimestampSigner {
  /** `value:time:signature`, the time in whole seconds. */
  sign(value: string, at: EpochMs): string
  /** Verifies against the current key, then against each fallback. Never throws, and does not look at the age. */
  unsign(text: string): Unsigned
}

/**
 * Django's `TimestampSigner` (4.0 and later: SHA-256 only). The HMAC's key is SHA-256 over salt, the word `signer` and
 * the secret, one after the other without a separator, which is the reason why salts must never be made from input.
 *
 * @throws {TypeError} if a secret is empty. Django reads an empty fallback as the current key; here nothing is ever
 * signed or verified with a key that everybody knows.
 */
export function createTimestampSigner(options: SigningOptions): TimestampSigner {
  const { secretKey, secretKeyFallbacks = [], salt } = options
  const signWith = createSignature(salt, secretKey)
  const verifiers: { readonly name: SigningKeyName; readonly signature: (value: string) => string }[] = [
    { name: 'current', signature: signWith },
    ...secretKeyFallbacks.map((secret, index) => ({
      name: `fallback-${index + 1}` as const,
      signature: createSignature(salt, secret),
    })),
  ]
  return {
    sign(value, at) {
      const stamped = value + SEPARATOR + base62(Math.trunc(saturateMs(at) / 1000))
      return stamped + SEPARATOR + signWith(stamped)
    },
    unsign(text) {
      const cut = text.lastIndexOf(SEPARATOR)
      if (cut < 0) return { ok: false, reason: 'bad_signature' }
      const stamped = text.slice(0, cut)
      const signature = text.slice(cut + 1)
      // The length is no secret; without this, every text of a stranger would cost one HMAC per key.
      if (signature.length !== SIGNATURE_LENGTH) return { ok: false, reason: 'bad_signature' }
      const verifier = verifiers.find((candidate) => isSameText(signature, candidate.signature(stamped)))
      if (verifier === undefined) return { ok: false, reason: 'bad_signature' }
      return readStamp(stamped, verifier.name)
    },
  }
}

function createSignature(salt: string, secret: string): (value: string) => string {
  if (secret === '') throw new TypeError('a signing key is empty')
  const key = createHash('sha256').update(`${salt}signer${secret}`).digest()
  return (value) => createHmac('sha256', key).update(value).digest('base64url')
}

/**
 * Constant-time comparison of the two texts, as UTF-8. Not of the 32 bytes that they encode: base64url leaves two bits
 * of the last character unused, so four different texts would count as the same signature. And not as latin1, which
 * drops the upper byte, so that `Ł` would count as `A`.
 */
function isSameText(given: string, expected: string): boolean {
  const a = Buffer.from(given)
  const b = Buffer.from(expected)
  return a.length === b.length && timingSafeEqual(a, b)
}

function readStamp(stamped: string, key: SigningKeyName): Unsigned {
  const cut = stamped.lastIndexOf(SEPARATOR)
  const seconds = cut < 0 ? undefined : parseBase62(stamped.slice(cut + 1))
  if (seconds === undefined) return { ok: false, reason: 'malformed' }
  return { ok: true, value: stamped.slice(0, cut), signedAt: saturateMs(seconds * 1000), key }
}

/** Django's `b62_encode`: most significant digit first, a minus sign in front of negative numbers. */
function base62(seconds: number): string {
  if (seconds < 0) return `-${base62(-seconds)}`
  const digit = BASE62.charAt(seconds % 62)
  return seconds < 62 ? digit : base62(Math.floor(seconds / 62)) + digit
}

/** Django's `b62_decode`; undefined where it raises. Numbers beyond 2^53 come out rounded, huge ones as infinite. */
function parseBase62(text: string): number | undefined {
  const isNegative = text.startsWith('-')
  if (text === '') return undefined
  let number = 0
  for (const digit of isNegative ? text.slice(1) : text) {
    const value = BASE62.indexOf(digit)
    if (value < 0) return undefined
    number = number * 62 + value
  }
  // Not `-number`: a lone minus sign is 0 in Python, and negative zero nowhere.
  return isNegative ? 0 - number : number
}
