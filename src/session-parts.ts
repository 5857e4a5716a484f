import { resolve } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type { Config, SessionConfig } from './config/config.ts'
import type { ExpiryRules } from './django/expiry.ts'
import { createSessionCodec, type SessionCodec } from './django/session-data.ts'
import type { Clock } from './lib/clock.ts'
import { openSecretFile } from './lib/secret-file.ts'
import { createSessionCookie, type SessionCookie } from './sessions/cookie.ts'
import type { SessionEngine } from './sessions/engine.ts'
import { type GuardedEngine, guardEngine, type StoreState } from './sessions/guarded-engine.ts'
import type { IdentityRules } from './sessions/merge.ts'
import { type EngineOperation, observeEngine } from './sessions/observed-engine.ts'
import { createPublicId } from './sessions/public-id.ts'
import { SessionStore } from './sessions/session-store.ts'
import { isMistaken } from './sessions/store-failure.ts'
import { openSessionEngine, type SecretKeys } from './store-parts.ts'

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

export interface StoreObserver {
  readonly onOperation: (operation: EngineOperation) => void
  readonly onState: (state: StoreState) => void
  /** Of the cache of `cached_db`, which may fail without anybody noticing: once per change, up at first. */
  readonly onCacheState: (isUp: boolean, cause: unknown) => void
}

export interface SessionPartsOptions {
  readonly clock: Clock
  /**
   * Told of the engine's operations and state. With it the engine is guarded (`sessions/guarded-engine.ts`), as it must
   * be where requests wait for it; without, a command has the store's own words for what is wrong.
   */
  readonly observer?: StoreObserver
}

/**
 * Opens what the configuration names. A store that is down, or not there yet, shows in each operation and in the observer's
 * state: it may come, from a volume that is mounted late, or from a project whose `migrate` still runs beside us.
 *
 * @throws {GatewayError} `ERR_STORE_UNAVAILABLE` with an observer, when the store is no store of that kind at all.
 */
export async function openSessionParts(config: Config, options: SessionPartsOptions): Promise<SessionParts> {
  const { session } = config
  const { clock, observer } = options
  const keys = await readSecretKeys(session)
  const codec = createSessionCodec({ ...keys, saltClass: session.saltClass })
  const expiry = expiryRulesOf(session)
  const bare = await openSessionEngine(session, {
    session,
    keys,
    codec,
    expiry,
    clock,
    ...(observer === undefined ? {} : { onCacheState: observer.onCacheState }),
  })
  const engine = observer === undefined ? bare : await watchEngine(bare, session.storeTimeoutMs, observer)
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

/** How long the start waits for the first look at the store, at most: then it is as good as down. */
const FIRST_LOOK_MS = 1000

async function watchEngine(bare: SessionEngine, timeoutMs: number, observer: StoreObserver): Promise<SessionEngine> {
  const guarded: GuardedEngine = guardEngine(bare, { timeoutMs, onState: observer.onState })
  const failure = await Promise.race([guarded.look(), setTimeout(FIRST_LOOK_MS, undefined, { ref: false })])
  if (isMistaken(failure)) {
    await guarded[Symbol.asyncDispose]()
    throw failure
  }
  return observeEngine(guarded, observer.onOperation)
}

/** The codec alone, for reading what a store holds without opening the store. */
export async function readSessionCodec(config: Config): Promise<SessionCodec> {
  const { session } = config
  return createSessionCodec({ ...(await readSecretKeys(session)), saltClass: session.saltClass })
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
    useTz: session.useTz,
  }
}
