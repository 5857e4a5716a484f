import { resolve } from 'node:path'
import type { Config, SessionConfig } from './config/config.ts'
import type { ExpiryRules } from './django/expiry.ts'
import { createSessionCodec, createSignedCookieCodec, type SessionCodec } from './django/session-data.ts'
import { createSessionKey } from './django/session-key.ts'
import type { Clock } from './lib/clock.ts'
import { openSecretFile } from './lib/secret-file.ts'
import { jsonSerializer } from './sessions/caches/json-serializer.ts'
import { createMemoryCache } from './sessions/caches/memory.ts'
import { cacheKeyPrefix } from './sessions/caches/session-cache.ts'
import { createSessionCookie, type SessionCookie } from './sessions/cookie.ts'
import { openSqliteSessions } from './sessions/databases/sqlite.ts'
import type { SessionEngine } from './sessions/engine.ts'
import { createCacheSessions } from './sessions/engines/cache.ts'
import { createFileSessions } from './sessions/engines/file.ts'
import { createSignedCookieSessions } from './sessions/engines/signed-cookies.ts'
import type { IdentityRules } from './sessions/merge.ts'
import { type EngineObserver, observeEngine } from './sessions/observed-engine.ts'
import { createPublicId } from './sessions/public-id.ts'
import { SessionStore } from './sessions/session-store.ts'

/** Where the secrets are kept that the gateway makes for itself, from the working directory. */
const SECRET_KEY_FILE = 'var/secret-key'
const SIGNING_KEY_FILE = 'var/signing-key'

/** Everything that knows sessions, opened from one configuration. */
export interface SessionParts {
  readonly engine: SessionEngine
  readonly store: SessionStore
  readonly cookie: SessionCookie
  readonly codec: SessionCodec
  readonly identity: IdentityRules
  readonly publicId: (key: string) => string
}

/** The secret that signs assertions where the configuration names no keys; made if there is none yet. */
export async function readGeneratedSigningKey(): Promise<string> {
  return await openSecretFile(resolve(SIGNING_KEY_FILE))
}

export interface SessionPartsOptions {
  readonly clock: Clock
  /** Told of the engine's operations and state. */
  readonly observer?: EngineObserver
}

/** @throws {GatewayError} `ERR_STORE_UNAVAILABLE` when a store on this machine cannot be opened. */
export async function openSessionParts(config: Config, options: SessionPartsOptions): Promise<SessionParts> {
  const { session } = config
  const { clock, observer } = options
  const keys = await readSecretKeys(session)
  const codec = createSessionCodec({ ...keys, saltClass: session.saltClass })
  const expiry = expiryRulesOf(session)
  const bare = await openEngine(session, { keys, codec, expiry, clock })
  const engine = observer === undefined ? bare : observeEngine(bare, observer)
  const identity: IdentityRules = {
    authKey: session.authKey,
    ...(session.userId === undefined ? {} : { userId: session.userId.split('.') }),
  }
  return {
    engine,
    store: new SessionStore({ engine, expiry, identity, maxAgeMs: session.maxAgeMs, clock }),
    cookie: createSessionCookie(session.cookie, expiry),
    codec,
    identity,
    publicId: createPublicId(keys.secretKey),
  }
}

/** The codec alone, for reading what a store holds without opening the store. */
export async function readSessionCodec(config: Config): Promise<SessionCodec> {
  const { session } = config
  return createSessionCodec({ ...(await readSecretKeys(session)), saltClass: session.saltClass })
}

interface SecretKeys {
  readonly secretKey: string
  readonly secretKeyFallbacks: readonly string[]
}

async function readSecretKeys({ secretKey, secretKeyFallbacks }: SessionConfig): Promise<SecretKeys> {
  return {
    secretKey: secretKey.generated ? await openSecretFile(resolve(SECRET_KEY_FILE)) : secretKey.value.reveal(),
    secretKeyFallbacks: secretKeyFallbacks.map((secret) => secret.reveal()),
  }
}

function expiryRulesOf(session: SessionConfig): ExpiryRules {
  return {
    cookieAgeSeconds: session.cookieAgeMs / 1000,
    expireAtBrowserClose: session.expireAtBrowserClose,
    dates: session.expiryDates,
    useTz: session.engine.kind === 'db' ? session.engine.database.useTz : true,
  }
}

interface EngineParts {
  readonly keys: SecretKeys
  readonly codec: SessionCodec
  readonly expiry: ExpiryRules
  readonly clock: Clock
}

async function openEngine(session: SessionConfig, parts: EngineParts): Promise<SessionEngine> {
  const { codec, expiry, clock } = parts
  const common = { codec, expiryRules: expiry, clock, newKey: () => createSessionKey() }
  const { engine } = session
  switch (engine.kind) {
    case 'db': {
      const { path, create, isOwn, useTz } = engine.database
      return await openSqliteSessions({
        ...common,
        path,
        create: create ? 'always' : isOwn ? 'ours' : 'never',
        useTz,
        busyTimeoutMs: session.storeTimeoutMs,
      })
    }
    case 'file':
      return createFileSessions({
        ...common,
        directory: engine.directory,
        prefix: session.cookie.name,
        lockTimeoutMs: session.storeTimeoutMs,
      })
    case 'cache':
      return createCacheSessions(createMemoryCache({ clock }), {
        ...common,
        serializer: jsonSerializer,
        keyPrefix: cacheKeyPrefix({ keyPrefix: '', version: 1 }, 'cache'),
      })
    case 'signed_cookies':
      return createSignedCookieSessions({
        clock,
        cookieName: session.cookie.name,
        cookieAgeSeconds: expiry.cookieAgeSeconds,
        codec: createSignedCookieCodec({ ...parts.keys, maxAgeSeconds: expiry.cookieAgeSeconds }),
      })
  }
}
