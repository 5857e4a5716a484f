import { resolve } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type { Config, SessionConfig } from './config/config.ts'
import { SECRET_KEY_FILE, SIGNING_KEY_FILE } from './config/own-files.ts'
import type { ExpiryRules } from './django/expiry.ts'
import { createSessionCodec, type SessionCodec } from './django/session-data.ts'
import type { SigningKeyName } from './django/signing.ts'
import type { Clock, EpochMs } from './lib/clock.ts'
import { createSealedBox, type SealedBox } from './lib/sealed-box.ts'
import { openSecretFile } from './lib/secret-file.ts'
import { type LocalCacheObserver, openLocalCache, openNotices } from './local-cache-parts.ts'
import { createSessionCookie, type SessionCookie } from './sessions/cookie.ts'
import type { SessionEngine, SessionEntry } from './sessions/engine.ts'
import type { CacheLookup } from './sessions/engines/cached-db.ts'
import { type GuardedEngine, guardEngine, type StoreState } from './sessions/guarded-engine.ts'
import { createIndexedEngine, type IndexedEngine } from './sessions/indexed-engine.ts'
import type { IdentityRules } from './sessions/merge.ts'
import { type EngineOperation, observeEngine } from './sessions/observed-engine.ts'
import { createPublicId } from './sessions/public-id.ts'
import { SessionStore } from './sessions/session-store.ts'
import { isMistaken } from './sessions/store-failure.ts'
import { compileUserId, type UserIdOf } from './sessions/user-index.ts'
import { createUserSessions, type UserSessions } from './sessions/user-sessions.ts'
import { type EngineParts, type Guarding, openSessionEngine, type SecretKeys } from './store-parts.ts'
import { openUserIndex } from './user-index-parts.ts'

/** Everything that knows sessions, opened from one configuration. */
/** How often each key of `secret_key` and its fallbacks has been needed to read a session. */
export interface KeyReads {
  /** When these settings came into force here. */
  readonly since: EpochMs
  /** False where no session is signed: in a cache. */
  readonly areSigned: boolean
  countOf(key: SigningKeyName): number
}

export interface SessionParts {
  readonly engine: SessionEngine
  readonly store: SessionStore
  readonly cookie: SessionCookie
  readonly codec: SessionCodec
  readonly identity: IdentityRules
  readonly publicId: (key: string) => string
  readonly keyReads: KeyReads
  /** For forms that browsers keep until after a login. */
  readonly formBox: SealedBox
  /** Undefined where `session.user_id` does not say whose a session is. Not guarded: for somebody who waits as long as it takes. */
  readonly userSessions: UserSessions | undefined
  /** The same, told to whoever keeps or watches the sessions here; for a gateway that serves. */
  readonly users: UserSessions | undefined
  /** Every session, for as long as it takes to read them. */
  readonly entries: () => AsyncIterable<SessionEntry>
  /** Whose a session is; undefined where `session.user_id` does not say. */
  readonly userIdOf: UserIdOf | undefined
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
  /** Told once per load through `cached_db`. */
  readonly onCacheLookup: (lookup: CacheLookup) => void
  /** Of the index of users, whose failure a request that only reads does not notice: once per change, up at first. */
  readonly onIndexState: (isUp: boolean, cause: unknown) => void
  /** Told of each session that was read, and with which key. */
  readonly onKeyRead?: (key: SigningKeyName) => void
}

export interface SessionPartsOptions {
  readonly clock: Clock
  /**
   * Told of the engine's operations and state. With it the engine is guarded (`sessions/guarded-engine.ts`), as it must
   * be where requests wait for it; without, a command has the store's own words for what is wrong.
   */
  readonly observer?: StoreObserver
  /** With it, sessions are kept in the process as `session.local_cache` says; a command has no use for that. */
  readonly localCache?: LocalCacheObserver
}

/**
 * Opens what the configuration names. A store that is down, or not there yet, shows in each operation and in the observer's
 * state: it may come, from a volume that is mounted late, or from a project whose `migrate` still runs beside us.
 *
 * @throws {GatewayError} `ERR_STORE_UNAVAILABLE` with an observer, when the store is no store of that kind at all.
 */
export async function openSessionParts(config: Config, options: SessionPartsOptions): Promise<SessionParts> {
  const { session } = config
  const { clock, observer, localCache } = options
  const counts = new Map<SigningKeyName, number>()
  const onRead = (key: SigningKeyName): void => {
    counts.set(key, (counts.get(key) ?? 0) + 1)
    observer?.onKeyRead?.(key)
  }
  const keys = { ...(await readSecretKeys(session)), onRead }
  const codec = createSessionCodec({ ...keys, saltClass: session.saltClass })
  const expiry = expiryRulesOf(session)
  const guards = createGuards(session.storeTimeoutMs, observer)
  await using stack = new AsyncDisposableStack()
  const notices = localCache && stack.use(await openNotices(session, localCache))
  const watcher = notices?.watcher
  const engines = [session.engine, session.readAlso?.engine]
  const areSigned = engines.some((one) => one !== undefined && one.kind !== 'cache')
  const keyReads = { since: clock(), areSigned, countOf: (key: SigningKeyName) => counts.get(key) ?? 0 }
  const parts = { session, keys, codec, expiry, clock, guard: guards.put, watcher, ...observer }
  const { bare, indexed } = await openEngines(session, parts)
  stack.use(bare)
  const local = localCache && notices && (await openLocalCache(bare, notices, { session, clock, ...localCache }))
  const kept = local?.engine ?? bare
  const guarded = stack.use(session.readAlso === undefined ? guards.put(kept, kept.name) : kept)
  await Promise.all([guards.look(), local?.stands])
  const engine = observer === undefined ? guarded : observeEngine(guarded, observer.onOperation)
  stack.move()
  const identity: IdentityRules = {
    authKey: session.authKey,
    ...(session.userId === undefined ? {} : { userId: session.userId.split('.') }),
  }
  const store = new SessionStore({
    ...{ engine, expiry, identity, clock, maxAgeMs: session.maxAgeMs },
    watchElsewhere: notices?.notices.watch,
  })
  const entries = () => bare.entries()
  const ofUser = session.userId === undefined ? undefined : userIdOf(session.userId)
  return {
    engine,
    store,
    cookie: createSessionCookie(session.cookie, expiry),
    codec,
    keyReads,
    identity,
    publicId: createPublicId(keys.secretKey),
    formBox: createSealedBox([keys.secretKey, ...keys.secretKeyFallbacks], 'sessiongate/kept-post'),
    userSessions: ofUser && createUserSessions(bare, ofUser, indexed),
    users:
      ofUser && createUserSessions({ entries, transition: (...change) => store.change(...change) }, ofUser, indexed),
    entries,
    userIdOf: ofUser,
  }
}

interface BareEngines {
  readonly bare: SessionEngine
  /** The same, if it has an index of users. */
  readonly indexed: IndexedEngine | undefined
}

async function openEngines(
  session: SessionConfig,
  parts: EngineParts & Partial<Pick<StoreObserver, 'onIndexState'>>,
): Promise<BareEngines> {
  await using stack = new AsyncDisposableStack()
  const engine = stack.use(await openSessionEngine(session, parts))
  if (!session.userIndex || session.userId === undefined) {
    stack.move()
    return { bare: engine, indexed: undefined }
  }
  const { clock, expiry: expiryRules, onIndexState } = parts
  const index = await openUserIndex(session.engine, { timeoutMs: session.storeTimeoutMs, clock })
  const indexed = createIndexedEngine(engine, index, {
    userIdOf: userIdOf(session.userId),
    expiryRules,
    clock,
    ...(onIndexState === undefined ? {} : { onIndexState }),
  })
  stack.move()
  return { bare: indexed, indexed }
}

function userIdOf(path: string): UserIdOf {
  return compileUserId(path.split('.'))
}

/** How long the start waits for the first look at the store, at most: then it is as good as down. */
const FIRST_LOOK_MS = 1000

interface Guards {
  readonly put: Guarding
  /** The first look at each store. Throws when one of them is no store of that kind at all. */
  look(): Promise<void>
}

/** Without an observer nothing is guarded. */
function createGuards(timeoutMs: number, observer: StoreObserver | undefined): Guards {
  const guards: GuardedEngine[] = []
  return {
    put(engine, store) {
      if (observer === undefined) return engine
      const onState = (state: StoreState): void => observer.onState({ ...state, store })
      const guarded = guardEngine(engine, { timeoutMs, onState })
      guards.push(guarded)
      return guarded
    },
    async look() {
      const inTime = setTimeout(FIRST_LOOK_MS, undefined, { ref: false })
      const failures = await Promise.all(guards.map((guarded) => Promise.race([guarded.look(), inTime])))
      const mistake = failures.find(isMistaken)
      if (mistake !== undefined) throw mistake
    },
  }
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
