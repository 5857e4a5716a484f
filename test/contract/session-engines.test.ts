import { mkdtemp, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { sqliteDateText } from '../../src/django/dates.ts'
import { createSignedCookieCodec } from '../../src/django/session-data.ts'
import { jsonSerializer } from '../../src/sessions/caches/json-serializer.ts'
import { createMemoryCache } from '../../src/sessions/caches/memory.ts'
import { cacheKeyPrefix } from '../../src/sessions/caches/session-cache.ts'
import { openSqliteSessions } from '../../src/sessions/databases/sqlite.ts'
import { createCacheSessions } from '../../src/sessions/engines/cache.ts'
import { createFileSessions } from '../../src/sessions/engines/file.ts'
import { createSignedCookieSessions } from '../../src/sessions/engines/signed-cookies.ts'
import { scratchRoot } from '../support/scratch.ts'
import { changeCache } from './cache-double.ts'
import { describeSessionEngine } from './session-engine.ts'

const allTraits = { isServerSide: true, isSigned: true, tellsExpired: true }

describeSessionEngine(
  'db on SQLite',
  async (world) => {
    const folder = await mkdtemp(join(scratchRoot(), 'sessiongate-db-'))
    const path = join(folder, 'sessions.sqlite3')
    const connect = () => openSqliteSessions({ ...world, useTz: true, path, create: 'ours', busyTimeoutMs: 5000 })
    await (await connect())[Symbol.asyncDispose]()
    const database = new DatabaseSync(path, { timeout: 5000 })
    return {
      connect,
      async peek(key) {
        const row = database.prepare('SELECT session_data FROM django_session WHERE session_key = ?').get(key)
        return row && String(row.session_data)
      },
      async plant(key, text) {
        const insert = database.prepare('INSERT INTO django_session VALUES (?, ?, ?)')
        insert.run(key, text, sqliteDateText(world.now + 3_600_000, true))
      },
      async [Symbol.asyncDispose]() {
        database.close()
        await rm(folder, { recursive: true })
      },
    }
  },
  allTraits,
)

describeSessionEngine(
  'file',
  async (world) => {
    const directory = await mkdtemp(join(scratchRoot(), 'sessiongate-file-'))
    return {
      connect: async () => createFileSessions({ ...world, directory, prefix: 'sessionid', lockTimeoutMs: 5000 }),
      peek: (key) => readFile(join(directory, `sessionid${key}`), 'latin1').catch(() => undefined),
      async plant(key, text) {
        await writeFile(join(directory, `sessionid${key}`), text)
        await utimes(join(directory, `sessionid${key}`), world.now / 1000, world.now / 1000)
      },
      [Symbol.asyncDispose]: () => rm(directory, { recursive: true }),
    }
  },
  allTraits,
)

describeSessionEngine(
  'cache on memory',
  async (world) => {
    const cache = createMemoryCache({ clock: world.clock })
    const keyPrefix = cacheKeyPrefix({ keyPrefix: '', version: 1 }, 'cache')
    // The memory is this process's; an engine that closes it would take it from the other.
    const shared = changeCache(cache)
    return {
      connect: async () => createCacheSessions(shared, { ...world, serializer: jsonSerializer, keyPrefix }),
      async peek(key) {
        const value = await cache.get(keyPrefix + key)
        return value && Buffer.from(value.bytes).toString()
      },
      async plant(key, text) {
        await cache.add(keyPrefix + key, Buffer.from(text), 3600)
      },
      [Symbol.asyncDispose]: () => cache[Symbol.asyncDispose](),
    }
  },
  { isServerSide: true, isSigned: false, tellsExpired: false, countsExpired: false },
)

describeSessionEngine(
  'signed_cookies',
  async (world) => {
    const { cookieAgeSeconds } = world.expiryRules
    const codec = createSignedCookieCodec({ secretKey: world.secretKey, maxAgeSeconds: cookieAgeSeconds })
    return {
      connect: async () => createSignedCookieSessions({ ...world, codec, cookieAgeSeconds, cookieName: 'sessionid' }),
      peek: async () => undefined,
      async plant() {},
      async [Symbol.asyncDispose]() {},
    }
  },
  { isServerSide: false, isSigned: true, tellsExpired: true },
)
