import { deflateSync, inflateSync } from 'node:zlib'
import type { EpochMs } from '../lib/clock.ts'
import { parseSessionData, type SessionData, writeSessionData } from './json.ts'
import { createTimestampSigner, type SigningKeyName, type SigningOptions, type TimestampSigner } from './signing.ts'

/** 1 MiB: what a session's JSON may measure before it is refused unread. */
const DEFAULT_MAX_INFLATED_BYTES = 1_048_576

/** Room for what stands beside the payload: the dot, two separators, the time, 43 characters of signature. */
const ENVELOPE_LENGTH = 128

/** The salt of the `signed_cookies` engine, which has no class name in it. */
const SIGNED_COOKIES_SALT = 'django.contrib.sessions.backends.signed_cookies'

export interface SessionCodecOptions {
  /** Django's SECRET_KEY. */
  readonly secretKey: string
  /** Django's SECRET_KEY_FALLBACKS, in their order: they verify, they never sign. Default none. */
  readonly secretKeyFallbacks?: readonly string[]
  /** The name of Django's session class; all four built-in ones are called `SessionStore`, which is the default. */
  readonly saltClass?: string
  /** How long a session's JSON may be, in bytes; a longer one is malformed. Default 1 MiB. */
  readonly maxInflatedBytes?: number
  /** Told of each session that was decoded, and by which key. */
  readonly onRead?: (key: SigningKeyName) => void
}

export interface SignedCookieCodecOptions {
  readonly secretKey: string
  readonly secretKeyFallbacks?: readonly string[]
  readonly maxInflatedBytes?: number
  readonly onRead?: (key: SigningKeyName) => void
  /** Django's SESSION_COOKIE_AGE: how long after its signing a cookie is good, in seconds. */
  readonly maxAgeSeconds: number
}

export type DecodedSession =
  | { readonly ok: true; readonly data: SessionData; readonly signedAt: EpochMs; readonly key: SigningKeyName }
  /** `bad_signature`: not written with any of our keys, or changed since. `malformed`: signed, but not a session. */
  | { readonly ok: false; readonly reason: 'bad_signature' | 'malformed' }

export type DecodedSignedCookie = DecodedSession | { readonly ok: false; readonly reason: 'expired' }

/** Django's `SessionBase.encode` and `decode`: what the column `session_data` and a session file hold. */
export interface SessionCodec {
  /**
   * @param at The time of signing; nothing looks at it afterwards.
   * @throws {TypeError} if a value of `data` is not JSON text: a bug of the caller. The size is not looked at; whoever
   * stores sessions keeps them below `maxInflatedBytes`, or they cannot be read again.
   */
  encode(data: SessionData, at: EpochMs): string
  /**
   * Never throws, whatever the text is, and does no work that exceeds the limits. Two things differ from Django, which
   * reads either as an empty session under the same key: the reason is told apart, so that such a row can be left as it
   * is; and JSON that is not an object, too long or too deep is malformed.
   */
  decode(text: string): DecodedSession
}

/** The same for the value of a `signed_cookies` cookie, which has an age. */
export interface SignedCookieCodec {
  encode(data: SessionData, at: EpochMs): string
  /** Never throws. `expired`: signed more than the maximum age before `now`; a time of signing in the future is accepted, as in Django. */
  decode(text: string, now: EpochMs): DecodedSignedCookie
}

/**
 * The codec of the engines db, cached_db and file. Their salt is `django.contrib.sessions.` and the class name.
 *
 * @throws {TypeError} if a key is empty.
 */
export function createSessionCodec(options: SessionCodecOptions): SessionCodec {
  const salt = `django.contrib.sessions.${options.saltClass ?? 'SessionStore'}`
  return createCodec({ ...options, salt })
}

/**
 * The codec of the engine signed_cookies, whose session is the cookie itself: `TimestampSigner` with `max_age`.
 *
 * @throws {TypeError} if a key is empty.
 */
export function createSignedCookieCodec(options: SignedCookieCodecOptions): SignedCookieCodec {
  const { onRead, ...others } = options
  const codec = createCodec({ ...others, salt: SIGNED_COOKIES_SALT })
  return {
    encode: codec.encode,
    decode(text, now) {
      const decoded = codec.decode(text)
      if (!decoded.ok) return decoded
      if (now - decoded.signedAt > options.maxAgeSeconds * 1000) return { ok: false, reason: 'expired' }
      onRead?.(decoded.key)
      return decoded
    },
  }
}

function createCodec(options: SigningOptions & Pick<SessionCodecOptions, 'maxInflatedBytes' | 'onRead'>): SessionCodec {
  const { maxInflatedBytes = DEFAULT_MAX_INFLATED_BYTES, onRead } = options
  const signer: TimestampSigner = createTimestampSigner(options)
  // Base64 takes four characters for three bytes, and Django compresses only what becomes shorter: a longer text cannot
  // hold a session within the limit, so it is refused before the signature is computed over all of it.
  const maxLength = Math.ceil((maxInflatedBytes * 4) / 3) + ENVELOPE_LENGTH
  return {
    encode: (data, at) => signer.sign(pack(writeSessionData(data)), at),
    decode(text) {
      if (text.length > maxLength) return { ok: false, reason: 'malformed' }
      const unsigned = signer.unsign(text)
      if (!unsigned.ok) return unsigned
      const json = unpack(unsigned.value, maxInflatedBytes)
      const data = json === undefined ? undefined : parseSessionData(json, { maxLength: maxInflatedBytes })
      if (data === undefined) return { ok: false, reason: 'malformed' }
      onRead?.(unsigned.key)
      return { ok: true, data, signedAt: unsigned.signedAt, key: unsigned.key }
    },
  }
}

/** `Signer.sign_object` with `compress=True`: compressed only where that saves more than the dot which marks it. */
function pack(json: string): string {
  const plain = Buffer.from(json, 'latin1')
  const compressed = deflateSync(plain)
  return compressed.length < plain.length - 1 ? `.${compressed.toString('base64url')}` : plain.toString('base64url')
}

/**
 * `Signer.unsign_object`; undefined if the payload is not base64url, not a whole zlib stream, or larger than the limit.
 * Bytes are characters, as in Django's serializer (latin-1): its own JSON is ASCII anyway.
 *
 * Inflating stops at the limit. The payload is signed, so a bomb would have to come from somebody with the key; but
 * every app that shares the key can put what its users sent into a session.
 */
function unpack(payload: string, maxInflatedBytes: number): string | undefined {
  const isCompressed = payload.startsWith('.')
  const encoded = isCompressed ? payload.slice(1) : payload
  // Buffer skips what is not base64url, and two texts would be one session.
  if (!/^[\w-]*$/.test(encoded) || encoded.length % 4 === 1) return undefined
  const bytes = Buffer.from(encoded, 'base64url')
  if (!isCompressed) return bytes.toString('latin1')
  // Sessions are small; the default of 16 KiB a chunk costs more in allocation than the inflating itself.
  const chunkSize = Math.max(1024, bytes.length * 4)
  try {
    return inflateSync(bytes, { maxOutputLength: maxInflatedBytes, chunkSize }).toString('latin1')
  } catch {
    return undefined
  }
}
