// Who is asking, in the gateway's words: the one thing that an app behind the gateway has to check for itself.
import { hkdfSync } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { verifySession } from '../verify/node.mjs'

const {
  // Made by the gateway at its first start. An app elsewhere would be given its derived key alone, never the secret:
  // `sessiongate keys derive --upstream app` prints it.
  SESSIONGATE_KEY_FILE: keyFile = 'var/signing-key',
  SESSIONGATE_KEY_ID: kid = 'generated',
  SESSIONGATE_UPSTREAM: audience = 'app',
} = process.env

let keys

/** The claims, and the plain session headers that they vouch for. Throws for a request that went around the gateway. */
export function readSession(rawHeaders) {
  const verify = () => verifySession(rawHeaders, { keys, issuer: 'sessiongate', audience })
  try {
    keys ??= readKeys()
    return verify()
  } catch {
    keys = readKeys() // It may be the first start of a new gateway, with a new key.
    return verify()
  }
}

function readKeys() {
  const secret = readFileSync(keyFile, 'utf8').replace(/\n$/, '')
  const key = Buffer.from(hkdfSync('sha256', secret, '', `sessiongate/assertion/${audience}`, 32))
  return [{ kid, alg: 'HS256', key }]
}
