import { readSigningKeys, SigningKeyError } from '../../assertion/keys.ts'
import { isPostgres } from '../database-url.ts'
import { enginesInUse } from '../engines-in-use.ts'
import type { FileConfig } from '../schema/file.ts'
import type { Secret } from '../secret.ts'
import type { CheckContext } from './context.ts'

/** What Django's own `check --deploy` asks of SECRET_KEY is 50 characters; below this a key is a word. */
const SHORT_SECRET_BYTES = 32
const SHORT_TOKEN_CHARACTERS = 24

/** Secrets that are missing, too short, or not of the kind that the algorithm needs. */
export function checkSecrets(context: CheckContext): void {
  checkMissing(context)
  checkAlgorithm(context)
  checkSecretKeys(context)
  checkSigningKeys(context)
  checkAdminToken(context)
}

/** It opens every session to whoever guesses it; and it travels in a header (RFC 6750, section 2.1). */
function checkAdminToken({ file: { admin }, error }: CheckContext): void {
  const token = admin === 'off' ? undefined : admin.token?.reveal()
  if (token === undefined || (token.length >= SHORT_TOKEN_CHARACTERS && /^[\w.~+/=-]+$/.test(token))) return
  error(['admin', 'token'], {
    message: `admin.token must have at least ${SHORT_TOKEN_CHARACTERS} characters, letters, digits and -._~+/= only`,
    hint: 'make one with: openssl rand -base64 32',
  })
}

/** A secret made on this machine is of no use to a store that several machines share. */
function checkMissing(context: CheckContext): void {
  const { file } = context
  const reason = sharedStore(file)
  if (reason === undefined || context.isUnsure(['session', 'engine'])) return
  if (file.session.secret_key === undefined && !context.isUnsure(['session', 'secret_key'])) {
    context.error(['session', 'secret_key'], {
      message: `session.secret_key is missing, and ${reason}`,
      hint: `add secret_key: \${SECRET_KEY} under session, with Django’s SECRET_KEY where Django shares the sessions`,
    })
  }
  if (file.keys === undefined && !context.isUnsure(['keys'])) {
    context.error(['keys'], {
      message: `keys are missing, and ${reason}`,
      hint: `add keys: [{ id: "1", secret: "\${file:/run/secrets/sessiongate_key}" }]`,
    })
  }
}

/** What is made at the first start is a secret. A private key is made by whoever hands out the public one. */
function checkAlgorithm(context: CheckContext): void {
  const { signing, keys } = context.file
  if (signing.algorithm === 'HS256' || keys !== undefined || context.isUnsure(['keys'])) return
  context.error(['signing', 'algorithm'], {
    message: `${signing.algorithm} needs a private key, and the file names no keys`,
    hint: `add keys: [{ id: "1", private_key: "\${file:/run/secrets/sessiongate.pem}" }]`,
  })
}

/** Why a store is not one of this machine alone; `undefined` if all are. */
function sharedStore(file: FileConfig): string | undefined {
  if (file.session.engine === 'signed_cookies') return 'with signed_cookies every session depends on it'
  const engines = enginesInUse(file)
  if (engines.some(({ database }) => database !== undefined && isPostgres(database.value.url)))
    return 'PostgreSQL is shared between machines'
  const backend = engines
    .map(({ cache }) => cache?.value?.backend)
    .find((name) => name !== undefined && name !== 'memory')
  return backend && `${backend} is shared between machines`
}

function checkSecretKeys(context: CheckContext): void {
  const { secret_key: secretKey, secret_key_fallbacks: fallbacks } = context.file.session
  const warnIfShort = (path: (string | number)[], secret: Secret) => {
    if (Buffer.byteLength(secret.reveal()) >= SHORT_SECRET_BYTES) return
    context.warn(path, {
      message: `a secret key of less than ${SHORT_SECRET_BYTES} bytes can be guessed, and with it every session`,
      hint: 'change it where it is made; the old one can stand under secret_key_fallbacks for a while',
    })
  }
  if (secretKey !== undefined) warnIfShort(['session', 'secret_key'], secretKey)
  for (const [at, secret] of fallbacks.entries()) warnIfShort(['session', 'secret_key_fallbacks', at], secret)
}

function checkSigningKeys(context: CheckContext): void {
  const { signing, keys = [] } = context.file
  for (const [at, { id, secret, private_key: privateKey }] of keys.entries()) {
    const path = ['keys', at]
    if (context.isUnsure(path) || context.isUnsure(['signing', 'algorithm'])) continue
    if (secret !== undefined && privateKey !== undefined) {
      context.error([...path, 'private_key'], {
        message: `the key ${context.quote([...path, 'id'], id)} has both a secret and a private_key`,
        hint: 'a secret is for HS256, a private_key for EdDSA and ES256: remove one',
      })
      continue
    }
    // A second newline would be cut by one reader of the file and kept by another, and the app would verify nothing.
    if (secret?.reveal().endsWith('\n')) {
      context.error([...path, 'secret'], {
        message: 'the secret ends in a line break of its own',
        hint: 'let the file end in one newline at most',
      })
      continue
    }
    checkSigningKey(context, at, {
      id,
      ...(secret === undefined ? {} : { secret: secret.reveal() }),
      ...(privateKey === undefined ? {} : { privateKey: privateKey.reveal() }),
    })
  }

  function checkSigningKey(
    { error }: CheckContext,
    at: number,
    spec: { id: string; secret?: string; privateKey?: string },
  ): void {
    try {
      readSigningKeys([spec], { algorithm: signing.algorithm, audience: 'check' })
    } catch (cause) {
      if (!(cause instanceof SigningKeyError)) throw cause
      const part = spec.privateKey === undefined ? 'secret' : 'private_key'
      const hint = `sessiongate keys new makes a good one for ${signing.algorithm}`
      error(['keys', at, part], { message: cause.message, hint })
    }
  }
}
