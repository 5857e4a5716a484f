import { createCipheriv, createDecipheriv, createSecretKey, hkdfSync, randomBytes } from 'node:crypto'

/** Hides what somebody else keeps for us, and knows it again. */
export interface SealedBox {
  /** ASCII, base64url. `context` is not in it, and must be the same at opening. */
  seal(bytes: Uint8Array, context: string): string
  /** Undefined for what was not sealed here, was changed, or belongs to another context. Never throws. */
  open(text: string, context: string): Buffer | undefined
}

const CIPHER = 'aes-256-gcm'
/** NIST SP 800-38D, section 8.2.2: random ones are good for 2^32 seals under one key. */
const NONCE_BYTES = 12
const TAG_BYTES = 16

/**
 * AES-256-GCM under keys that HKDF-SHA-256 (RFC 5869) makes of secrets: empty salt, `purpose` as info, 32 bytes. The first
 * secret seals, all of them open.
 */
export function createSealedBox(secrets: readonly [string, ...string[]], purpose: string): SealedBox {
  const keyOf = (secret: string) => createSecretKey(Buffer.from(hkdfSync('sha256', secret, '', purpose, 32)))
  const current = keyOf(secrets[0])
  const keys = [current, ...secrets.slice(1).map(keyOf)]

  return {
    seal(bytes, context) {
      const nonce = randomBytes(NONCE_BYTES)
      const cipher = createCipheriv(CIPHER, current, nonce, { authTagLength: TAG_BYTES })
      cipher.setAAD(Buffer.from(context))
      return Buffer.concat([nonce, cipher.update(bytes), cipher.final(), cipher.getAuthTag()]).toString('base64url')
    },

    open(text, context) {
      const sealed = Buffer.from(text, 'base64url')
      // Node's decoder skips what is no base64url: of several texts for the same bytes only one is ours.
      if (sealed.length < NONCE_BYTES + TAG_BYTES || sealed.toString('base64url') !== text) return undefined
      for (const key of keys) {
        const decipher = createDecipheriv(CIPHER, key, sealed.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES })
        decipher.setAAD(Buffer.from(context)).setAuthTag(sealed.subarray(-TAG_BYTES))
        try {
          return Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()])
        } catch {
          // Another key, or nobody's.
        }
      }
      return undefined
    },
  }
}
