import { createHmac, hkdfSync } from 'node:crypto'

/**
 * The name under which a session appears in logs, assertions and the operator's tools: the first 16 bytes, base64url,
 * of HMAC-SHA-256 over the session key, keyed from `session.secret_key` by HKDF-SHA-256 with info `sessiongate/sid`.
 * It is the same on all machines that share the secret, and new when the key is cycled; the key cannot be found from it.
 */
export function createPublicId(secretKey: string): (sessionKey: string) => string {
  const macKey = Buffer.from(hkdfSync('sha256', secretKey, '', 'sessiongate/sid', 32))
  return function publicId(sessionKey) {
    return createHmac('sha256', macKey).update(sessionKey).digest().subarray(0, 16).toString('base64url')
  }
}
